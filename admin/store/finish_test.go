package store

import (
	"testing"

	"lightspeed/api"
	"lightspeed/run"
)

func requeue(s *api.Settings) { s.OnLost = api.Requeue }

func TestFinish(t *testing.T) {
	for _, status := range []run.State{run.Passed, run.Failed, run.Errored, run.TimedOut, run.Cancelled, run.Lost} {
		f := open(t)
		l := f.listen("web", "i1")
		id := f.accept(pushed("1", "2"), l.matched())
		ref := l.claim()
		three := 3
		done := api.Finish{Status: status, Reason: "because", ExitCode: &three, LogBytes: 7, LogCut: true}
		for range 2 { // a repeat is taken
			if err := f.Finish(t.Context(), ref, done); err != nil {
				t.Fatal(err)
			}
		}
		r := f.want(id, status, "because")
		a := r.Attempts[0]
		if *r.ExitCode != 3 || r.LogBytes != 7 || !r.LogCut || r.FinishedAt == nil || r.StartedAt == nil || r.SlotHeldUntil != nil {
			t.Errorf("%s: %+v", status, r)
		}
		if a.Status != status || *a.Reason != "because" || *a.ExitCode != 3 || a.LogBytes != 7 || !a.LogCut || a.Host != "box-i1" || a.FinishedAt == nil {
			t.Errorf("%s: %+v", status, a)
		}
		other := run.Passed
		if status == run.Passed {
			other = run.Failed
		}
		err := f.Finish(t.Context(), ref, api.Finish{Status: other})
		if late := status == run.Lost; late != (err == nil) || (!late && !api.IsCode(err, api.AttemptOver)) {
			t.Errorf("%s, then %s: %v", status, other, err)
		}
	}
}

func TestFinishOfNothing(t *testing.T) {
	f := open(t)
	if err := f.Finish(t.Context(), run.Ref{Run: "none", Attempt: 1}, api.Finish{Status: run.Passed}); !api.IsCode(err, api.NotFound) {
		t.Fatal(err)
	}
}

