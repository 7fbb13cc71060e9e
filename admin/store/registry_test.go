package store

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"lightspeed/api"
	"lightspeed/run"
)

func TestOnlyAStartOrAReloadSetsRules(t *testing.T) {
	f := open(t)
	a := f.listen("web", "i1")
	b := f.listen("web", "i2", func(s *api.Settings) { s.Rules.Branches = []string{"main"} })
	if out := b.register(); out.Outdated || out.Revision != 2 || out.New {
		t.Fatalf("the newest: %+v", out)
	}
	for range 2 {
		if out := a.register(); !out.Outdated || out.Revision != 2 {
			t.Fatalf("a repeat of older settings: %+v", out)
		}
	}
	a.reg.Start = "s2"
	if out := a.register(); out.Outdated || out.Revision != 3 || !out.New {
		t.Fatalf("a new start with older settings: %+v", out)
	}
	if out := b.register(); !out.Outdated {
		t.Fatalf("the other instance: %+v", out)
	}
	b.reg.Revision, b.reg.Settings = 2, a.reg.Settings
	if out := b.register(); out.Outdated || out.Revision != 3 {
		t.Fatalf("a reload with the newest settings: %+v", out)
	}
	b.reg.Start, b.reg.Revision = "s0", 1 // was never seen: whoever comes later is newer
	if out := b.register(); out.Outdated {
		t.Fatalf("%+v", out)
	}
	b.reg.Start = "s1"
	if out := b.register(); !out.Outdated {
		t.Fatalf("the end of an older process: %+v", out)
	}
	l, err := f.Listener(t.Context(), "web")
	if err != nil || l.Revision != 3 || len(l.Instances) != 2 || l.Instances[0].Outdated || l.Instances[1].Outdated {
		t.Fatalf("%+v, %v", l, err)
	}
}

// Settings that are the same as another instance's, by whatever way, are the newest too.
func TestSameSettingsAreNotOutdated(t *testing.T) {
	f := open(t)
	a, b := f.listen("web", "i1"), f.listen("web", "i2", func(s *api.Settings) { s.Concurrency = 2 })
	b.reg.Revision, b.reg.Settings.Concurrency = 2, 1
	b.register()
	if out := a.register(); out.Outdated || out.Revision != 3 {
		t.Fatalf("%+v", out)
	}
	f.accept(pushed("1", "2"), a.matched())
	if ref := a.claim(); ref.Run == "" {
		t.Fatal("it gets no work")
	}
}

// recheck judges the runs that wait, and cancels those for which no is given.
func (f *fixture) recheck(listener string, matchID int64, no func(r StaleRun) string) {
	f.Helper()
	var last *StaleRun
	for {
		batch, err := f.Stale(context.Background(), listener, matchID, last, 2)
		if err != nil {
			f.Fatal(err)
		}
		if len(batch) == 0 {
			break
		}
		verdicts := make([]Verdict, len(batch))
		for i, r := range batch {
			verdicts[i] = Verdict{r, no(r)}
		}
		if err := f.Judge(context.Background(), listener, matchID, verdicts); err != nil {
			f.Fatal(err)
		}
		last = &batch[len(batch)-1]
	}
	done, err := f.Judged(context.Background(), listener, matchID)
	if !done || err != nil {
		f.Fatal(done, err)
	}
}

// A run that comes back to its queue in the commit that would end the check of its listener, or just before it, is not
// forgotten: it would hold its queue up for good.
func TestRunThatComesBackAsTheCheckEnds(t *testing.T) {
	f := open(t)
	l := f.listen("web", "i1")
	id := f.accept(pushed("1", "2"), l.matched())
	ref := l.claim()
	l.reg.Revision, l.reg.Settings.Rules.Branches = 2, []string{"main"}
	l.register()
	m := l.matched()
	before := f.stale.Load()
	var done bool
	err := f.do(t.Context(), func(tx *Tx) error {
		h, err := tx.held(ref)
		if err == nil {
			err = tx.finish(h, api.Finish{Status: run.NotStarted})
		}
		if err == nil {
			done, err = tx.judged("web", m.MatchID, before)
		}
		return err
	})
	if err != nil || done {
		t.Errorf("in one commit: %v, %v", done, err)
	}
	if err := f.do(t.Context(), func(tx *Tx) (err error) { done, err = tx.judged("web", m.MatchID, before); return err }); err != nil || done {
		t.Errorf("in the next commit: %v, %v", done, err)
	}
	f.recheck("web", m.MatchID, func(StaleRun) string { return "" })
	if ref := l.claim(); ref.Run != id || ref.Attempt != 2 {
		t.Errorf("claimed %v", ref)
	}
}

