package store

import (
	"context"
	"errors"
	"sync"
	"testing"

	"lightspeed/api"
	"lightspeed/run"
)

// hold keeps the writer busy until release is called, so that what is sent meanwhile is one batch.
func (f *fixture) hold() (release func()) {
	entered, leave := make(chan struct{}), make(chan struct{})
	ended := make(chan error, 1)
	var once sync.Once
	go func() {
		ended <- f.do(context.Background(), func(*Tx) error {
			once.Do(func() { close(entered) })
			<-leave
			return nil
		})
	}()
	<-entered
	return func() {
		close(leave)
		if err := <-ended; err != nil {
			f.Error(err)
		}
	}
}

// together runs operations of which most were sent while the writer was busy, and returns their errors.
func (f *fixture) together(runs ...func(*Tx) error) []error {
	f.Helper()
	batch := make([]*op, len(runs))
	for i, run := range runs {
		batch[i] = &op{ctx: context.Background(), run: run, done: make(chan error, 1)}
	}
	release := f.hold()
	var group, sending sync.WaitGroup
	sending.Add(len(batch))
	for _, o := range batch {
		group.Go(func() {
			sending.Done()
			f.ops <- o
		})
	}
	sending.Wait()
	release()
	group.Wait()
	errs := make([]error, len(batch))
	for i, o := range batch {
		errs[i] = <-o.done
	}
	return errs
}

func TestOperationsShareACommit(t *testing.T) {
	f := open(t)
	before := f.Commits()
	var runs []func(*Tx) error
	for range 200 {
		runs = append(runs, func(tx *Tx) error {
			_, err := tx.exec(`UPDATE meta SET value = value + 1 WHERE key = 'probe'`)
			return err
		})
	}
	for _, err := range f.together(runs...) {
		if err != nil {
			t.Fatal(err)
		}
	}
	var probes int
	if err := f.readRow(t.Context(), []any{&probes}, `SELECT value FROM meta WHERE key = 'probe'`); err != nil || probes != 200 {
		t.Fatalf("%d of 200 operations are there, %v", probes, err)
	}
	if n := f.Commits() - before; n > 100 { // a few on a quiet machine
		t.Errorf("200 operations took %d commits", n)
	}
}

// An operation that fails after it has written takes nothing of its own into the database, and nothing of
// the others out of it.
func TestFailedOperationHarmsNoOther(t *testing.T) {
	f := open(t)
	wrong := errors.New("wrong")
	add := func(tx *Tx) error {
		_, err := tx.exec(`UPDATE meta SET value = value + 1 WHERE key = 'probe'`)
		return err
	}
	addAndFail := func(tx *Tx) error { return errors.Join(add(tx), wrong) }
	refuse := func(*Tx) error { return conflict("no") }
	addAndRefuse := func(tx *Tx) error { return errors.Join(add(tx), conflict("no")) }
	errs := f.together(add, addAndFail, add, refuse, addAndRefuse, add)
	for i, want := range []string{"", "wrong", "", "no", "no", ""} {
		if (errs[i] == nil) != (want == "") || (want == "wrong" && !errors.Is(errs[i], wrong)) {
			t.Errorf("operation %d: %v, want %q", i, errs[i], want)
		}
	}
	var probes int
	if err := f.readRow(t.Context(), []any{&probes}, `SELECT value FROM meta WHERE key = 'probe'`); err != nil || probes != 3 {
		t.Fatalf("value %d, want 3; %v", probes, err)
	}
}

func TestCancelledOperationIsNotRun(t *testing.T) {
	f := open(t)
	ctx, cancel := context.WithCancel(t.Context())
	release := f.hold()
	ended := make(chan error, 1)
	go func() { ended <- f.do(ctx, func(*Tx) error { t.Error("it ran"); return nil }) }()
	cancel()
	release()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
}

func TestIllegalStepsAreRefused(t *testing.T) {
	f := open(t)
	l := f.listen("web", "i1")
	id := f.accept(pushed("1", "2"), l.matched())
	ref := l.claim()
	f.finish(ref, run.Passed)
	for _, c := range []struct{ from, to run.State }{
		{run.Passed, run.Failed}, {run.Queued, run.Passed}, {run.Running, run.Superseded}, {run.Cancelled, run.Running}, {run.Lost, run.Queued},
	} {
		err := f.do(t.Context(), func(tx *Tx) error { return tx.end(1, c.from, ending{status: c.to}) })
		if want := "run 1 may not go from " + string(c.from) + " to " + string(c.to); err == nil || err.Error() != want {
			t.Errorf("error %v, want %s", err, want)
		}
	}
	err := f.do(t.Context(), func(tx *Tx) error { return tx.end(1, run.Running, ending{status: run.Failed}) })
	if err == nil || err.Error() != "run 1 is not in the state that it was read in" {
		t.Errorf("error %v", err)
	}
	f.want(id, run.Passed, "")
}

// What Committed is told is every change, in order, before the caller's answer.
func TestCommittedIsToldOfEveryChange(t *testing.T) {
	f := open(t)
	l := f.listen("web", "i1")
	id := f.accept(pushed("1", "2"), l.matched())
	ref := l.claim()
	if err := f.Cancel(t.Context(), id, api.Cancel{By: "ann", Why: "wrong"}); err != nil {
		t.Fatal(err)
	}
	f.finish(ref, run.Cancelled)
	f.mu.Lock()
	defer f.mu.Unlock()
	var got []run.State
	for _, c := range f.changes {
		if c.Run != id {
			t.Errorf("change of %s", c.Run)
		}
		got = append(got, c.Status)
	}
	if len(got) != 4 || got[0] != run.Queued || got[1] != run.Running || got[2] != run.Running || got[3] != run.Cancelled {
		t.Fatalf("changes %v", got)
	}
	if c := f.changes[2]; c.Cancel == nil || *c.Cancel != (api.Cancel{By: "ann", Why: "wrong"}) || c.Instance != "i1" || c.Host != "box-i1" || c.Attempt != 1 {
		t.Errorf("change %+v", c)
	}
}
