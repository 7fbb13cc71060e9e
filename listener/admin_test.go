package listener

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lightspeed/api"
	"lightspeed/listener/config"
	"lightspeed/run"
)

func TestAdminAwayDuringARun(t *testing.T) {
	f := newFakeAdmin(t)
	gate := filepath.Join(t.TempDir(), "gate")
	s := listen(t, f, conf("echo first; while [ ! -e "+gate+" ]; do sleep 0.02; done; seq 1 20000; exit 4"), t.TempDir())
	r := f.push("r1")
	f.awaitLog(r, "first\n")
	f.leave()
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the run's end", func() bool { return s.said.times("run ended") == 1 && s.said.times("waits for admin") == 1 })
	f.comeBack()
	end := f.awaitEnd(r)
	if end.Status != run.Failed || *end.ExitCode != 4 {
		t.Errorf("got %+v", end)
	}
	log := f.logOf(r)
	if !strings.HasPrefix(log, "first\n1\n2\n") || !strings.HasSuffix(log, "\n20000\nlightspeed: step 1: exit status 4\n") || len(log) != int(end.LogBytes) {
		t.Errorf("log of %d bytes, want %d", len(log), end.LogBytes)
	}
	eventually(t, "a word that admin is back", func() bool { return s.said.times("admin is back at") == 1 })
	if n := s.said.times("waits for admin at " + f.server.URL); n != 1 {
		t.Errorf("said %d times that it waits", n)
	}
}

func TestListenerWaitsForAdmin(t *testing.T) {
	f := newFakeAdmin(t)
	f.away = true
	s := launch(t, f, conf("true"), t.TempDir(), false)
	f.await("two tries", func() bool { return f.calls["{name}"] > 1 })
	f.comeBack()
	f.awaitEnd(f.push("r1"))
	if s.said.times("waits for admin") != 1 {
		t.Errorf("said %s", s.said)
	}
}

// TestRequeueEndsTheRunInTime: admin may start such a run elsewhere when the lease is over.
func TestRequeueEndsTheRunInTime(t *testing.T) {
	f := newFakeAdmin(t)
	f.lease = 3
	beat := filepath.Join(t.TempDir(), "beat")
	c := conf("trap '' TERM; sleep 600 & echo begun; while :; do touch " + beat + "; sleep 0.02; done")
	c.OnLost = config.Requeue
	s := listen(t, f, c, t.TempDir())
	r := f.push("r1")
	f.awaitLog(r, "begun")
	f.await("a renewal", func() bool { return f.calls["renew"] > 1 })
	f.leave()
	left := time.Now()
	eventually(t, "the run's end", func() bool { return s.said.times("run ended") == 1 })
	last, err := os.Stat(beat)
	if err != nil {
		t.Fatal(err)
	}
	if ran := last.ModTime().Sub(left); ran > time.Duration(f.lease)*time.Second {
		t.Errorf("it ran for %v without a lease of %d s", ran, f.lease)
	}
	f.comeBack()
	end := f.awaitEnd(r)
	if end.Status != run.Lost || !strings.HasPrefix(end.Reason, "no renewal was answered for 2.5s, ") {
		t.Errorf("got %+v", end)
	}
}

// TestRequeuedRunIsNotStartedLate: when the answer to the claim is read late, another may have the run.
func TestRequeuedRunIsNotStartedLate(t *testing.T) {
	f := newFakeAdmin(t)
	late := make(chan struct{})
	f.delay["claim"] = late
	c := conf("echo begun")
	c.OnLost = config.Requeue
	s := listen(t, f, c, t.TempDir())
	r := f.push("r1")
	f.await("a claim", func() bool { return r.status == run.Running })
	f.with(func() { r.over = true; delete(f.delay, "claim") })
	close(late)
	next := f.push("r2")
	if end := f.awaitEnd(next); end.Status != run.Passed || f.logOf(next) != "begun\n" {
		t.Errorf("the next run: %+v, %q", end, f.logOf(next))
	}
	eventually(t, "an empty journal", func() bool { return len(s.journalled(t)) == 0 })
	if s.said.times("run started") != 1 || f.see(r).finish != nil || f.logOf(r) != "" {
		t.Errorf("it was started: %s", s.said)
	}
}

