package crash

import (
	"testing"
	"time"

	"lightspeed/api"
	"lightspeed/run"
)

// admin is killed and away for longer than a lease while a run goes on and ends: the run is not disturbed, and
// its log and its result arrive whole.
func TestAdminIsAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	w.start()
	w.listener("machine", nil, nil).start()
	r := w.runOf(w.send("gate"))
	w.awaitLog(r.ID, 1, half(r.ID, 1))
	w.admin.Kill()
	w.send("spooled")
	pause(t, 4*time.Second) // two leases
	w.open()
	w.await("the end of its script", func() bool { return w.marked("ended", r.ID, 1) })
	pause(t, time.Second)
	w.admin.start()
	w.settle()
	w.check()
	w.checkAttempts("passed")
}

// admin is frozen for longer than a lease: nobody is lost by that, neither a run nor a listener.
func TestAdminIsFrozen(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	w.start()
	w.listener("machine", nil, nil).start()
	r := w.runOf(w.send("gate"))
	w.awaitLog(r.ID, 1, half(r.ID, 1))
	for range 2 {
		w.admin.freeze()
		pause(t, 3*time.Second)
		w.admin.thaw()
		pause(t, 1500*time.Millisecond) // ticks that were missed, and leases that are renewed
		if r = w.awaitStatus(r.ID, run.Running, run.Lost); r.Status != run.Running {
			t.Fatalf("the run is %s: %s", r.Status, text(r.Reason))
		}
	}
	w.open()
	w.settle()
	w.check()
	w.checkAttempts("passed")
}

// A run that no listener takes within max_wait is cancelled, also when admin is killed meanwhile.
func TestMaxWait(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	w.start()
	l := w.listener("machine", settings{"max_wait": "4s"}, nil)
	l.start()
	if err := l.Stop(patience); err != nil {
		t.Error(err)
	}
	r := w.runOf(w.send("one"))
	w.admin.Kill()
	w.admin.start()
	r = w.awaitStatus(r.ID, run.Cancelled)
	if got := text(r.Reason); got != "no listener took it within max_wait, 4s" || len(r.Attempts) != 0 {
		t.Errorf("%+v: %s", r, got)
	}
	l.start()
	w.send("two")
	w.settle()
	w.check()
	w.checkAttempts("none")
}

// Of two machines with other configs the one that started last counts: the other finishes what it runs, takes
// nothing new, and is shown as outdated. Started again, it is the newest.
func TestOutdatedInstance(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	w.start()
	old := w.listener("old", nil, nil)
	old.start()
	r := w.runOf(w.send("gate"))
	w.awaitLog(r.ID, 1, half(r.ID, 1))
	fresh := w.listener("new", settings{"branches": []string{"gate", "two", "three"}}, nil)
	fresh.start()
	w.open()
	w.awaitStatus(r.ID, run.Passed)
	for range 3 {
		next := w.awaitStatus(w.runOf(w.send("two")).ID, run.Passed)
		if next.Attempt != 1 {
			t.Errorf("%+v", next)
		}
	}
	if got := w.outdated(); got != 1 {
		t.Errorf("%d instances are outdated, want one", got)
	}
	w.must(fresh.Stop(patience))
	waits := w.runOf(w.send("three"))
	pause(t, 2*time.Second) // the outdated one asks, and must get nothing
	if waits = w.awaitStatus(waits.ID, run.Queued, run.Running, run.Passed); waits.Status != run.Queued {
		t.Errorf("the outdated machine took a run: %+v", waits)
	}
	w.must(old.Stop(patience))
	old.start() // its rules are the newest again, and match
	w.awaitStatus(waits.ID, run.Passed)
	w.settle()
	w.check()
	w.checkAttempts("passed")
}

func (w *world) outdated() int {
	l, err := w.api.Listener(w.t.Context(), "job")
	w.must(err)
	n := 0
	for _, i := range l.Instances {
		if i.Outdated {
			n++
		}
	}
	return n
}

// A listener that is removed while it is connected comes back by itself; its runs that waited are cancelled.
func TestRemovedListener(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	w.start()
	l := w.listener("machine", nil, nil)
	l.start()
	r := w.runOf(w.send("gate"))
	waits := w.runOf(w.send("other"))
	w.awaitLog(r.ID, 1, half(r.ID, 1))
	if err := w.api.RemoveListener(t.Context(), "job", false); !api.IsCode(err, api.Conflict) {
		t.Errorf("a connected listener was removed: %v", err)
	}
	w.must(w.api.RemoveListener(t.Context(), "job", true))
	waits = w.awaitStatus(waits.ID, run.Cancelled)
	if got := text(waits.Reason); got != "listener job was removed" {
		t.Errorf("cancelled, since %q", got)
	}
	w.open()
	w.awaitStatus(r.ID, run.Passed)
	w.awaitListener()
	w.awaitStatus(w.runOf(w.send("more")).ID, run.Passed)
	w.settle()
	w.check()
}

// pause lets time go by that is itself what is tried: an outage of this length.
func pause(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-time.After(d):
	case <-t.Context().Done():
	}
}
