package listener

import (
	"bytes"
	"context"
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
	"lightspeed/broker"
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

func (s *said) logger() *slog.Logger { return slog.New(slog.NewTextHandler(s, nil)) }

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

	changes chan error // what admin said to changed configs
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
	var consumer broker.Consumer
	if f.broker != "" {
		consumer = hinting{f}
	}
	s := &subject{admin: f, state: state, said: &said{}, ended: make(chan error, 1), changes: make(chan error, 1000)}
	var err error
	s.Listener, err = New(Options{
		Config: c, Admin: f.client(), Broker: consumer, State: state, Mirrors: filepath.Join(state, "mirrors"), Temporary: temporary,
		Log: s.said.logger(), Changed: func(err error) { s.changes <- err },
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
	c.Exec[0].If = config.Always
	listen(t, f, c, t.TempDir())
	reg := f.registered()[0]
	want := api.Settings{Rules: c.Rules, Concurrency: 1, WhenBusy: "queue", OnLost: "fail", MaxWaitS: 3600, TimeoutS: 60, GraceS: 11}
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
	c.Concurrency, c.ShareCwd = 3, true
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

// eventually waits for what is told by no signal: what the listener has logged.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never came: %s", what)
		}
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
