package crash

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lightspeed/api"
	"lightspeed/run"
)

// A listener that is killed in mid run and stays away: its run is lost within the lease and a few seconds, with
// all that it had handed in; it keeps its slot, since it may still run, until someone releases it.
func TestListenerIsGone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	w.start()
	w.listener("first", nil, nil).start()
	r := w.runOf(w.send("gate"))
	other := w.runOf(w.send("other"))
	w.awaitLog(r.ID, 1, half(r.ID, 1))
	w.listener("second", nil, nil).start()
	w.listeners[0].Kill()
	killed := time.Now()
	r = w.awaitStatus(r.ID, run.Lost)
	if took := time.Since(killed); took > 2*time.Second+5*time.Second {
		t.Errorf("it was lost %v after the kill, with a lease of 2 s", took)
	}
	if reason := text(r.Reason); !strings.HasPrefix(reason, "listener on ") || !strings.HasSuffix(reason, " was not heard of for 2s") {
		t.Errorf("it was lost, since %q", reason)
	}
	if r.SlotHeldUntil == nil {
		t.Error("it keeps no slot")
	}
	if got, err := w.log(r.ID, 1); got != half(r.ID, 1) || err != nil {
		t.Errorf("its log is %q, %v", got, err)
	}
	if other = w.awaitStatus(other.ID, run.Queued); other.Attempt != 0 {
		t.Errorf("another started beside it: %+v", other)
	}
	w.open() // what was left of it ends by this
	w.await("the end of its script", func() bool { return len(w.alive()) == 0 })
	r, err := w.api.Release(t.Context(), r.ID)
	if w.must(err); r.Status != run.Lost || r.SlotHeldUntil != nil {
		t.Errorf("released: %+v", r)
	}
	w.awaitStatus(other.ID, run.Passed)
	if _, err := w.api.Release(t.Context(), r.ID); !api.IsCode(err, api.Conflict) {
		t.Errorf("released twice: %v", err)
	}
	w.settle()
	w.check()
}

// A listener that is killed in mid run and comes back: its run is lost at once, with all that was printed but
// what stood in the pipe, and what was left of it is ended before anything new starts.
func TestListenerComesBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{lease: "60s"})
	w.start()
	l := w.listener("machine", nil, nil)
	l.start()
	r := w.runOf(w.send("gate"))
	w.send("other")
	w.awaitLog(r.ID, 1, half(r.ID, 1))
	if len(w.alive()) == 0 {
		t.Fatal("the script does not run")
	}
	l.Kill()
	if len(w.alive()) == 0 {
		t.Fatal("the script went with its listener: nothing is left to be ended")
	}
	w.must(w.keep("machine"))
	l.start()
	began := time.Now()
	r = w.awaitStatus(r.ID, run.Lost)
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it was lost %v after its listener was back", took)
	}
	if got := text(r.Reason); got != "the listener was ended while it ran; what became of it is not known" {
		t.Errorf("it was lost, since %q", got)
	}
	if r.SlotHeldUntil != nil {
		t.Errorf("it keeps its slot until %v", r.SlotHeldUntil)
	}
	w.settle()
	w.check()
	w.checkKept()
	w.checkAttempts("lost")
}

// Only what the journal names is ended: a process that carries another run's marks is left alone.
func TestOnlyItsOwnLeftoversAreEnded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	w.start()
	l := w.listener("machine", nil, nil)
	l.start()
	stranger := &server{t: t}
	stranger.command.Name, stranger.command.Path, stranger.command.Args = "stranger", "/bin/sleep", []string{"600"}
	w.must(stranger.launch("LIGHTSPEED_RUN_ID=another", "LIGHTSPEED_ATTEMPT=1"))
	t.Cleanup(stranger.end)
	r := w.runOf(w.send("gate"))
	w.awaitLog(r.ID, 1, half(r.ID, 1))
	l.Kill()
	l.start()
	w.awaitStatus(r.ID, run.Lost)
	select {
	case <-stranger.Done():
		t.Error("a process of another run was ended")
	default:
	}
	w.settle()
	w.check()
}

// A listener that cannot reach admin for longer than its lease: the run goes on, keeps its slot though it counts
// as lost meanwhile, and is in the end what it was.
func TestListenerIsCutOff(t *testing.T) {
	for _, name := range []string{"mended before its end", "mended after its end"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, options{})
			w.start()
			link := w.link()
			w.listener("far", nil, link).start()
			r := w.runOf(w.send("gate"))
			w.awaitLog(r.ID, 1, half(r.ID, 1))
			w.listener("near", nil, nil).start()
			other := w.runOf(w.send("other"))
			link.Cut()
			if r = w.awaitStatus(r.ID, run.Lost); r.SlotHeldUntil == nil {
				t.Error("it keeps no slot")
			}
			if name == "mended before its end" {
				link.Mend()
				w.open()
			} else {
				w.open()
				w.await("the end of its script", func() bool { return w.marked("ended", r.ID, 1) })
				if other = w.awaitStatus(other.ID, run.Queued); other.Attempt != 0 {
					t.Errorf("another started beside it: %+v", other)
				}
				link.Mend()
			}
			r = w.awaitStatus(r.ID, run.Passed)
			if got := text(r.Reason); got != "reported late" {
				t.Errorf("it passed, and says %q", got)
			}
			w.settle()
			w.check()
			w.checkAttempts("passed")
		})
	}
}