// A lost run keeps its slot; what becomes of it then.
func TestLostRunKeepsItsSlot(t *testing.T) {
	const reason = "listener on box-i1 was not heard of for 30s"
	lose := func(t *testing.T) (*fixture, *instance, run.Ref, string) {
		f := open(t)
		l := f.listen("web", "i1")
		f.accept(pushed("1", "2"), l.matched())
		next := f.accept(pushed("2", "3"), l.matched())
		ref := l.claim()
		for range 2 {
			if err := f.GiveUp(t.Context(), ref, reason); err != nil {
				t.Fatal(err)
			}
		}
		if r := f.want(ref.Run, run.Lost, reason); r.SlotHeldUntil == nil || *r.Attempts[0].Reason != reason {
			t.Fatalf("%+v", r)
		}
		if other := l.claim(); other.Run != "" {
			t.Fatalf("its slot was given to %v", other)
		}
		return f, l, ref, next
	}
	freed := func(f *fixture, l *instance, ref run.Ref, next string) {
		f.Helper()
		if r := f.run(ref.Run); r.SlotHeldUntil != nil {
			f.Errorf("slot still held until %v", r.SlotHeldUntil)
		}
		if got := l.claim(); got.Run != next {
			f.Errorf("next is %v, want %s", got, next)
		}
	}
	t.Run("reported late", func(t *testing.T) {
		f, l, ref, next := lose(t)
		if err := f.Finish(t.Context(), ref, api.Finish{Status: run.Failed, Reason: "exit status 1"}); err != nil {
			t.Fatal(err)
		}
		f.want(ref.Run, run.Failed, "exit status 1; reported late")
		freed(f, l, ref, next)
	})
	t.Run("reported lost", func(t *testing.T) {
		f, l, ref, next := lose(t)
		if err := f.Finish(t.Context(), ref, api.Finish{Status: run.Lost, LogBytes: 5}); err != nil {
			t.Fatal(err)
		}
		if r := f.want(ref.Run, run.Lost, reason); r.LogBytes != 5 || r.Attempts[0].LogBytes != 5 {
			t.Errorf("%+v", r)
		}
		freed(f, l, ref, next)
	})
	t.Run("its instance is back without it", func(t *testing.T) {
		f, l, ref, next := lose(t)
		l.register()
		f.want(ref.Run, run.Lost, reason)
		freed(f, l, ref, next)
	})
	t.Run("its instance is back with it", func(t *testing.T) {
		_, l, ref, _ := lose(t)
		l.register(ref)
		if got := l.claim(); got.Run != "" {
			t.Errorf("its slot was given to %v", got)
		}
	})
	t.Run("an older process of its instance ends", func(t *testing.T) {
		f, l, ref, _ := lose(t)
		l.reg.Start = "s2"
		l.register(ref)
		l.reg.Start = "s1"
		l.register()
		if r := f.run(ref.Run); r.SlotHeldUntil == nil {
			t.Error("its slot was freed")
		}
	})
	t.Run("another instance is there", func(t *testing.T) {
		f, l, _, _ := lose(t)
		f.listen("web", "i2")
		if got := l.claim(); got.Run != "" {
			t.Errorf("its slot was given to %v", got)
		}
	})
	t.Run("released", func(t *testing.T) {
		f, l, ref, next := lose(t)
		if err := f.Cancel(t.Context(), ref.Run, api.Cancel{}); !api.IsCode(err, api.Conflict) {
			t.Errorf("cancelled: %v", err)
		}
		if err := f.Release(t.Context(), ref.Run); err != nil {
			t.Fatal(err)
		}
		if err := f.Release(t.Context(), ref.Run); !api.IsCode(err, api.Conflict) {
			t.Errorf("released twice: %v", err)
		}
		freed(f, l, ref, next)
	})
	t.Run("timeout and grace have passed", func(t *testing.T) {
		f, l, ref, next := lose(t)
		f.clock.Add(69)
		if _, err := f.Expire(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := l.claim(); got.Run != "" {
			t.Fatalf("a second early: %v", got)
		}
		f.clock.Add(1)
		if _, err := f.Expire(t.Context()); err != nil {
			t.Fatal(err)
		}
		freed(f, l, ref, next)
	})
}

func TestRequeueWhenLost(t *testing.T) {
	f := open(t)
	l := f.listen("web", "i1", requeue)
	id := f.accept(pushed("1", "2"), l.matched())
	f.accept(pushed("2", "3"), l.matched())
	first := l.claim()
	if err := f.GiveUp(t.Context(), first, "gone"); err != nil {
		t.Fatal(err)
	}
	if r := f.want(id, run.Queued, "gone"); r.StartedAt != nil || r.Attempts[0].Status != run.Lost {
		t.Errorf("%+v", r)
	}
	second := l.claim()
	if second != (run.Ref{Run: id, Attempt: 2}) {
		t.Fatalf("it lost its place: %v", second)
	}
	for _, status := range []run.State{run.Passed, run.Cancelled} {
		if err := f.Finish(t.Context(), first, api.Finish{Status: status}); !api.IsCode(err, api.AttemptOver) {
			t.Errorf("a late result after the second attempt: %v", err)
		}
	}
	if err := f.GiveUp(t.Context(), second, "gone"); err != nil {
		t.Fatal(err)
	}
	if err := f.Finish(t.Context(), first, api.Finish{Status: run.Passed}); !api.IsCode(err, api.AttemptOver) {
		t.Errorf("a late result after the second attempt was lost, too: %v", err)
	}
	third := l.claim()
	f.finish(third, run.Passed)
	r := f.want(id, run.Passed, "")
	if len(r.Attempts) != 3 || r.Attempts[0].Status != run.Lost || r.Attempts[1].Status != run.Lost || r.Attempts[2].Status != run.Passed {
		t.Errorf("%+v", r.Attempts)
	}
}

// A late result comes while the run waits for its second attempt: it is what it really was.
func TestLateResultOfARequeuedRun(t *testing.T) {
	f := open(t)
	l := f.listen("web", "i1", requeue)
	id := f.accept(pushed("1", "2"), l.matched())
	ref := l.claim()
	if err := f.GiveUp(t.Context(), ref, "gone"); err != nil {
		t.Fatal(err)
	}
	if err := f.Finish(t.Context(), ref, api.Finish{Status: run.Lost}); err != nil {
		t.Fatal(err)
	}
	f.want(id, run.Queued, "gone")
	if err := f.Finish(t.Context(), ref, api.Finish{Status: run.Passed}); err != nil {
		t.Fatal(err)
	}
	f.want(id, run.Passed, "reported late")
	if next := l.claim(); next.Run != "" {
		t.Fatalf("it runs again: %v", next)
	}
}

// A run that takes its machine down with it does so five times, and not for ever.
func TestRequeueEnds(t *testing.T) {
	f := open(t)
	l := f.listen("web", "i1", requeue)
	byLease, byListener := f.accept(pushed("1", "2"), l.matched()), f.accept(pushed("2", "3"), l.matched())
	for range maxLost {
		if err := f.GiveUp(t.Context(), l.claim(), "gone"); err != nil {
			t.Fatal(err)
		}
	}
	f.want(byLease, run.Lost, "gone; lost 5 times, so it is not started again")
	if err := f.Release(t.Context(), byLease); err != nil {
		t.Fatal(err)
	}
	for range maxLost {
		f.finish(l.claim(), run.Lost)
	}
	f.want(byListener, run.Lost, "lost 5 times, so it is not started again")
	if next := l.claim(); next.Run != "" {
		t.Fatalf("it runs again: %v", next)
	}
}

func TestRequeueWhenItsListenerSaysLost(t *testing.T) {
	f := open(t)
	l := f.listen("web", "i1", requeue)
	id := f.accept(pushed("1", "2"), l.matched())
	f.finish(l.claim(), run.Lost)
	f.want(id, run.Queued, "")
	if next := l.claim(); next != (run.Ref{Run: id, Attempt: 2}) {
		t.Fatal(next)
	}
}

func TestNotStartedGoesBack(t *testing.T) {
	f := open(t)
	l := f.listen("web", "i1", func(s *api.Settings) { s.Concurrency = 2 })
	first, second := f.accept(pushed("1", "2"), l.matched()), f.accept(pushed("2", "3"), l.matched())
	f.accept(pushed("3", "4"), l.matched())
	held, missing := l.claim(), l.claim()
	l.register(held) // a repeat decides nothing: a claim's answer may be on its way
	f.want(second, run.Running, "")
	l.reg.Start = "s2"
	if out := l.register(held); len(out.Renewed) != 1 || out.Renewed[0] != held {
		t.Errorf("renewed %v", out.Renewed)
	}
	f.want(first, run.Running, "")
	r := f.want(second, run.Queued, notStarted)
	if a := r.Attempts[0]; a.Status != run.NotStarted || *a.Reason != notStarted {
		t.Errorf("%+v", a)
	}
	if next := l.claim(); next != (run.Ref{Run: second, Attempt: 2}) {
		t.Errorf("it lost its place: %v", next)
	}
	if err := f.Finish(t.Context(), missing, api.Finish{Status: run.Passed}); !api.IsCode(err, api.AttemptOver) {
		t.Errorf("a result of what never started: %v", err)
	}
}

// Runs that come back to their queue end there when someone had asked for that, or a newer took their place.
func TestComingBackToTheQueue(t *testing.T) {
	f := open(t)
	l := f.listen("web", "i1", requeue)
	id := f.accept(pushed("1", "2"), l.matched())
	ref := l.claim()
	for range 2 {
		if err := f.Cancel(t.Context(), id, api.Cancel{By: "ann", Why: "wrong branch"}); err != nil {
			t.Fatal(err)
		}
	}
	f.finish(ref, run.NotStarted)
	f.want(id, run.Cancelled, "cancelled by ann: wrong branch")

	latest := f.listen("latest", "i2", func(s *api.Settings) { s.WhenBusy = api.Latest })
	older := f.accept(pushed("1", "2"), latest.matched())
	ref = latest.claim()
	newer := f.accept(pushed("2", "3"), latest.matched())
	f.finish(ref, run.NotStarted)
	f.want(older, run.Superseded, "superseded by run "+newer)
	if next := latest.claim(); next.Run != newer {
		t.Fatal(next)
	}
}

func TestCancel(t *testing.T) {
	f := open(t)
	l := f.listen("web", "i1")
	first, second := f.accept(pushed("1", "2"), l.matched()), f.accept(pushed("2", "3"), l.matched())
	ref := l.claim()
	if err := f.Cancel(t.Context(), second, api.Cancel{}); err != nil {
		t.Fatal(err)
	}
	f.want(second, run.Cancelled, "cancelled")
	if err := f.Cancel(t.Context(), second, api.Cancel{}); !api.IsCode(err, api.Conflict) {
		t.Errorf("a run that has ended: %v", err)
	}
	if err := f.Cancel(t.Context(), "none", api.Cancel{}); !api.IsCode(err, api.NotFound) {
		t.Errorf("no run: %v", err)
	}
	if err := f.Cancel(t.Context(), first, api.Cancel{Why: "wrong"}); err != nil {
		t.Fatal(err)
	}
	if r := f.want(first, run.Running, ""); r.CancelRequestedAt == nil {
		t.Error("no cancel was noted")
	}
	held, err := f.Attempt(t.Context(), ref)
	if err != nil || held.Cancel == nil || held.Cancel.Why != "wrong" || !held.Taken() {
		t.Errorf("%+v, %v", held, err)
	}
	f.finish(ref, run.Passed) // it was done before the cancel reached it
	f.want(first, run.Passed, "")
}

// A run that someone asked to end is not started anew when its listener is lost.
func TestLostRunThatWasToEndIsNotRequeued(t *testing.T) {
	f := open(t)
	l := f.listen("web", "i1", requeue)
	id := f.accept(pushed("1", "2"), l.matched())
	ref := l.claim()
	if err := f.Cancel(t.Context(), id, api.Cancel{By: "ann"}); err != nil {
		t.Fatal(err)
	}
	if err := f.GiveUp(t.Context(), ref, "gone"); err != nil {
		t.Fatal(err)
	}
	f.want(id, run.Lost, "gone")
}

// Whoever paused a listener is told why its runs went.
func TestMaxWaitWhilePaused(t *testing.T) {
	f := open(t)
	l := f.listen("web", "i1", func(s *api.Settings) { s.MaxWaitS = 3600 })
	id := f.accept(pushed("1", "2"), l.matched())
	if err := f.Pause(t.Context(), "web", api.Pause{}); err != nil {
		t.Fatal(err)
	}
	f.clock.Add(3600)
	if _, err := f.Expire(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.want(id, run.Cancelled, "no listener took it within max_wait, 1h: the listener is paused")
}

func TestMaxWait(t *testing.T) {
	f := open(t)
	l := f.listen("web", "i1", func(s *api.Settings) { s.MaxWaitS = 3600 })
	var ids []string
	for range maxExpired + 1 {
		ids = append(ids, f.accept(pushed("1", "2"), l.matched()))
	}
	running := l.claim()
	f.clock.Add(3599)
	if more, err := f.Expire(t.Context()); more || err != nil {
		t.Fatal(more, err)
	}
	f.want(ids[1], run.Queued, "")
	f.clock.Add(1)
	for more, n := true, 0; more; n++ {
		var err error
		if more, err = f.Expire(t.Context()); err != nil || n > 2 {
			t.Fatal(n, err)
		}
	}
	for _, id := range ids[1:] {
		f.want(id, run.Cancelled, "no listener took it within max_wait, 1h")
	}
	f.want(running.Run, run.Running, "")
	f.finish(running, run.NotStarted) // it waits anew
	if _, err := f.Expire(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.want(running.Run, run.Queued, "")
}
