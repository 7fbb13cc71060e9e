package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lightspeed/api"
	"lightspeed/event"
	"lightspeed/run"
)

const day = 24 * time.Hour

// older lets all that is stored be older by d.
func (f *fixture) older(d time.Duration) {
	f.Helper()
	err := f.do(context.Background(), func(tx *Tx) error {
		for _, query := range []string{
			`UPDATE deliveries SET received_at = received_at - ?`,
			`UPDATE runs SET finished_at = finished_at - ? WHERE finished_at IS NOT NULL`,
			`UPDATE attempts SET finished_at = finished_at - ? WHERE finished_at IS NOT NULL`,
			`UPDATE attempts SET artifacts_at = artifacts_at - ? WHERE artifacts_at IS NOT NULL`,
		} {
			if _, err := tx.exec(query, d.Microseconds()); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		f.Fatal(err)
	}
}

// ran stores a push, runs it with a log of so many bytes, and returns its attempt.
func (i *instance) ran(n int, status run.State, logBytes int64) run.Ref {
	i.f.Helper()
	a := i.f.acceptance(pushed(fmt.Sprintf("b%d", n), fmt.Sprintf("a%d", n)), i.matched())
	a.Delivery.Body = fmt.Appendf(nil, "%04d", n)
	if _, err := i.f.Accept(context.Background(), a); err != nil {
		i.f.Fatal(err)
	}
	ref := i.claim()
	if ref.Run == "" {
		i.f.Fatal("nothing to claim")
	}
	for _, bytes := range []int64{logBytes, 10 * logBytes} { // of each artifact the sum with those before it is told
		if err := i.f.KeepsArtifacts(context.Background(), ref, bytes); err != nil {
			i.f.Fatal(err)
		}
	}
	if err := i.f.Finish(context.Background(), ref, api.Finish{Status: status, LogBytes: logBytes}); err != nil {
		i.f.Fatal(err)
	}
	return ref
}

func (f *fixture) prune(keep Retention, dry bool) api.Pruning {
	f.Helper()
	done, err := f.Prune(context.Background(), keep, dry)
	if err != nil {
		f.Fatal(err)
	}
	return done
}

func (f *fixture) count(table string) (n int) {
	f.Helper()
	if err := f.readRow(context.Background(), []any{&n}, `SELECT count(*) FROM `+table); err != nil {
		f.Fatal(err)
	}
	return n
}

func TestPruneByAgeNumberAndSize(t *testing.T) {
	const body = 4 // bytes of a payload
	for name, c := range map[string]struct {
		keep Retention
		want api.Pruning
	}{
		"everything is kept":  {Retention{}, api.Pruning{}},
		"runs by age":         {Retention{Runs: Limits{Age: 60 * day}}, api.Pruning{Runs: 2}},
		"runs by number":      {Retention{Runs: Limits{Count: 1}}, api.Pruning{Runs: 3}},
		"logs by age":         {Retention{Logs: Limits{Age: 60 * day}}, api.Pruning{Logs: 2, LogBytes: 300}},
		"logs by number":      {Retention{Logs: Limits{Count: 3}}, api.Pruning{Logs: 1, LogBytes: 100}},
		"logs by size":        {Retention{Logs: Limits{Bytes: 450}}, api.Pruning{Logs: 3, LogBytes: 600}},
		"artifacts by age":    {Retention{Artifacts: Limits{Age: 60 * day}}, api.Pruning{Artifacts: 2, ArtifactBytes: 3000}},
		"artifacts by number": {Retention{Artifacts: Limits{Count: 3}}, api.Pruning{Artifacts: 1, ArtifactBytes: 1000}},
		"artifacts by size":   {Retention{Artifacts: Limits{Bytes: 4500}}, api.Pruning{Artifacts: 3, ArtifactBytes: 6000}},
		"logs and artifacts": {Retention{Logs: Limits{Count: 3}, Artifacts: Limits{Count: 3}},
			api.Pruning{Logs: 1, LogBytes: 100, Artifacts: 1, ArtifactBytes: 1000}},
		"the strictest": {Retention{Logs: Limits{Age: 60 * day, Count: 1, Bytes: 900}}, api.Pruning{Logs: 3, LogBytes: 600}},
		"payloads by age": {Retention{Payloads: Limits{Age: 60 * day}},
			api.Pruning{Payloads: 2, PayloadBytes: 2 * body}},
		"payloads by size": {Retention{Payloads: Limits{Bytes: 3*body + 1}}, api.Pruning{Payloads: 1, PayloadBytes: body}},
		"all of old runs": {Retention{Runs: Limits{Age: 60 * day}, Logs: Limits{Age: 60 * day}, Payloads: Limits{Age: 60 * day}},
			api.Pruning{Runs: 2, Payloads: 2, PayloadBytes: 2 * body, Deliveries: 2}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := open(t)
			l := f.listen("web", "i1")
			for n, age := range []time.Duration{10 * day, 60 * day, day, 0} {
				l.ran(n, run.Passed, int64(100*(n+1)))
				f.older(age)
			}
			dry := f.prune(c.keep, true)
			wantDry := c.want
			wantDry.DryRun = true
			if name == "all of old runs" { // what deletes runs first finds more than what only counts
				wantDry.Logs, wantDry.LogBytes, wantDry.Deliveries = 2, 300, 0
			}
			if diff := cmp.Diff(wantDry, dry); diff != "" {
				t.Errorf("dry run: %s", diff)
			}
			before := f.count("deliveries")
			if diff := cmp.Diff(c.want, f.prune(c.keep, false)); diff != "" {
				t.Error(diff)
			}
			if before-f.count("deliveries") != int(c.want.Deliveries) || 4-f.count("runs") != int(c.want.Runs) || 4-f.count("payloads") != int(c.want.Payloads) {
				t.Errorf("left: %d deliveries, %d runs, %d payloads", f.count("deliveries"), f.count("runs"), f.count("payloads"))
			}
			if got := f.count("removals"); got != int(c.want.Runs+max(c.want.Logs, c.want.Artifacts)) {
				t.Errorf("%d files are to be removed", got)
			}
			if again := f.prune(c.keep, false); again != (api.Pruning{}) {
				t.Errorf("the second time: %+v", again)
			}
		})
	}
}

// strictest keeps nothing that need not be kept.
var strictest = Retention{Runs: Limits{Age: 1}, Logs: Limits{Age: 1}, Artifacts: Limits{Age: 1}, Payloads: Limits{Age: 1}}

func TestPruneLeavesWhatIsNeeded(t *testing.T) {
	f := open(t)
	l := f.listen("web", "i1", func(s *api.Settings) { s.Concurrency = 2 })
	m := l.matched()
	lost := f.accept(pushed("1", "2"), m)
	running := f.accept(pushed("2", "3"), m)
	queued := f.accept(pushed("3", "4"), m)
	held := l.claim()
	for _, ref := range []run.Ref{held, l.claim()} {
		if err := f.KeepsArtifacts(t.Context(), ref, 1); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.GiveUp(t.Context(), held, "silent"); err != nil {
		t.Fatal(err)
	}
	f.older(1000 * day)
	if done := f.prune(strictest, false); done != (api.Pruning{}) {
		t.Fatalf("pruned %+v", done)
	}
	for _, id := range []string{lost, running, queued} {
		r, err := f.Run(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Stored(t.Context(), r.Delivery); err != nil {
			t.Error(err)
		}
	}
	if err := f.Release(t.Context(), lost); err != nil {
		t.Fatal(err)
	}
	if done := f.prune(strictest, false); done.Runs != 1 || done.Payloads != 1 || done.Deliveries != 1 {
		t.Errorf("after release: %+v", done)
	}
}

func TestPrunedDeliveryIsStillKnown(t *testing.T) {
	f := open(t)
	d := event.Delivery{ID: "d1", Event: "push", ContentType: "application/json", Body: []byte(`{"a":1}`), ReceivedAt: time.Now().UTC()}
	accept := func(id string) api.Receipt {
		d.ID = id
		receipt, err := f.Accept(t.Context(), Acceptance{Delivery: d, Event: pushed("1", "2"), Status: api.Accepted, Generation: f.Generation()})
		if err != nil {
			t.Fatal(err)
		}
		return receipt
	}
	accept("d1")
	f.older(29 * day)
	if done := f.prune(strictest, false); done.Payloads != 1 || done.Deliveries != 0 {
		t.Fatalf("pruned %+v", done)
	}
	if got := accept("d1"); got.Status != api.Duplicate {
		t.Errorf("the same id: %+v", got)
	}
	if got := accept("d2"); got.Status != api.Duplicate || got.DuplicateOf != "d1" {
		t.Errorf("the same body: %+v", got)
	}
	_, err := f.Stored(t.Context(), "d1")
	var refused *api.Error
	if !errors.As(err, &refused) || refused.Code != api.Pruned || refused.Status != 410 {
		t.Errorf("its payload: %v", err)
	}
	shown, err := f.Delivery(t.Context(), "d1")
	if err != nil || shown.PayloadPrunedAt == nil || shown.Bytes != 7 {
		t.Errorf("shown as %+v, %v", shown, err)
	}
	f.older(2 * day)
	if done := f.prune(strictest, false); done.Deliveries != 1 {
		t.Fatalf("after 31 days: %+v", done)
	}
	if got := accept("d1"); got.Status != api.Accepted {
		t.Errorf("after 31 days: %+v", got)
	}
}

// TestPruneInBoundedTransactions: others may write after each of them.
func TestPruneInBoundedTransactions(t *testing.T) {
	f := open(t)
	l := f.listen("web", "i1")
	for n := range 2*maxPruned + 1 {
		l.ran(n, run.Passed, 1)
	}
	before := f.Commits()
	if done := f.prune(Retention{Runs: Limits{Count: 1}}, false); done.Runs != 2*maxPruned {
		t.Fatalf("pruned %+v", done)
	}
	if n := f.Commits() - before; n != 2 {
		t.Errorf("%d transactions", n)
	}
}

func TestPruneStopsWithItsContext(t *testing.T) {
	f := open(t)
	l := f.listen("web", "i1")
	for n := range maxPruned + 1 {
		l.ran(n, run.Passed, 1)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if done, err := f.Prune(ctx, strictest, false); !errors.Is(err, context.Canceled) || done.Runs != 0 {
		t.Fatalf("%+v, %v", done, err)
	}
}

// TestRowsOfRunsArePruned fails when a table of a later schema belongs to runs and pruning does not know it.
func TestRowsOfRunsArePruned(t *testing.T) {
	f := open(t)
	var tables []string
	err := f.read(t.Context(), func(row scanner) error {
		var name string
		err := row.Scan(&name)
		tables = append(tables, name)
		return err
	}, `SELECT m.name FROM sqlite_schema m JOIN pragma_table_info(m.name) c WHERE m.type = 'table' AND c.name = 'run' AND m.name <> 'removals'`)
	if err != nil {
		t.Fatal(err)
	}
	known := slices.Sorted(slices.Values(ofRun))
	if slices.Sort(tables); !slices.Equal(tables, known) {
		t.Fatalf("tables %q belong to runs; pruning knows %q", tables, known)
	}
}

// TestWALIsBounded: readers that overlap, so that there is never none, do not let the write-ahead log grow.
func TestWALIsBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "admin.db")
	const limit = 256 << 10
	s, err := Open(Options{Path: path, MaxWAL: limit})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ctx, stop := context.WithCancel(t.Context())
	var reading sync.WaitGroup
	reading.Go(func() {
		held := reader(t, s)
		for ctx.Err() == nil {
			next := reader(t, s)
			_ = held.Rollback()
			held = next
		}
		_ = held.Rollback()
	})
	var largest int64
	for n := range 5 * lookEvery {
		body := append([]byte(fmt.Sprint(n)), make([]byte, 16<<10)...)
		if _, err := s.Accept(t.Context(), Acceptance{
			Delivery: event.Delivery{ID: fmt.Sprint(n), Event: "push", Body: body}, Status: api.Accepted, Generation: s.Generation(),
		}); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path + "-wal")
		if err != nil {
			t.Fatal(err)
		}
		largest = max(largest, info.Size())
	}
	stop()
	reading.Wait()
	const perCommit = 64 << 10 // 16 KiB and the pages of indices that it touches
	if most := int64(limit + 2*lookEvery*perCommit); largest > most {
		t.Errorf("the write-ahead log has grown to %d bytes, beyond %d", largest, most)
	}
}

func reader(t *testing.T, s *Store) *sql.Tx {
	t.Helper()
	tx, err := s.reading.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := tx.QueryRow(`SELECT count(*) FROM meta`).Scan(new(int)); err != nil {
		t.Fatal(err)
	}
	return tx
}