// With on_lost requeue a run whose listener was cut off starts elsewhere, and never before it has ended here.
func TestRequeuedRunIsNeverThereTwice(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	w.start()
	link := w.link()
	requeue := settings{"on_lost": "requeue"}
	w.listener("far", requeue, link).start()
	r := w.runOf(w.send("gate"))
	w.awaitLog(r.ID, 1, half(r.ID, 1))
	w.listener("near", requeue, nil).start()
	link.Cut()
	w.await("the second attempt", func() bool { return w.marked("started", r.ID, 2) })
	w.awaitLog(r.ID, 2, half(r.ID, 2))
	link.Mend()
	w.open()
	r = w.awaitStatus(r.ID, run.Passed)
	if got := statuses(r); got != "lost passed" {
		t.Errorf("its attempts are %s", got)
	}
	w.settle()
	w.await("the end of what the first left in its journal", func() bool {
		held, err := os.ReadDir(w.attempts("far"))
		return err == nil && len(held) == 0
	})
	w.check()
}

// The same when the listener is killed, with a script that it can end no more.
func TestRequeuedRunOfAKilledListener(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	w.start()
	requeue := settings{"on_lost": "requeue"}
	l := w.listener("first", requeue, nil)
	l.start()
	r := w.runOf(w.send("gate"))
	w.awaitLog(r.ID, 1, half(r.ID, 1))
	w.listener("second", requeue, nil).start()
	l.Kill()
	w.await("the second attempt", func() bool { return w.marked("started", r.ID, 2) })
	w.open()
	r = w.awaitStatus(r.ID, run.Passed)
	if got := statuses(r); got != "lost passed" {
		t.Errorf("its attempts are %s", got)
	}
	l.start()
	w.settle()
	w.check()
}

// A machine falls asleep just as it is given a run, and wakes up when another has it: it does not start it.
func TestRequeuedRunIsNotStartedLate(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	w.start()
	requeue := settings{"on_lost": "requeue"}
	sleeper := w.listener("sleeper", requeue, nil)
	sleeper.start()
	w.await("its claim", func() bool {
		l, err := w.api.Listener(t.Context(), "job")
		return err == nil && l.Connected && len(l.Instances) == 1
	})
	w.awaitStatus(w.runOf(w.send("main")).ID, run.Passed)
	pause(t, 500*time.Millisecond) // its next claim stands
	sleeper.freeze()
	r := w.runOf(w.send("gate"))
	w.awaitStatus(r.ID, run.Running)
	w.listener("other", requeue, nil).start()
	w.await("the second attempt", func() bool { return w.marked("started", r.ID, 2) })
	w.awaitLog(r.ID, 2, half(r.ID, 2))
	sleeper.thaw()
	w.await("an empty journal of the sleeper", func() bool {
		held, err := os.ReadDir(w.attempts("sleeper"))
		return err == nil && len(held) == 0 && strings.Contains(sleeper.Log(), r.ID)
	})
	if w.marked("started", r.ID, 1) {
		t.Error("the first attempt was started though another had the run")
	}
	w.open()
	w.settle()
	w.check()
}

// A listener that is frozen for longer than its lease reports late, as one that was cut off does.
func TestListenerIsFrozen(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	w.start()
	l := w.listener("machine", nil, nil)
	l.start()
	r := w.runOf(w.send("gate"))
	w.awaitLog(r.ID, 1, half(r.ID, 1))
	l.freeze()
	w.awaitStatus(r.ID, run.Lost)
	w.open()
	l.thaw()
	if r = w.awaitStatus(r.ID, run.Passed); text(r.Reason) != "reported late" {
		t.Errorf("it passed, and says %q", text(r.Reason))
	}
	w.settle()
	w.check()
}

// A torn journal: never is a run said not to have started that may have, and nothing is said of the others.
func TestTornJournal(t *testing.T) {
	damages := []struct {
		name string
		do   func(records []byte) []byte
	}{
		{"empty", func([]byte) []byte { return nil }},
		{"claim cut", func(records []byte) []byte { return records[:20] }},
		{"claim overwritten", func(records []byte) []byte { copy(records, "torn"); return records }},
		{"process cut", func(records []byte) []byte { return records[:len(records)-5] }},
		{"result cut", func(records []byte) []byte { return append(records, `{"result":{"status":"pas`...) }},
	}
	for _, damage := range damages {
		t.Run(damage.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, options{})
			w.start()
			l := w.listener("machine", nil, nil)
			l.start()
			r := w.runOf(w.send("gate"))
			w.send("other")
			w.awaitLog(r.ID, 1, half(r.ID, 1))
			l.Kill()
			w.must(w.keep("machine"))
			file := filepath.Join(w.attempts("machine"), r.ID+".1", "records")
			records, err := os.ReadFile(file)
			w.must(err)
			w.must(os.WriteFile(file, damage.do(records), 0o600))
			l.start()
			w.awaitStatus(r.ID, run.Lost)
			w.open()
			w.settle()
			w.check()
			w.checkKept()
			w.checkAttempts("lost")
		})
	}
}

// A listener whose identity is torn is another one: what it ran is lost by its lease, and keeps its slot.
func TestTornIdentity(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	w.start()
	l := w.listener("machine", nil, nil)
	l.start()
	r := w.runOf(w.send("gate"))
	w.awaitLog(r.ID, 1, half(r.ID, 1))
	l.Kill()
	w.must(os.WriteFile(filepath.Join(w.listenerState("machine"), "listener", "job", "instance.json"), []byte("{"), 0o600))
	l.start()
	if r = w.awaitStatus(r.ID, run.Lost); len(w.alive()) != 0 {
		t.Error("its script still runs")
	}
	w.send("other")
	w.settle()
	w.check()
	w.checkAttempts("lost")
}
