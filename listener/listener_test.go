package listener

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"lightspeed/api"
	"lightspeed/event"
	"lightspeed/listener/config"
	"lightspeed/match"
	"lightspeed/run"
)

func TestMain(m *testing.M) {
	if os.Getenv(childState) != "" {
		child()
		return
	}
	goleak.VerifyTestMain(m)
}

// said is what a listener logged.
type said struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (s *said) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.Write(p)
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.String()
}

func (s *said) times(text string) int { return strings.Count(s.String(), text) }

// conf is a config that runs the scripts, for pushes to main of a/b.
func conf(scripts ...string) config.Config {
	c := config.Config{
		Rules: match.Rules{Name: "l", Repos: []string{"a/b"}, Branches: []string{"main"}},
		Cwd:   "/", Timeout: time.Minute, Grace: 5 * time.Second, Concurrency: 1,
		WhenBusy: config.Queue, OnLost: config.Fail, MaxWait: time.Hour, MaxLog: config.DefaultMaxLog,
	}
	for i, s := range scripts {
		c.Exec = append(c.Exec, config.Step{Name: fmt.Sprintf("step %d", i+1), Run: s})
	}
	return c
}

// subject is a listener under test.
type subject struct {
	*Listener
	admin *fakeAdmin
	state string
	said  *said
	stop  context.CancelFunc
	ended chan error
}

// listen starts a listener and waits until it listens.
func listen(t *testing.T, f *fakeAdmin, c config.Config, state string) *subject {
	t.Helper()
	s := launch(t, f, c, state, false)
	f.await("a claim", func() bool { return f.calls["claim"] > 0 })
	return s
}

