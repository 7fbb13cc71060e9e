package store

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"lightspeed/api"
	"lightspeed/run"
)

// BenchmarkAccept has 64 callers hand in pushes of 7 KB that each match one listener.
func BenchmarkAccept(b *testing.B) {
	f := open(b)
	l := f.listen("web", "i1")
	m := l.matched()
	body := bytes.Repeat([]byte("x"), 7<<10)
	var n atomic.Int64
	before, cpu := f.Commits(), cpuTime()
	b.SetParallelism(64 / runtime.GOMAXPROCS(0))
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			i := n.Add(1)
			a := f.acceptance(pushed(fmt.Sprintf("%040d", i), fmt.Sprintf("%040d", i+1)), m)
			a.Delivery.Body = append(fmt.Appendf(nil, "%d", i), body...)
			if _, err := f.Accept(context.Background(), a); err != nil {
				b.Error(err)
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "accepts/s")
	b.ReportMetric(float64(f.Commits()-before)/float64(b.N), "fsyncs/accept")
	b.ReportMetric(float64((cpuTime()-cpu).Microseconds())/float64(b.N), "cpu-µs/accept")
}

// fill puts runs into a database in one transaction: queued ones, and finished ones of many listeners,
// repositories and branches.
func (f *fixture) fill(queued, finished int, m Matched) {
	f.Helper()
	err := f.do(context.Background(), func(tx *Tx) error {
		if _, err := tx.exec(`INSERT INTO deliveries (seq, id, event, content_type, bytes, received_at, status, generation, repo, ref)
			VALUES (1, 'first', 'push', 'application/json', 2, 0, 'accepted', 0, 'acme/web', 'refs/heads/main')`); err != nil {
			return err
		}
		if _, err := tx.exec(`INSERT INTO payloads VALUES (1, '{}')`); err != nil {
			return err
		}
		if _, err := tx.exec(`WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
			INSERT INTO runs (id, listener, delivery, cause, event, repo, ref, branch, status, attempt, queued_at, started_at, finished_at, slot, ord, match_id, expires)
			SELECT 'f' || i, 'listener' || (i % 50), 1, 'replay', 'push', 'acme/repo' || (i % 97), 'refs/heads/b' || (i % 31), 'b' || (i % 31),
			CASE i % 10 WHEN 0 THEN 'failed' ELSE 'passed' END, 1, i, i, i, NULL, i, ?, 1 << 40 FROM n`, finished, m.MatchID); err != nil {
			return err
		}
		if _, err := tx.exec(`INSERT INTO attempts (run, attempt, status, host, instance, start, key, started_at, finished_at, clock, limit_s, on_lost)
			SELECT seq, 1, status, 'box', 'i0', 's0', 'k', 0, 0, 0, 0, 'fail' FROM runs`); err != nil {
			return err
		}
		_, err := tx.exec(`WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
			INSERT INTO runs (id, listener, delivery, cause, event, repo, ref, branch, status, queued_at, slot, ord, match_id, expires)
			SELECT 'q' || i, ?, 1, 'replay', 'push', 'acme/web', 'refs/heads/b' || (i % 1000), 'b' || (i % 1000),
			'queued', i, 0, 10000000 + i, ?, 1 << 40 FROM n`, queued, m.Listener, m.MatchID)
		return err
	})
	if err != nil {
		f.Fatal(err)
	}
}

// pages are first pages with every kind of filter: those of one value, of several that go together, and of
// several that hardly ever do.
var pages = []api.RunFilter{
	{}, {Status: run.Queued}, {Status: run.Failed}, {Status: run.Lost}, {Listener: "listener7"}, {Listener: "web"}, {Listener: "nobody"},
	{Repo: "acme/repo5"}, {Repo: "acme/web"}, {Branch: "b3"}, {Branch: "none"}, {Listener: "listener7", Status: run.Failed},
	{Repo: "acme/repo5", Branch: "b3"}, {Repo: "acme/web", Status: run.Failed}, {Listener: "listener7", Repo: "acme/web"},
	{Listener: "web", Branch: "b3", Status: run.Failed}, {Listener: "web", Repo: "acme/web", Branch: "b999", Status: run.Queued},
	{Delivery: "first", Listener: "web"},
}

func (f *fixture) slowestPage(clock func() time.Duration) (slowest time.Duration, which api.RunFilter) {
	f.Helper()
	for _, filter := range pages {
		filter.Limit = api.DefaultLimit
		best := time.Hour
		for range 3 {
			start := clock()
			if _, err := f.Runs(context.Background(), filter); err != nil {
				f.Fatal(err)
			}
			best = min(best, clock()-start)
		}
		if best > slowest {
			slowest, which = best, filter
		}
	}
	return slowest, which
}

// cpuTime is what this process has used of the processors: it says what a query costs, whatever else the
// machine is busy with.
func cpuTime() time.Duration {
	var usage syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

var began = time.Now()

func wallTime() time.Duration { return time.Since(began) }

func TestFirstPagesAndClaimsAreFast(t *testing.T) {
	f := openAt(t, filepath.Join(t.TempDir(), "admin.db"))
	l := f.listen("web", "i1")
	f.fill(5_000/fillFactor, 20_000/fillFactor, l.matched())
	const limit = 20 * time.Millisecond * raceFactor
	if slowest, which := f.slowestPage(cpuTime); slowest > limit {
		t.Errorf("first page of %+v took %s", which, slowest)
	}
	best := time.Hour
	for range 3 {
		start := cpuTime()
		ref := l.claim()
		best = min(best, cpuTime()-start)
		if ref.Run == "" {
			t.Fatal("nothing to claim")
		}
		f.finish(ref, run.Passed)
	}
	if best > limit {
		t.Errorf("a claim took %s", best)
	}
}

// BenchmarkClaim claims and finishes with 100,000 queued and 1,000,000 finished runs.
func BenchmarkClaim(b *testing.B) {
	f := open(b)
	l := f.listen("web", "i1")
	f.fill(100_000, 1_000_000, l.matched())
	slowest, which := f.slowestPage(wallTime)
	b.Logf("slowest first page: %s, %+v", slowest, which)
	var claims time.Duration
	for b.Loop() {
		start := time.Now()
		ref := l.claim()
		claims += time.Since(start)
		f.finish(ref, run.Passed)
	}
	b.ReportMetric(float64(claims.Microseconds())/float64(b.N), "µs/claim")
	b.ReportMetric(float64(slowest.Microseconds()), "µs/slowest-page")
}