func TestRunsAreMatchedAgain(t *testing.T) {
	f := open(t)
	l := f.listen("web", "i1", func(s *api.Settings) { s.Concurrency = 2 })
	var ids []string
	for range 5 {
		ids = append(ids, f.accept(pushed("1", "2"), l.matched()))
	}
	old := l.matched()
	running := l.claim()
	l.reg.Revision, l.reg.Settings.Rules.Branches = 2, []string{"main"}
	l.register()
	if ref := l.claim(); ref.Run != "" {
		t.Fatalf("a run that is still to be matched was handed out: %v", ref)
	}
	waits := l.stand(t.Context())
	m := l.matched()
	if names, err := f.StaleListeners(t.Context()); err != nil || len(names) != 1 || names[0] != "web" {
		t.Fatal(names, err)
	}
	if err := f.Judge(t.Context(), "web", old.MatchID, nil); !errors.Is(err, ErrRulesChanged) {
		t.Errorf("judged by old rules: %v", err)
	}
	if done, err := f.Judged(t.Context(), "web", m.MatchID); done || err != nil {
		t.Errorf("done too early: %v, %v", done, err)
	}
	f.recheck("web", m.MatchID, func(r StaleRun) string {
		if r.Run == ids[2] {
			return "no more"
		}
		return ""
	})
	f.want(ids[2], run.Cancelled, "no more")
	f.want(running.Run, run.Running, "")
	f.finish(running, run.NotStarted) // decided by old rules, it is to be matched again
	if names, err := f.StaleListeners(t.Context()); err != nil || len(names) != 1 {
		t.Fatal(names, err)
	}
	if a := <-waits; a.err != nil || a.ref != (run.Ref{Run: ids[1], Attempt: 1}) {
		t.Fatalf("the first that was matched again: %v", a)
	}
	if ref := l.claim(); ref.Run != "" {
		t.Fatalf("a run that came back unmatched was handed out: %v", ref)
	}
	f.recheck("web", m.MatchID, func(StaleRun) string { return "" })
	if ref := l.claim(); ref != (run.Ref{Run: ids[0], Attempt: 2}) {
		t.Fatal(ref)
	}
	if names, err := f.StaleListeners(t.Context()); err != nil || len(names) != 0 {
		t.Fatal(names, err)
	}
}

// Settings that say nothing about what matches need no new match.
func TestOtherSettingsNeedNoNewMatch(t *testing.T) {
	f := open(t)
	l := f.listen("web", "i1")
	f.accept(pushed("1", "2"), l.matched())
	l.reg.Revision, l.reg.Settings.Concurrency = 2, 4
	l.register()
	if ref := l.claim(); ref.Run == "" {
		t.Fatal("nothing to claim")
	}
}

func TestRemove(t *testing.T) {
	f := open(t)
	l := f.listen("web", "i1")
	waiting, other := f.accept(pushed("1", "2"), l.matched()), f.accept(pushed("2", "3"), l.matched())
	ref := l.claim()
	before := f.Generation()
	if err := f.Remove(t.Context(), "web"); err != nil {
		t.Fatal(err)
	}
	if err := f.Remove(t.Context(), "web"); !api.IsCode(err, api.NotFound) {
		t.Errorf("removed twice: %v", err)
	}
	f.recheck("web", 0, func(StaleRun) string { return "listener web was removed" })
	f.want(other, run.Cancelled, "listener web was removed")
	f.finish(ref, run.Passed)
	f.want(waiting, run.Passed, "")
	if rules, err := f.RulesAsOf(t.Context(), before); err != nil || len(rules) != 1 || rules[0].Settings.Rules.Name != "web" {
		t.Errorf("the rules of then: %+v, %v", rules, err)
	}
	if rules, err := f.RulesAsOf(t.Context(), f.Generation()); err != nil || len(rules) != 0 {
		t.Errorf("the rules of now: %+v, %v", rules, err)
	}
	changes, generation, err := f.CurrentRules(t.Context(), before)
	if err != nil || generation != f.Generation() || len(changes) != 1 || changes[0].Settings != nil {
		t.Errorf("changes: %+v, %v", changes, err)
	}
	if out := l.register(); out.Outdated || out.Revision != 3 {
		t.Errorf("registered again: %+v", out)
	}
}

