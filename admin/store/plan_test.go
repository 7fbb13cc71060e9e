package store

import (
	"context"
	"database/sql"
	"regexp"
	"strings"
	"testing"
	"time"

	"lightspeed/api"
	"lightspeed/run"
)

var (
	wholeTable = regexp.MustCompile(`^SCAN (?:runs|deliveries|payloads|attempts|notices|rules)$`)
	byState    = regexp.MustCompile(`INDEX runs_l?r?b?s \((.*)\)`)
)

// unbounded reports whether a step of a query plan reads as much as there are runs, of all or of a listener: an index
// that orders runs by their state serves only who asks for a state.
func unbounded(step string) bool {
	columns := byState.FindStringSubmatch(step)
	return wholeTable.MatchString(step) || columns != nil && !strings.Contains(columns[1], "status=?")
}

// A million runs that have ended must cost a claim, a delivery and a page nothing. SQLite's planner knows no numbers,
// and takes the index of a whole listener as readily as that of the few runs that wait.
func TestPlans(t *testing.T) {
	t.Parallel()
	f := open(t)
	ctx := context.Background()
	l := f.listen("web", "a", func(s *api.Settings) { s.WhenBusy = api.Latest })
	f.accept(pushed("a", "b"), l.matched())
	a := f.acceptance(pushed("b", "c"), l.matched())
	a.Polled = true
	ref := l.claim()
	old := f.listen("web", "b", func(s *api.Settings) { s.MaxWaitS = 7 }) // other settings, and then other rules
	old.reg.Start, old.reg.Settings.Rules.Branches = "s2", []string{"main"}
	old.register()
	for _, op := range []func() error{
		func() error { a.Generation = f.Generation(); _, err := f.Accept(ctx, a); return err },
		func() error { return f.GiveUp(ctx, ref, "silent") },
		func() error { return f.Finish(ctx, ref, api.Finish{Status: run.Passed}) },
		func() error { _, err := f.Expire(ctx); return err },
		func() error { return f.Left(ctx, "web", "b", time.Now(), nil) },
		func() error { _, err := f.Stale(ctx, "web", 1, nil, 10); return err },
		func() error { _, err := f.Judged(ctx, "web", l.matched().MatchID); return err },
		func() error { _, err := f.Listeners(ctx, 10, ""); return err },
		func() error { _, err := f.Depths(ctx); return err },
		func() error { _, err := f.WaitingQueues(ctx); return err },
		func() error { _, err := f.Running(ctx); return err },
		func() error { _, err := f.Deliveries(ctx, 10, ""); return err },
		func() error {
			_, err := f.Runs(ctx, api.RunFilter{Listener: "web", Branch: "main", Limit: 10})
			return err
		},
		func() error { _, err := f.NewestResult(ctx, "web", "main"); return err },
		func() error { _, err := f.Recent(ctx, "web", 10); return err },
		func() error { _, err := f.ReceivedSince(ctx, time.Now(), 10); return err },
		func() error { _, err := f.NextTelling(ctx, "web", "b"); return err },
		func() error {
			_, err := f.Prune(ctx, Retention{Runs: Limits{Count: 1}, Logs: Limits{Count: 1}, Payloads: Limits{Count: 1}}, false)
			return err
		},
		func() error { return f.Restored(ctx, time.Now()) },
		func() error { return f.Remove(ctx, "web") },
	} {
		if err := op(); err != nil {
			t.Error(err)
		}
	}
	f.checkPlans()
}

// checkPlans looks at how SQLite carries out all that was asked so far.
func (f *fixture) checkPlans() {
	f.Helper()
	var queries []string
	if err := f.do(context.Background(), func(tx *Tx) error {
		queries = nil
		for query := range tx.w.stmts {
			queries = append(queries, query)
		}
		return nil
	}); err != nil {
		f.Fatal(err)
	}
	f.readStmts.Range(func(query, _ any) bool { queries = append(queries, query.(string)); return true })
	db, err := sql.Open("sqlite", dsn(f.path, "deferred"))
	if err != nil {
		f.Fatal(err)
	}
	defer db.Close()
	for _, query := range queries {
		for _, step := range f.plan(db, query) {
			if unbounded(step) {
				f.Errorf("%s\n\treads too much: %s", strings.Join(strings.Fields(query), " "), step)
			}
		}
	}
	if len(queries) < 60 {
		f.Errorf("only %d queries were looked at", len(queries))
	}
}

var parameter = regexp.MustCompile(`\?\d*`)

// plan asks with a null for each parameter.
func (f *fixture) plan(db *sql.DB, query string) (steps []string) {
	f.Helper()
	rows, err := db.Query("EXPLAIN QUERY PLAN "+query, make([]any, len(parameter.FindAllString(query, -1)))...)
	if err != nil {
		return nil // BEGIN and the like
	}
	defer rows.Close()
	for rows.Next() {
		var id, parent, unused int
		var step string
		if err := rows.Scan(&id, &parent, &unused, &step); err != nil {
			f.Fatal(err)
		}
		steps = append(steps, step)
	}
	return steps
}
