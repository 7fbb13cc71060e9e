package store

import (
	"errors"
	"strings"
	"sync"
	"testing"

	"lightspeed/api"
	"lightspeed/run"
)

func TestDuplicates(t *testing.T) {
	f := open(t)
	l := f.listen("web", "i1")
	first := f.acceptance(pushed("1", "2"), l.matched())
	receipt, err := f.Accept(t.Context(), first)
	if err != nil || receipt.Status != api.Accepted || len(receipt.Runs) != 1 {
		t.Fatalf("%+v, %v", receipt, err)
	}
	again, err := f.Accept(t.Context(), first)
	if err != nil || again.Status != api.Duplicate || again.DuplicateOf != "" || len(again.Runs) != 1 || again.Runs[0] != receipt.Runs[0] {
		t.Errorf("the same id: %+v, %v", again, err)
	}
	allowed := first
	allowed.Identical = true
	again, err = f.Accept(t.Context(), allowed)
	if err != nil || again.Status != api.Duplicate || again.DuplicateOf != "" || again.Runs[0] != receipt.Runs[0] {
		t.Errorf("the same id where bodies may be alike: %+v, %v", again, err)
	}
	replayed := first
	replayed.Delivery.ID = "another"
	again, err = f.Accept(t.Context(), replayed)
	if err != nil || again.Status != api.Duplicate || again.DuplicateOf != first.Delivery.ID || again.Delivery != "another" {
		t.Errorf("the same body: %+v, %v", again, err)
	}
	replayed.Identical = true
	again, err = f.Accept(t.Context(), replayed)
	if err != nil || again.Status != api.Accepted || len(again.Runs) != 1 {
		t.Errorf("the same body, allowed: %+v, %v", again, err)
	}
}

// Fifty at once, of one id and of one body: one is stored.
func TestFiftyAtOnceAreOne(t *testing.T) {
	f := open(t)
	l := f.listen("web", "i1")
	same := f.acceptance(pushed("1", "2"), l.matched())
	statuses := make(chan string, 50)
	var group sync.WaitGroup
	for i := range 50 {
		a := same
		if i%2 == 0 {
			a.Delivery.ID += strings.Repeat("x", i+1)
		}
		group.Go(func() {
			receipt, err := f.Accept(t.Context(), a)
			if err != nil {
				t.Error(err)
			}
			statuses <- receipt.Status
		})
	}
	group.Wait()
	close(statuses)
	count := map[string]int{}
	for s := range statuses {
		count[s]++
	}
	if count[api.Accepted] != 1 || count[api.Duplicate] != 49 {
		t.Fatalf("answers %v", count)
	}
	runs, err := f.Runs(t.Context(), api.RunFilter{Limit: 10})
	if err != nil || len(runs.Items) != 1 {
		t.Fatalf("%d runs, %v", len(runs.Items), err)
	}
}

func TestOldDecisionsAreRefused(t *testing.T) {
	f := open(t)
	l := f.listen("web", "i1")
	a := f.acceptance(pushed("1", "2"), l.matched())
	f.listen("other", "i2")
	if _, err := f.Accept(t.Context(), a); !errors.Is(err, ErrRulesChanged) {
		t.Fatalf("error %v", err)
	}
	l.reg.Revision++ // the same settings once more are no change
	l.register()
	a.Generation = f.Generation()
	if _, err := f.Accept(t.Context(), a); err != nil {
		t.Fatal(err)
	}
}

func TestIgnoredIsStored(t *testing.T) {
	f := open(t)
	a := f.acceptance(pushed("1", "2"))
	a.Status, a.Why, a.Event.Message = api.Ignored, "nobody asks for it", "\nfirst\r\nsecond"
	receipt, err := f.Accept(t.Context(), a)
	if err != nil || receipt.Status != api.Ignored || receipt.Why != a.Why {
		t.Fatalf("%+v, %v", receipt, err)
	}
	d, err := f.Delivery(t.Context(), a.Delivery.ID)
	if err != nil || d.Status != api.Ignored || *d.Why != a.Why || *d.Message != "first" || len(d.Runs) != 0 {
		t.Fatalf("%+v, %v", d, err)
	}
}