func TestInstancesThatAreAwayForLongAreForgotten(t *testing.T) {
	f := open(t)
	old := f.listen("web", "i1", func(s *api.Settings) { s.Concurrency = 2 })
	holds := f.listen("web", "i2", func(s *api.Settings) { s.Concurrency = 2 })
	f.listen("web", "i3", func(s *api.Settings) { s.Concurrency = 2 })
	f.listen("web", "i4", func(s *api.Settings) { s.Concurrency = 2 })
	f.accept(pushed("1", "2"), old.matched())
	holds.claim()
	long := time.Now().Add(-KeptAway - time.Hour)
	for _, id := range []string{"i1", "i2", "i4", "i3"} {
		at := long
		if id == "i3" {
			at = time.Now()
		}
		if err := f.Left(t.Context(), "web", id, at, []string{"i4"}); err != nil {
			t.Fatal(err)
		}
	}
	l, err := f.Listener(t.Context(), "web")
	var kept []string
	for _, i := range l.Instances {
		kept = append(kept, i.Instance)
	}
	if want := []string{"i2", "i3", "i4"}; err != nil || !slices.Equal(kept, want) {
		t.Fatalf("%v are kept, %v; want %v", kept, err, want)
	}
}

func TestListeners(t *testing.T) {
	f := open(t)
	for _, name := range []string{"c", "a", "b"} {
		f.listen(name, "i1", func(s *api.Settings) { s.Concurrency = 2 })
	}
	l := f.listen("a", "i2", func(s *api.Settings) { s.Concurrency = 2 })
	for range 4 {
		f.accept(pushed("1", "2"), l.matched())
	}
	lost, passed := l.claim(), l.claim()
	if err := f.GiveUp(t.Context(), lost, "gone"); err != nil {
		t.Fatal(err)
	}
	f.finish(passed, run.Passed)
	l.claim()
	page, err := f.Listeners(t.Context(), 2, "")
	if err != nil || len(page.Items) != 2 || page.Items[0].Name != "a" || page.Items[1].Name != "b" || *page.Next != "b" {
		t.Fatalf("%+v, %v", page, err)
	}
	a := page.Items[0]
	if a.Queued != 1 || a.Running != 1 || a.Held != 1 || len(a.Instances) != 2 || a.LastRun == nil || a.LastRun.ID != passed.Run {
		t.Errorf("%+v, %+v", a, a.LastRun)
	}
	page, err = f.Listeners(t.Context(), 2, *page.Next)
	if err != nil || len(page.Items) != 1 || page.Items[0].Name != "c" || page.Next != nil {
		t.Fatalf("%+v, %v", page, err)
	}
}

func TestEveryFilterOfRuns(t *testing.T) {
	f := open(t)
	l := f.listen("web", "i1")
	f.fill(7, 300, l.matched())
	all, err := f.Runs(t.Context(), api.RunFilter{Limit: 1000})
	if err != nil || len(all.Items) != 307 || all.Next != nil {
		t.Fatal(len(all.Items), err)
	}
	for _, filter := range pages {
		filter.Limit = 5
		var want, got []string
		for _, r := range all.Items {
			if holds(filter, r) {
				want = append(want, r.ID)
			}
		}
		for n := 0; ; n++ {
			page, err := f.Runs(t.Context(), filter)
			if err != nil || n > len(want) || len(page.Items) > 5 {
				t.Fatal(n, err)
			}
			for _, r := range page.Items {
				got = append(got, r.ID)
			}
			if page.Next == nil {
				break
			}
			filter.Before = *page.Next
		}
		if len(got) != len(want) {
			t.Fatalf("%+v: %d runs, want %d", filter, len(got), len(want))
		}
		for i := range got {
			if got[i] != want[i] {
				t.Fatalf("%+v: %s at %d, want %s", filter, got[i], i, want[i])
			}
		}
	}
	if _, err := f.Runs(t.Context(), api.RunFilter{Before: "?", Limit: 1}); !api.IsCode(err, api.BadRequest) {
		t.Errorf("a wrong cursor: %v", err)
	}
}

func holds(f api.RunFilter, r run.Run) bool {
	return (f.Listener == "" || f.Listener == r.Listener) && (f.Repo == "" || f.Repo == r.Repo) && (f.Status == "" || f.Status == r.Status) &&
		(f.Branch == "" || (r.Branch != nil && f.Branch == *r.Branch)) && (f.Delivery == "" || f.Delivery == r.Delivery)
}

func TestPlain(t *testing.T) {
	for d, want := range map[time.Duration]string{
		168 * time.Hour: "168h", 90 * time.Minute: "1h30m", 30 * time.Second: "30s", time.Hour + time.Second: "1h0m1s", 10 * time.Minute: "10m",
	} {
		if got := Plain(d); got != want {
			t.Errorf("%s is written %s, want %s", d, got, want)
		}
	}
}
