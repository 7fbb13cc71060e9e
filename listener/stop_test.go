package listener

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"lightspeed/run"
)

func TestStopLetsTheRunFinish(t *testing.T) {
	f := newFakeAdmin(t)
	gate := filepath.Join(t.TempDir(), "gate")
	s := listen(t, f, conf("echo begun; while [ ! -e "+gate+" ]; do sleep 0.02; done; echo done"), t.TempDir())
	r, next := f.push("r1"), f.push("r2")
	f.awaitLog(r, "begun")
	s.stop()
	eventually(t, "what it waits for", func() bool { return s.said.times(`msg="takes nothing new; finishes a run" run=r1`) == 1 })
	if s.Running() != 1 {
		t.Errorf("%d run", s.Running())
	}
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s.wait(t)
	if end := f.see(r).finish; end == nil || end.Status != run.Passed || f.logOf(r) != "begun\ndone\n" {
		t.Errorf("got %+v, log %q", end, f.logOf(r))
	}
	if f.see(next).claim.Attempt != 0 {
		t.Error("took new work")
	}
}

func TestCancelRuns(t *testing.T) {
	f := newFakeAdmin(t)
	s := listen(t, f, conf("echo begun; sleep 600"), t.TempDir())
	r := f.push("r1")
	f.awaitLog(r, "begun")
	s.stop()
	s.CancelRuns("the listener was told to stop")
	s.wait(t)
	if end := f.see(r).finish; end == nil || end.Status != run.Cancelled || end.Reason != "cancelled: the listener was told to stop" {
		t.Errorf("got %+v", end)
	}
}

// TestClaimCutByAStopIsGivenBack: admin grants a run at the moment in which the listener goes.
func TestClaimCutByAStopIsGivenBack(t *testing.T) {
	f := newFakeAdmin(t)
	s := launch(t, f, conf("true"), t.TempDir(), false)
	f.await("a claim", func() bool { return f.calls["claim"] > 0 })
	held := make(chan struct{})
	f.with(func() { f.hold["claim"] = held })
	// The standing claim is answered into the void: its listener has gone away just before.
	s.stop()
	r := f.push("r1")
	close(held)
	s.wait(t)
	if got := f.see(r); got.status != run.Queued || got.claim.Attempt != 1 {
		t.Errorf("run is %s after %d attempts", got.status, got.claim.Attempt)
	}
}

func TestResultStaysInTheJournalWhenAdminIsAway(t *testing.T) {
	f := newFakeAdmin(t)
	state := t.TempDir()
	c := conf("echo begun; read x </dev/null; sleep 0.2; echo done; exit 5")
	s := listen(t, f, c, state)
	r := f.push("r1")
	f.awaitLog(r, "begun")
	f.leave()
	eventually(t, "the run's end", func() bool { return s.said.times("run ended") == 1 })
	s.stop()
	s.wait(t)
	if s.said.times("stays in the journal") != 1 || len(s.journalled(t)) != 1 {
		t.Errorf("journal holds %v", s.journalled(t))
	}
	f.comeBack()
	s = launch(t, f, c, state, false)
	end := f.awaitEnd(r)
	if end.Status != run.Failed || *end.ExitCode != 5 || f.logOf(r) != "begun\ndone\nlightspeed: step 1: exit status 5\n" {
		t.Errorf("got %+v, log %q", end, f.logOf(r))
	}
	all := f.registered()
	if held := all[len(all)-1].Holds; len(held) != 1 || held[0] != r.ref() {
		t.Errorf("held %v", held)
	}
	eventually(t, "an empty journal", func() bool { return len(s.journalled(t)) == 0 })
}

func TestWhatCannotBeWrittenDownIsGivenBack(t *testing.T) {
	f := newFakeAdmin(t)
	state := t.TempDir()
	s := listen(t, f, conf("echo $LIGHTSPEED_ATTEMPT"), state)
	if err := os.Mkdir(filepath.Join(state, "attempts", "r1.1"), 0o700); err != nil {
		t.Fatal(err)
	}
	r := f.push("r1")
	end := f.awaitEnd(r)
	if end.Status != run.Passed || f.logOf(r) != "2\n" {
		t.Errorf("got %+v, log %q", end, f.logOf(r))
	}
	if s.said.times("run is not started: it cannot be written down") != 1 {
		t.Errorf("said %s", s.said)
	}
}

func TestTemporaryListenerIsForgotten(t *testing.T) {
	f := newFakeAdmin(t)
	s := launch(t, f, conf("true"), t.TempDir(), true)
	f.await("a claim", func() bool { return f.calls["claim"] > 0 })
	s.stop()
	s.wait(t)
	f.await("its removal", func() bool { return f.removed })
	if !f.registered()[0].Temporary {
		t.Errorf("registered %+v", f.registered()[0])
	}
}

func TestSecondListenerOnTheSameState(t *testing.T) {
	f := newFakeAdmin(t)
	state := t.TempDir()
	listen(t, f, conf("true"), state)
	_, err := New(Options{Config: conf("true"), Admin: f.client(), State: state, Log: slog.New(slog.DiscardHandler)})
	if want := fmt.Sprintf("state folder %s is in use by another lightspeed (pid %d)", state, os.Getpid()); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}