func TestTextIsKeptByteForByte(t *testing.T) {
	f := open(t)
	l := f.listen("web", "i1")
	e := pushed("1", "2")
	e.Branch = "a\x00'b\xff\u202e$(id)"
	e.Ref = "refs/heads/" + e.Branch
	r := f.run(f.accept(e, l.matched()))
	if *r.Branch != e.Branch || *r.Ref != e.Ref {
		t.Fatalf("branch %q, ref %q", *r.Branch, *r.Ref)
	}
	list, err := f.Runs(t.Context(), api.RunFilter{Branch: e.Branch, Limit: 1})
	if err != nil || len(list.Items) != 1 {
		t.Fatalf("%v, %v", list, err)
	}
}

func TestFirstLine(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "one": "one", "one\ntwo": "one", "\r\n\none\r\ntwo": "one",
		strings.Repeat("ü", 150): strings.Repeat("ü", 100) + "…", "x" + strings.Repeat("ü", 150): "x" + strings.Repeat("ü", 99) + "…",
	} {
		if got := firstLine(in); got != want {
			t.Errorf("firstLine(%q) = %q", in, got)
		}
	}
}

// order is the queue's, as claims would take it.
func (i *instance) order() string {
	i.f.Helper()
	var shas []string
	err := i.f.read(i.f.Context(), func(row scanner) error {
		var sha string
		err := row.Scan(&sha)
		shas = append(shas, sha)
		return err
	}, `SELECT sha FROM runs WHERE listener = ? AND slot = 0 ORDER BY ord, rank`, i.name)
	if err != nil {
		i.f.Fatal(err)
	}
	return strings.Join(shas, " ")
}

func TestLatePushesTakeTheirPlace(t *testing.T) {
	for name, c := range map[string]struct {
		pushes string // from>to, as they come in
		want   string
	}{
		"in order":              {"1>2 2>3 3>4", "2 3 4"},
		"late":                  {"2>3 1>2", "2 3"},
		"all the wrong way":     {"4>5 3>4 2>3 1>2", "2 3 4 5"},
		"the middle last":       {"3>4 1>2 2>3", "2 3 4"},
		"two chains":            {"3>4 7>8 2>3 6>7", "3 4 7 8"},
		"late among others":     {"8>9 2>3 5>6 1>2", "9 2 3 6"},
		"long middle":           {"5>6 1>2 3>4 2>3 4>5", "2 3 4 5 6"},
		"back and forth":        {"1>2 2>1 1>2 2>1", "2 1 2 1"},
		"a circle of three":     {"1>2 2>3 3>1 1>2", "2 3 1 2"},
		"made, deleted, made":   {"0>1 1>0 0>1", "1 0 1"},
		"made late":             {"1>2 0>1", "1 2"},
		"forced back":           {"1>2 2>3 3>1", "2 3 1"},
		"of another ref":        {"2>3 other:1>2", "3 2"},
		"of another repository": {"2>3 repo:1>2", "3 2"},
	} {
		t.Run(name, func(t *testing.T) {
			f := open(t)
			l := f.listen("web", "i1")
			m := l.matched()
			for _, p := range strings.Fields(c.pushes) {
				where, p, other := strings.Cut(p, ":")
				if !other {
					p = where
				}
				from, to, _ := strings.Cut(p, ">")
				e := pushed(from, to)
				if other && where == "repo" {
					e.Repo = "acme/other"
				} else if other {
					e.Ref = "refs/heads/other"
				}
				f.accept(e, m)
			}
			if got := l.order(); got != c.want {
				t.Fatalf("order %q, want %q", got, c.want)
			}
		})
	}
}

// A late push's place is before what still waits, when what came of it has started.
func TestLatePushAfterItsSuccessorStarted(t *testing.T) {
	f := open(t)
	l := f.listen("web", "i1")
	m := l.matched()
	f.accept(pushed("2", "3"), m)
	f.accept(pushed("8", "9"), m)
	f.accept(pushed("3", "4"), m)
	l.claim()
	f.accept(pushed("1", "2"), m)
	if got := l.order(); got != "9 2 4" {
		t.Fatalf("order %q", got)
	}
}