func TestAttemptThatIsOverIsEndedAndDropped(t *testing.T) {
	f := newFakeAdmin(t)
	s := listen(t, f, conf("echo begun; [ $LIGHTSPEED_RUN_ID = r2 ] || sleep 600"), t.TempDir())
	r := f.push("r1")
	f.awaitLog(r, "begun")
	f.with(func() { r.over = true })
	eventually(t, "an empty journal", func() bool { return len(s.journalled(t)) == 0 })
	if n := s.said.times("admin takes nothing more of this attempt"); n != 1 {
		t.Errorf("said it %d times", n)
	}
	if end := f.awaitEnd(f.push("r2")); end.Status == "" {
		t.Error("no new run was taken")
	}
	if end := f.see(r).finish; end != nil {
		t.Errorf("reported %+v", end)
	}
}

// TestRenewalThatCrossesTheReport: a lease that ended with the run is no news.
func TestRenewalThatCrossesTheReport(t *testing.T) {
	f := newFakeAdmin(t)
	delayed := make(chan struct{})
	f.delay["finish"] = delayed
	s := listen(t, f, conf("true"), t.TempDir())
	r := f.push("r1")
	f.await("the end", func() bool { return r.ends == 1 && f.calls["renew"] > 0 })
	eventually(t, "a renewal after it", func() bool { return f.answered("renew") > 0 })
	close(delayed)
	eventually(t, "an empty journal", func() bool { return len(s.journalled(t)) == 0 })
	if s.said.times("admin takes nothing more") != 0 {
		t.Errorf("said %s", s.said)
	}
}

func TestLogThatAdminLostIsSentAgain(t *testing.T) {
	f := newFakeAdmin(t)
	gate := filepath.Join(t.TempDir(), "gate")
	listen(t, f, conf("seq 1 1000; while [ ! -e "+gate+" ]; do sleep 0.02; done; echo last"), t.TempDir())
	r := f.push("r1")
	f.awaitLog(r, "\n1000\n")
	f.with(func() { r.log = r.log[:17] })
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	f.awaitEnd(r)
	if log := f.logOf(r); !strings.HasPrefix(log, "1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n") || !strings.HasSuffix(log, "\n999\n1000\nlast\n") {
		t.Errorf("log of %d bytes", len(log))
	}
}

func TestFinishWaitsForTheWholeLog(t *testing.T) {
	f := newFakeAdmin(t)
	held := make(chan struct{})
	f.hold["finish"] = held
	listen(t, f, conf("seq 1 1000"), t.TempDir())
	r := f.push("r1")
	f.await("a finish", func() bool { return f.calls["finish"] > 0 })
	f.with(func() { r.log = r.log[:5] })
	close(held)
	end := f.awaitEnd(r)
	if log := f.logOf(r); int64(len(log)) != end.LogBytes || !strings.HasSuffix(log, "\n1000\n") {
		t.Errorf("log of %d bytes, want %d", len(log), end.LogBytes)
	}
}

func TestRefusalsForNowAreSaidOnceAndTriedAgain(t *testing.T) {
	f := newFakeAdmin(t)
	s := listen(t, f, conf("echo hello"), t.TempDir())
	full := api.Errorf(503, api.Unavailable, "no space left")
	f.with(func() { f.refuse["log"], f.refuse["finish"] = full, full })
	r := f.push("r1")
	f.await("three tries", func() bool { return f.calls["log"] > 2 })
	f.with(func() { delete(f.refuse, "log") })
	f.await("three tries", func() bool { return f.calls["finish"] > 2 })
	f.with(func() { delete(f.refuse, "finish") })
	f.awaitEnd(r)
	eventually(t, "that it goes well", func() bool { return s.said.times("reporting the run's end goes well again") == 1 })
	for _, line := range []string{"handing in the log is refused", "handing in the log goes well again", "reporting the run's end is refused"} {
		if s.said.times(line) != 1 {
			t.Errorf("said %d times: %s", s.said.times(line), line)
		}
	}
}

