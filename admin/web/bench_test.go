package web_test

import (
	"database/sql"
	"fmt"
	"net/http"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	"lightspeed/event"
	"lightspeed/match"
)

// How much BenchmarkPages has admin keep.
const (
	benchListeners  = 50
	benchDeliveries = 200_000
	benchRuns       = 1_000_000
)

// BenchmarkPages asks for whole pages with 1,000,000 finished runs, and one that waits for each of 50 listeners. What is
// reported is the processor time of admin and of the client that asks.
func BenchmarkPages(b *testing.B) {
	state := b.TempDir()
	s := serve(b, stateIn(state))
	for i := range benchListeners {
		s.listener(fmt.Sprintf("listener%d", i), match.Rules{Repos: []string{"acme/web", fmt.Sprintf("acme/repo%d", i)}})
	}
	s.push(event.PushSpec{Branch: "main", Message: "Wait"})
	s.addFinished(filepath.Join(state, "admin", "admin.db"))
	for _, path := range []string{
		"/", "/?listener=listener7", "/?repo=acme/repo5&branch=b3", "/?listener=listener7&branch=b3&status=failed", "/?branch=none",
		"/listeners", "/listeners/listener7", "/deliveries",
	} {
		b.Run(path, func(b *testing.B) {
			s.benchGet(path) // what is kept of templates and queries is there from now on
			before := usedTime()
			for b.Loop() {
				s.benchGet(path)
			}
			b.ReportMetric(float64((usedTime()-before).Microseconds())/float64(b.N)/1000, "cpu-ms/page")
		})
	}
}

func (s *site) benchGet(path string) {
	if status, page := s.get(path); status != http.StatusOK {
		s.Fatalf("%s: status %d\n%s", path, status, page)
	}
}

// addFinished puts runs that have ended into the database of an admin at rest, as many for each delivery.
func (s *site) addFinished(path string) {
	s.Helper()
	db, err := sql.Open("sqlite", path+"?_pragma=busy_timeout(60000)&_pragma=synchronous(off)&_pragma=cache_size(-400000)")
	if err != nil {
		s.Fatal(err)
	}
	defer db.Close()
	const base = 1000 // above what was handed in
	if _, err := db.Exec(`BEGIN IMMEDIATE;
		WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
		INSERT INTO deliveries (seq, id, event, content_type, bytes, received_at, status, generation, repo, ref, branch, sha, pusher, message)
		SELECT ?3 + i, 'd' || i, 'push', 'application/json', 7000, i, 'accepted', 0, 'acme/repo' || (i % 97), 'refs/heads/b' || (i % 31), 'b' || (i % 31),
			printf('%040x', i), 'ada', 'Make it faster' FROM n;
		WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?2)
		INSERT INTO runs (seq, id, listener, delivery, cause, event, repo, ref, branch, sha, status, attempt, queued_at, started_at, finished_at, ord, match_id, expires)
		SELECT ?3 + i, 'f' || i, 'listener' || (i % 50), ?3 + 1 + i % ?1, 'replay', 'push', 'acme/repo' || (i % 97), 'refs/heads/b' || (i % 31), 'b' || (i % 31),
			printf('%040x', i), CASE i % 10 WHEN 0 THEN 'failed' ELSE 'passed' END, 1, i, i, i + i % 1000, i, 1, 1 << 40 FROM n;
		INSERT INTO attempts (run, attempt, status, host, instance, start, key, started_at, finished_at, clock, limit_s, on_lost)
			SELECT seq, 1, status, 'build-1', 'i', 's', 'k', started_at, finished_at, 0, 0, 'fail' FROM runs WHERE seq > ?3;
		COMMIT`, benchDeliveries, benchRuns, base); err != nil {
		s.Fatal(err)
	}
}

// usedTime is what this process has used of the processors.
func usedTime() time.Duration {
	var usage syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