func launch(t *testing.T, f *fakeAdmin, c config.Config, state string, temporary bool) *subject {
	t.Helper()
	s := &subject{admin: f, state: state, said: &said{}, ended: make(chan error, 1)}
	var err error
	s.Listener, err = New(Options{
		Config: c, Admin: f.client(), State: state, Temporary: temporary,
		Log: slog.New(slog.NewTextHandler(s.said, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	s.patience = time.Second
	var ctx context.Context
	ctx, s.stop = context.WithCancel(context.Background())
	go func() { s.ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		s.stop()
		s.CancelRuns("the test is over")
		s.wait(t)
		if t.Failed() {
			t.Logf("it said:\n%s", s.said)
		}
	})
	return s
}

// wait waits until the listener has ended; it may be called again.
func (s *subject) wait(t *testing.T) {
	t.Helper()
	select {
	case err := <-s.ended:
		if err != nil {
			t.Errorf("Run: %v", err)
		}
		s.ended <- nil
	case <-time.After(30 * time.Second):
		t.Fatalf("listener never ended; it said:\n%s", s.said)
	}
}

// journalled returns the folders that the journal holds.
func (s *subject) journalled(t *testing.T) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(s.state, "attempts", "*"))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestRunPasses(t *testing.T) {
	f := newFakeAdmin(t)
	s := listen(t, f, conf("echo one; echo two >&2", `echo "$LIGHTSPEED_RUN_ID $LIGHTSPEED_ATTEMPT $branch"; cat "$LIGHTSPEED_FILES_FILE"; cmp -s "$LIGHTSPEED_PAYLOAD_FILE" /dev/null || echo payload`), t.TempDir())
	r := f.push("r1")
	end := f.awaitEnd(r)
	if end.Status != run.Passed || end.ExitCode == nil || *end.ExitCode != 0 || end.Reason != "" {
		t.Errorf("got %+v", end)
	}
	if want := "one\ntwo\nr1 1 main\nx.go\ny z\npayload\n"; f.logOf(r) != want || end.LogBytes != int64(len(want)) {
		t.Errorf("log %q of %d bytes", f.logOf(r), end.LogBytes)
	}
	s.stop()
	s.wait(t)
	if left := s.journalled(t); len(left) != 0 {
		t.Errorf("journal still holds %v", left)
	}
}

func TestRegistrationSaysNothingOfWhatRuns(t *testing.T) {
	f := newFakeAdmin(t)
	c := conf("echo a-command")
	c.Env = map[string]string{"A": "a-variable"}
	listen(t, f, c, t.TempDir())
	reg := f.registrations[0]
	want := api.Settings{Rules: c.Rules, Concurrency: 1, WhenBusy: "queue", OnLost: "fail", MaxWaitS: 3600, TimeoutS: 60, GraceS: 5}
	if fmt.Sprintf("%+v", reg.Settings) != fmt.Sprintf("%+v", want) || reg.Holds == nil || len(reg.Holds) != 0 || reg.Revision != 1 {
		t.Errorf("got %+v", reg)
	}
}

func TestStepThatFailsEndsTheRun(t *testing.T) {
	f := newFakeAdmin(t)
	listen(t, f, conf("printf one", "exit 3", "echo never"), t.TempDir())
	r := f.push("r1")
	end := f.awaitEnd(r)
	if end.Status != run.Failed || end.ExitCode == nil || *end.ExitCode != 3 || end.Reason != "step 2: exit status 3" {
		t.Errorf("got %+v", end)
	}
	if want := "one\nlightspeed: step 2: exit status 3\n"; f.logOf(r) != want {
		t.Errorf("log %q, want %q", f.logOf(r), want)
	}
}

func TestSignalHasNoExitCode(t *testing.T) {
	f := newFakeAdmin(t)
	listen(t, f, conf("kill -9 $$"), t.TempDir())
	end := f.awaitEnd(f.push("r1"))
	if end.Status != run.Failed || end.ExitCode != nil || end.Reason != "step 1: ended by signal 9 (killed)" {
		t.Errorf("got %+v", end)
	}
}

// TestWhatCannotStartNamesNoCommand holds promise 3: neither command nor folder leaves the machine.
func TestWhatCannotStartNamesNoCommand(t *testing.T) {
	f := newFakeAdmin(t)
	c := conf()
	c.Exec = []config.Step{{Name: "step 1", Argv: []string{"no-such-tool", "--password"}}}
	s := listen(t, f, c, t.TempDir())
	r := f.push("r1")
	end := f.awaitEnd(r)
	if end.Status != run.Errored || end.ExitCode != nil || end.Reason != "step 1: could not be started: its command was not found in PATH" {
		t.Errorf("got %+v", end)
	}
	if f.logOf(r) != "lightspeed: "+end.Reason+"\n" {
		t.Errorf("log %q", f.logOf(r))
	}
	if s.said.times("no-such-tool") != 1 {
		t.Error("this machine's own log does not name the command")
	}
}

func TestTimeout(t *testing.T) {
	f := newFakeAdmin(t)
	c := conf("echo begun; sleep 600")
	c.Timeout = 300 * time.Millisecond
	listen(t, f, c, t.TempDir())
	r := f.push("r1")
	end := f.awaitEnd(r)
	if end.Status != run.TimedOut || end.Reason != "timeout of 300ms was over" {
		t.Errorf("got %+v", end)
	}
	if f.logOf(r) != "begun\nlightspeed: timeout of 300ms was over\n" {
		t.Errorf("log %q", f.logOf(r))
	}
}

func TestCancelReachesTheProcess(t *testing.T) {
	f := newFakeAdmin(t)
	f.lease = 30
	listen(t, f, conf("trap 'echo cleaned; exit 0' TERM; echo begun; while :; do sleep 0.02; done"), t.TempDir())
	r := f.push("r1")
	f.awaitLog(r, "begun")
	f.await("a renewal", func() bool { return f.calls["renew"] > 0 })
	asked := time.Now()
	f.with(func() { r.cancel = &api.Cancel{By: "ann", Why: "wrong branch"} })
	f.awaitLog(r, "cleaned")
	if took := time.Since(asked); took > time.Second {
		t.Errorf("cancel took %v", took)
	}
	end := f.awaitEnd(r)
	if end.Status != run.Cancelled || end.Reason != "cancelled by ann: wrong branch" {
		t.Errorf("got %+v", end)
	}
}

func TestOwnRulesAreAskedAgain(t *testing.T) {
	f := newFakeAdmin(t)
	marker := filepath.Join(t.TempDir(), "ran")
	listen(t, f, conf("echo $LIGHTSPEED_RUN_ID >>"+marker), t.TempDir())
	body := func(repo, branch string) []byte {
		b, err := event.MakePush(event.PushSpec{Repo: repo, Branch: branch})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for _, c := range []struct {
		id, repo, branch string
		cause            run.Cause
		delivery         string
		want             run.State
	}{
		{"other-branch", "a/b", "dev", run.ByDelivery, "d1", run.Errored},
		{"other-repo", "a/c", "main", run.ByDelivery, "d2", run.Errored},
		{"by-hand", "a/b", "dev", run.ByTrigger, "d3", run.Passed},
		{"retried", "a/b", "dev", run.ByRetry, api.TriggerPrefix + "x", run.Passed},
		{"by-hand-other", "a/c", "main", run.ByTrigger, "d4", run.Errored},
	} {
		end := f.awaitEnd(f.enqueue(c.id, c.cause, c.delivery, body(c.repo, c.branch)))
		if end.Status != c.want || (c.want == run.Errored) != strings.HasPrefix(end.Reason, "this listener's own rules do not hold: ") {
			t.Errorf("%s: got %+v", c.id, end)
		}
	}
	if end := f.awaitEnd(f.enqueue("torn", run.ByDelivery, "d5", []byte("{"))); end.Status != run.Errored ||
		!strings.HasPrefix(end.Reason, "the delivery cannot be read: ") {
		t.Errorf("torn: got %+v", end)
	}
	if ran, _ := os.ReadFile(marker); string(ran) != "by-hand\nretried\n" {
		t.Errorf("ran: %q", ran)
	}
}

// TestOutputIsThereWhileTheRunGoesOn holds promise 7's "readable while the run goes on".
func TestOutputIsThereWhileTheRunGoesOn(t *testing.T) {
	f := newFakeAdmin(t)
	gate := filepath.Join(t.TempDir(), "gate")
	listen(t, f, conf("echo first; while [ ! -e "+gate+" ]; do sleep 0.02; done; echo second"), t.TempDir())
	r := f.push("r1")
	f.awaitLog(r, "first\n")
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	f.awaitEnd(r)
	if f.logOf(r) != "first\nsecond\n" {
		t.Errorf("log %q", f.logOf(r))
	}
}

func TestConcurrency(t *testing.T) {
	f := newFakeAdmin(t)
	dir := t.TempDir()
	c := conf("touch " + dir + "/$LIGHTSPEED_RUN_ID; ls " + dir + " | wc -l; sleep 0.05; rm " + dir + "/$LIGHTSPEED_RUN_ID")
	c.Concurrency = 3
	listen(t, f, c, t.TempDir())
	var runs []*fakeRun
	for i := range 12 {
		runs = append(runs, f.push(fmt.Sprintf("r%d", i)))
	}
	most := 0
	for _, r := range runs {
		f.awaitEnd(r)
		var n int
		_, _ = fmt.Sscan(f.logOf(r), &n)
		most = max(most, n)
	}
	if most < 2 || most > 3 {
		t.Errorf("%d at once, want up to 3", most)
	}
}

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

// eventually waits for what is told by no signal: what the listener has logged.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never came: %s", what)
		}
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
	if r.finish != nil {
		t.Errorf("reported %+v", r.finish)
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
	if a, b := f.registrations[0], f.registrations[1]; a.Start != b.Start || a.Instance != b.Instance || b.Revision != 1 {
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
	if f.calls["claim"] != 0 || s.said.times("takes no new work") != 1 {
		t.Errorf("asked %d times for work; said %s", f.calls["claim"], s.said)
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
	c.Concurrency = 2
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
	if next.status != run.Queued {
		t.Error("took new work")
	}
	f.with(func() { f.outdated = false })
	f.awaitEnd(next)
	if s.said.times("takes no new work") != 1 || s.said.times("takes work again") != 1 {
		t.Errorf("said %s", s.said)
	}
}

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
	if r.finish == nil || r.finish.Status != run.Passed || f.logOf(r) != "begun\ndone\n" {
		t.Errorf("got %+v, log %q", r.finish, f.logOf(r))
	}
	if next.claim.Attempt != 0 {
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
	if r.finish == nil || r.finish.Status != run.Cancelled || r.finish.Reason != "cancelled: the listener was told to stop" {
		t.Errorf("got %+v", r.finish)
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
	if r.status != run.Queued || r.claim.Attempt != 1 {
		t.Errorf("run is %s after %d attempts", r.status, r.claim.Attempt)
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
	if held := f.registrations[len(f.registrations)-1].Holds; len(held) != 1 || held[0] != r.ref() {
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
	if !f.removed || !f.registrations[0].Temporary {
		t.Errorf("removed %v, registered %+v", f.removed, f.registrations[0])
	}
}

func TestMaxLogIsAnnounced(t *testing.T) {
	f := newFakeAdmin(t)
	c := conf("seq 1 100000")
	c.MaxLog = 10_000
	listen(t, f, c, t.TempDir())
	r := f.push("r1")
	end := f.awaitEnd(r)
	log := f.logOf(r)
	if !end.LogCut || end.LogBytes != int64(len(log)) || len(log) > 10_100 || strings.Count(log, "lightspeed: ") != 1 ||
		!strings.HasPrefix(log, "1\n2\n") || !strings.HasSuffix(log, "\n99999\n100000\n") {
		t.Errorf("got %+v, log of %d bytes", end, len(log))
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

func TestSecondListenerOnTheSameState(t *testing.T) {
	f := newFakeAdmin(t)
	state := t.TempDir()
	listen(t, f, conf("true"), state)
	_, err := New(Options{Config: conf("true"), Admin: f.client(), State: state, Log: slog.New(slog.DiscardHandler)})
	if want := fmt.Sprintf("state folder %s is in use by another lightspeed (pid %d)", state, os.Getpid()); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestHere(t *testing.T) {
	body, err := event.MakePush(event.PushSpec{Repo: "a/b", Branch: "main", Files: []string{"f"}})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	o := HereOptions{
		Config: conf(`cat "$LIGHTSPEED_FILES_FILE"; ls -d "$(dirname "$LIGHTSPEED_PAYLOAD_FILE")"`, "exit 2"), Out: &out, Log: slog.New(slog.DiscardHandler),
		Delivery: event.Delivery{ID: "d", Event: "push", ContentType: "application/json", Body: body},
	}
	got, err := Here(t.Context(), o)
	if err != nil || got.Status != run.Failed || *got.ExitCode != 2 || got.Reason != "step 2: exit status 2" {
		t.Errorf("got %+v %v", got, err)
	}
	lines := strings.Split(out.String(), "\n")
	if lines[0] != "f" || lines[2] != "lightspeed: step 2: exit status 2" {
		t.Errorf("printed %q", out.String())
	}
	if _, err := os.Stat(lines[1]); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("folder %s is still there", lines[1])
	}
	o.Config.Rules.Branches = []string{"dev"}
	var mismatch *NoMatchError
	if _, err := Here(t.Context(), o); !errors.As(err, &mismatch) || mismatch.Decision.Rule != "branches" {
		t.Errorf("got %v", err)
	}
}