func TestForgottenListenerRegistersAgain(t *testing.T) {
	f := newFakeAdmin(t)
	listen(t, f, conf("true"), t.TempDir())
	f.with(func() { f.start = "" })
	if end := f.awaitEnd(f.push("r1")); end.Status != run.Passed {
		t.Errorf("got %+v", end)
	}
	if a, b := f.registered()[0], f.registered()[1]; a.Start != b.Start || a.Instance != b.Instance || b.Revision != 1 {
		t.Errorf("registered as %+v and %+v", a, b)
	}
}

// TestAdminThatWasAwayIsToldAgain: it may be another one, that has never heard of this listener.
func TestAdminThatWasAwayIsToldAgain(t *testing.T) {
	f := newFakeAdmin(t)
	s := listen(t, f, conf("true"), t.TempDir())
	f.leave()
	eventually(t, "that it waits", func() bool { return s.said.times("waits for admin") == 1 })
	f.comeBack()
	f.await("another registration", func() bool { return len(f.registrations) == 2 })
	f.awaitEnd(f.push("r1"))
}

func TestListenerThatIsOutdatedFromTheStart(t *testing.T) {
	f := newFakeAdmin(t)
	f.outdated = true
	s := launch(t, f, conf("true"), t.TempDir(), false)
	f.await("it asks whether it still is", func() bool { return len(f.registrations) > 1 })
	if f.called("claim") != 0 || s.said.times("takes no new work") != 1 {
		t.Errorf("asked %d times for work; said %s", f.called("claim"), s.said)
	}
}

func TestRefusedListenerEnds(t *testing.T) {
	f := newFakeAdmin(t)
	f.refuse["{name}"] = api.Errorf(400, api.BadRequest, "rules: no")
	s := launch(t, f, conf("true"), t.TempDir(), false)
	err := <-s.ended
	s.ended <- nil
	if err == nil || err.Error() != "admin at "+f.server.URL+" refuses listener l: rules: no" {
		t.Errorf("got %v", err)
	}
}

func TestOutdatedListenerTakesNothingNew(t *testing.T) {
	f := newFakeAdmin(t)
	gate := filepath.Join(t.TempDir(), "gate")
	c := conf("echo begun; while [ ! -e " + gate + " ]; do sleep 0.02; done")
	c.Concurrency, c.ShareCwd = 2, true
	s := listen(t, f, c, t.TempDir())
	r := f.push("r1")
	f.awaitLog(r, "begun")
	f.with(func() { f.outdated = true })
	next := f.push("r2")
	eventually(t, "a word of it", func() bool { return s.said.times("takes no new work") == 1 })
	f.await("it asks whether it still is", func() bool { return len(f.registrations) > 2 })
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if end := f.awaitEnd(r); end.Status != run.Passed {
		t.Errorf("the run that was under way: %+v", end)
	}
	if f.see(next).status != run.Queued {
		t.Error("took new work")
	}
	f.with(func() { f.outdated = false })
	f.awaitEnd(next)
	if s.said.times("takes no new work") != 1 || s.said.times("takes work again") != 1 {
		t.Errorf("said %s", s.said)
	}
}

// TestSlowAdminDoesNotSlowTheRun: the job writes to this machine's disk and never waits for admin.
func TestSlowAdminDoesNotSlowTheRun(t *testing.T) {
	f := newFakeAdmin(t)
	held := make(chan struct{})
	f.hold["log"] = held
	s := listen(t, f, conf("head -c 5000000 /dev/zero"), t.TempDir())
	r := f.push("r1")
	eventually(t, "the run's end", func() bool { return s.said.times("run ended") == 1 })
	close(held)
	if end := f.awaitEnd(r); end.LogBytes != 5_000_000 || len(f.logOf(r)) != 5_000_000 {
		t.Errorf("got %+v", end)
	}
}