func TestWhenBusy(t *testing.T) {
	for _, mode := range []string{api.Queue, api.Supersede, api.Latest} {
		t.Run(mode, func(t *testing.T) {
			f := open(t)
			l := f.listen("web", "i1", func(s *api.Settings) { s.WhenBusy, s.Concurrency = mode, 3 })
			m := l.matched()
			first := f.accept(pushed("1", "2"), m)
			ref := l.claim()
			second := f.accept(pushed("2", "3"), m)
			third := f.accept(pushed("3", "4"), m)
			other := pushed("6", "7")
			other.Ref = "refs/heads/other"
			elsewhere := f.accept(other, m)
			running := f.want(first, run.Running, "")
			if asked := running.CancelRequestedAt != nil; asked != (mode == api.Supersede) {
				t.Errorf("cancel asked: %v", asked)
			}
			if mode == api.Queue {
				f.want(second, run.Queued, "")
				if next := l.claim(); next.Run != second {
					t.Errorf("next is %s", next.Run)
				}
				return
			}
			f.want(second, run.Superseded, "superseded by run "+third)
			f.want(third, run.Queued, "")
			if next := l.claim(); next.Run != elsewhere {
				t.Errorf("a lane that runs was not passed over: %s", next.Run)
			}
			if next := l.claim(); next.Run != "" {
				t.Errorf("two of one lane: %s", next.Run)
			}
			f.finish(ref, run.Cancelled)
			if next := l.claim(); next.Run != third {
				t.Errorf("after the lane's run: %s", next.Run)
			}
			want := ""
			if mode == api.Supersede {
				want = "cancelled by lightspeed: superseded by run " + second
			}
			f.want(first, run.Cancelled, want)
		})
	}
}

// Where only the newest counts, a late push is itself superseded, whatever has become of the newer.
func TestLatePushIsSuperseded(t *testing.T) {
	for _, mode := range []string{api.Supersede, api.Latest} {
		for _, newerEnded := range []bool{false, true} {
			f := open(t)
			l := f.listen("web", "i1", func(s *api.Settings) { s.WhenBusy = mode })
			newer := f.accept(pushed("2", "3"), l.matched())
			if newerEnded {
				f.finish(l.claim(), run.Passed)
			}
			older := f.accept(pushed("1", "2"), l.matched())
			f.want(older, run.Superseded, "superseded by run "+newer)
			if status := f.run(newer).Status; (status == run.Passed) != newerEnded {
				t.Errorf("the newer is %s", status)
			}
		}
	}
}

func TestFiftyPushesAtOnce(t *testing.T) {
	for _, mode := range []string{api.Queue, api.Supersede, api.Latest} {
		f := open(t)
		l := f.listen("web", "i1", func(s *api.Settings) { s.WhenBusy = mode })
		m := l.matched()
		var group sync.WaitGroup
		for i := range 50 {
			a := f.acceptance(pushed("", string(rune('a'+i))), m)
			group.Go(func() {
				if _, err := f.Accept(t.Context(), a); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
		want := map[string]int{api.Queue: 50, api.Supersede: 1, api.Latest: 1}[mode]
		runs, err := f.Runs(t.Context(), api.RunFilter{Status: run.Queued, Limit: 100})
		if err != nil || len(runs.Items) != want {
			t.Fatalf("%s: %d wait, want %d; %v", mode, len(runs.Items), want, err)
		}
		if newest, err := f.Runs(t.Context(), api.RunFilter{Limit: 1}); err != nil || newest.Items[0].Status != run.Queued {
			t.Errorf("%s: the newest is %s, %v", mode, newest.Items[0].Status, err)
		}
	}
}

func TestReplaysRetriesAndTriggersSupersedeNothing(t *testing.T) {
	f := open(t)
	l := f.listen("web", "i1", func(s *api.Settings) { s.WhenBusy = api.Supersede })
	m := l.matched()
	first := f.accept(pushed("1", "2"), m)
	delivery := f.run(first).Delivery
	f.finish(l.claim(), run.Failed)
	again := Again{Delivery: delivery, Event: pushed("1", "2"), Generation: f.Generation(), Matched: []Matched{m}, Cause: run.ByRetry, RetryOf: first}
	second := f.accept(pushed("2", "3"), m)
	refs, err := f.RunAgain(t.Context(), again)
	if err != nil {
		t.Fatal(err)
	}
	f.want(second, run.Queued, "")
	r := f.want(refs[0].ID, run.Queued, "")
	if r.Cause != run.ByRetry || *r.RetryOf != first || r.Delivery != delivery {
		t.Fatalf("%+v", r)
	}
	again.RetryOf = second
	if _, err := f.RunAgain(t.Context(), again); !api.IsCode(err, api.Conflict) {
		t.Errorf("retry of a run that waits: %v", err)
	}
	again.RetryOf, again.Delivery = "", "none"
	if _, err := f.RunAgain(t.Context(), again); !api.IsCode(err, api.NotFound) {
		t.Errorf("replay of nothing: %v", err)
	}
}
