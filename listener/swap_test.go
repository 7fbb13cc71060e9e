package listener

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lightspeed/broker"
	"lightspeed/listener/config"
	"lightspeed/listener/lock"
	"lightspeed/run"
	"lightspeed/secret"
)

// change gives a listener another config.
func (s *subject) change(t *testing.T, c config.Config) {
	t.Helper()
	if err := s.Change(c); err != nil {
		t.Fatal(err)
	}
}

// answered waits for what admin says to a changed config.
func (s *subject) answered(t *testing.T) error {
	t.Helper()
	select {
	case err := <-s.changes:
		return err
	case <-time.After(20 * time.Second):
		t.Fatal("admin was never asked what it says to the changed config")
		return nil
	}
}

// gated is a config whose runs say that they have begun, wait until the gate is there, and then print text.
func gated(gate, text string) config.Config {
	return conf("echo begun; while [ ! -e "+gate+" ]; do sleep 0.02; done", "echo "+text)
}

func openGate(t *testing.T, gate string) {
	t.Helper()
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
}

// hinting is a broker that has a hint while its admin has a run.
type hinting struct{ admin *fakeAdmin }

func (h hinting) Slot(string) broker.Slot { return h }
func (h hinting) State() broker.State     { return broker.State{Up: true, Broker: h.admin.broker} }
func (h hinting) Close()                  {}

func (h hinting) Next(ctx context.Context) (*broker.Held, error) {
	for {
		h.admin.mu.Lock()
		work, changed := len(h.admin.queue) > 0, h.admin.changed
		h.admin.mu.Unlock()
		if work {
			return broker.Hold(broker.Hint{Queue: "l"}, func() {}, func() {}), nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// TestRunsKeepTheConfigTheyWereClaimedBy: the config is swapped again and again while runs are claimed, in each way in
// which they are.
func TestRunsKeepTheConfigTheyWereClaimedBy(t *testing.T) {
	const swaps = 40
	for name, c := range map[string]struct{ lockFile, broker string }{
		"a claim that waits": {}, "machine locks": {lockFile: filepath.Join(t.TempDir(), "lock")}, "hints": {broker: "b"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFakeAdmin(t)
			f.broker = c.broker
			lockFile := c.lockFile
			by := func(revision int) config.Config {
				c := conf(fmt.Sprint("echo ", revision))
				c.Concurrency, c.ShareCwd, c.LockFile = 4, true, lockFile
				return c
			}
			s := launch(t, f, by(1), t.TempDir(), false)
			var runs []*fakeRun
			for i := range swaps {
				runs = append(runs, f.push(fmt.Sprint("r", i)))
				s.change(t, by(i+2))
			}
			for _, r := range runs {
				end := f.awaitEnd(r)
				if got := f.see(r); end.Status != run.Passed || got.ends != 1 || got.claim.Attempt != 1 || f.logOf(r) != fmt.Sprintln(got.by) {
					t.Errorf("%s, granted to revision %d, printed %q: %+v", got.claim.Run.ID, got.by, f.logOf(r), end)
				}
			}
			f.await("the newest at admin", func() bool { return f.seen[s.start] == swaps+1 })
			s.stop()
			s.wait(t)
			if left := s.journalled(t); len(left) > 0 {
				t.Errorf("journal holds %v", left)
			}
		})
	}
}

// TestClaimCutByASwap: admin grants a run just as the config is swapped. It is run, once, by the config that it was
// granted to.
func TestClaimCutByASwap(t *testing.T) {
	f := newFakeAdmin(t)
	lost := make(chan struct{})
	defer close(lost)
	f.delay["claim"] = lost
	s := listen(t, f, conf("echo old"), t.TempDir())
	first := f.push("r1")
	f.await("the grant", func() bool { return first.status == run.Running })
	f.with(func() { delete(f.delay, "claim") })
	s.change(t, conf("echo new"))
	if end := f.awaitEnd(first); end.Status != run.Passed || f.logOf(first) != "old\n" || f.see(first).claim.Attempt != 1 {
		t.Errorf("%+v, log %q, attempt %d", end, f.logOf(first), f.see(first).claim.Attempt)
	}
	second := f.push("r2")
	if end := f.awaitEnd(second); end.Status != run.Passed || f.logOf(second) != "new\n" || f.see(second).by != 2 {
		t.Errorf("%+v, log %q, by revision %d", end, f.logOf(second), f.see(second).by)
	}
}

// TestSwapIsToldAtOnce: to admin, also while every slot is taken; the run that has it goes on as it began, and so do its
// secrets and its folder.
func TestSwapIsToldAtOnce(t *testing.T) {
	f := newFakeAdmin(t)
	gate := filepath.Join(t.TempDir(), "gate")
	old := gated(gate, "$S; pwd")
	old.Secrets, old.Cwd = map[string]secret.Value{"S": secret.New("correct horse")}, t.TempDir()
	s := listen(t, f, old, t.TempDir())
	first, second := f.push("r1"), f.push("r2")
	f.awaitLog(first, "begun")
	next := conf("pwd")
	next.Rules.Branches = []string{"main", "dev"}
	s.change(t, next)
	if err := s.answered(t); err != nil {
		t.Fatal(err)
	}
	all := f.registered()
	if reg := all[len(all)-1]; reg.Revision != 2 || len(reg.Settings.Rules.Branches) != 2 || len(reg.Holds) != 1 || reg.Start != all[0].Start {
		t.Errorf("registered %+v", reg)
	}
	openGate(t, gate)
	if end := f.awaitEnd(first); end.Status != run.Passed || f.logOf(first) != "begun\n***\n"+old.Cwd+"\n" {
		t.Errorf("%+v, log %q", end, f.logOf(first))
	}
	if end := f.awaitEnd(second); f.logOf(second) != "/\n" {
		t.Errorf("%+v, log %q", end, f.logOf(second))
	}
}

// TestConcurrencyChangesAtOnce, up and down. Runs by the config before count.
func TestConcurrencyChangesAtOnce(t *testing.T) {
	f := newFakeAdmin(t)
	dir := t.TempDir()
	with := func(n int) config.Config {
		c := conf("while [ ! -e " + dir + "/$LIGHTSPEED_RUN_ID ]; do sleep 0.02; done")
		c.Concurrency, c.ShareCwd = n, true
		return c
	}
	s := listen(t, f, with(1), t.TempDir())
	var runs []*fakeRun
	for i := range 5 {
		runs = append(runs, f.push(fmt.Sprint("r", i)))
	}
	running := func(n int) {
		t.Helper()
		f.await(fmt.Sprint(n, " runs"), func() bool {
			got := 0
			for _, r := range runs {
				if r.status == run.Running {
					got++
				}
			}
			return got == n
		})
	}
	running(1)
	s.change(t, with(3))
	running(3)
	s.change(t, with(1))
	if err := s.answered(t); err != nil {
		t.Fatal(err)
	}
	openGate(t, dir+"/r0")
	f.awaitEnd(runs[0])
	openGate(t, dir+"/r1")
	f.awaitEnd(runs[1])
	running(1)
	if claims := f.see(runs[3]).claim.Attempt; claims != 0 {
		t.Error("a run was taken over the new concurrency")
	}
	for i := 2; i < 5; i++ {
		openGate(t, fmt.Sprint(dir, "/r", i))
		f.awaitEnd(runs[i])
	}
}

// TestSharingTheFolderIsSwapped: a run that has its folder to itself keeps that, also when others may share it from now on.
func TestSharingTheFolderIsSwapped(t *testing.T) {
	f := newFakeAdmin(t)
	dir := t.TempDir()
	with := func(gate string, share bool) config.Config {
		c := gated(filepath.Join(dir, gate), "done")
		c.Cwd, c.ShareCwd, c.Concurrency = dir, share, 3
		return c
	}
	const waits = "lightspeed: waits for another run of this listener in the same folder\n"
	s := launch(t, f, with("alone", false), t.TempDir(), false)
	alone := f.push("alone")
	f.awaitLog(alone, "begun\n")
	s.change(t, with("shared", true))
	shared, too := f.push("shared"), f.push("too")
	f.awaitLog(shared, waits)
	f.awaitLog(too, waits)
	openGate(t, filepath.Join(dir, "alone"))
	f.awaitLog(shared, waits+"begun\n")
	f.awaitLog(too, waits+"begun\n")
	openGate(t, filepath.Join(dir, "shared"))
	for _, r := range []*fakeRun{alone, shared, too} {
		if end := f.awaitEnd(r); end.Status != run.Passed {
			t.Errorf("got %+v, log %q", end, f.logOf(r))
		}
	}
}

// TestSwapWhileItWaitsForALock: what waits for a lock of the old config is run by the new one, without it.
func TestSwapWhileItWaitsForALock(t *testing.T) {
	f := newFakeAdmin(t)
	f.lease = 3000
	c := conf("echo old")
	c.LockFile = filepath.Join(t.TempDir(), "lock")
	hold(t, lock.File(c.LockFile))
	s := launch(t, f, c, t.TempDir(), false)
	r := f.push("r1")
	eventually(t, "that it waits", func() bool { return s.said.times("there is work, and it waits for lock_file") == 1 })
	s.change(t, conf("echo new"))
	if end := f.awaitEnd(r); end.Status != run.Passed || f.logOf(r) != "new\n" {
		t.Errorf("%+v, log %q", end, f.logOf(r))
	}
}

// TestRefusedSwap: a config that admin refuses changes nothing, and the next one is taken.
func TestRefusedSwap(t *testing.T) {
	f := newFakeAdmin(t)
	f.refused = 2
	s := listen(t, f, conf("echo old"), t.TempDir())
	s.change(t, conf("echo refused"))
	if err := s.answered(t); err == nil || err.Error() != "no such rules here" {
		t.Errorf("it was told %v", err)
	}
	r := f.push("r1")
	if f.awaitEnd(r); f.logOf(r) != "old\n" {
		t.Errorf("log %q", f.logOf(r))
	}
	s.change(t, conf("echo new"))
	if err := s.answered(t); err != nil {
		t.Errorf("it was told %v", err)
	}
	r = f.push("r2")
	if f.awaitEnd(r); f.logOf(r) != "new\n" || f.see(r).by != 3 {
		t.Errorf("log %q", f.logOf(r))
	}
}

// TestChangeRefuses what could not work, and goes on.
func TestChangeRefuses(t *testing.T) {
	f := newFakeAdmin(t)
	s := listen(t, f, conf("echo old"), t.TempDir())
	named := conf("true")
	named.Rules.Name = "other"
	locked := conf("true")
	locked.LockFile = "/nowhere/at/all"
	for want, c := range map[string]config.Config{
		`listener l cannot become "other": a name does not change`:                                   named,
		`exec is empty: the listener has nothing to run`:                                             conf(),
		`lock_file /nowhere/at/all of listener "l": open /nowhere/at/all: no such file or directory`: locked,
	} {
		if err := s.Change(c); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	r := f.push("r1")
	if f.awaitEnd(r); f.logOf(r) != "old\n" || f.see(r).by != 1 {
		t.Errorf("log %q, by revision %d", f.logOf(r), f.see(r).by)
	}
}

// TestOutdatedListenerGetsTheNewestConfig: it takes work again at once.
func TestOutdatedListenerGetsTheNewestConfig(t *testing.T) {
	f := newFakeAdmin(t)
	f.lease, f.outdated = 3000, true
	s := launch(t, f, conf("echo old"), t.TempDir(), false)
	eventually(t, "a word of it", func() bool { return s.said.times("takes no new work") == 1 })
	f.with(func() { f.outdated = false })
	s.change(t, conf("echo new"))
	r := f.push("r1")
	if f.awaitEnd(r); f.logOf(r) != "new\n" {
		t.Errorf("log %q", f.logOf(r))
	}
}

// TestSwapWhileAdminIsAway: the newest of several is what admin is told when it is back.
func TestSwapWhileAdminIsAway(t *testing.T) {
	f := newFakeAdmin(t)
	s := listen(t, f, conf("echo 1"), t.TempDir())
	f.leave()
	eventually(t, "that it waits", func() bool { return s.said.times("waits for admin") == 1 })
	s.change(t, conf("echo 2"))
	s.change(t, conf("echo 3"))
	f.comeBack()
	f.await("the newest at admin", func() bool { return f.seen[s.start] == 3 })
	r := f.push("r1")
	if f.awaitEnd(r); f.logOf(r) != "3\n" {
		t.Errorf("log %q", f.logOf(r))
	}
	for _, reg := range f.registered() {
		if reg.Revision == 2 {
			t.Error("a config was registered that was not the newest")
		}
	}
}

// TestPollsByTheNewestConfig: also where the one before polled nothing.
func TestPollsByTheNewestConfig(t *testing.T) {
	dir, first := repository(t)
	f := newFakeAdmin(t)
	state := t.TempDir()
	s := listen(t, f, inTree(dir, "true"), state)
	c := inTree(dir, "true")
	c.Poll = time.Hour
	s.change(t, c)
	seen := func() string { text, _ := os.ReadFile(filepath.Join(state, polledFile)); return string(text) }
	eventually(t, "a first look", func() bool { return strings.Contains(seen(), first) })
	cmd := exec.Command("git", "-c", "user.name=a", "-c", "user.email=a@example.com", "commit", "-q", "--allow-empty", "-m", "second")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	c.Poll = 2 * time.Hour
	s.change(t, c)
	f.await("the push", func() bool { return len(f.found) == 1 && f.found[0].Message == "second" })
	c.Poll = 0
	s.change(t, c)
}

// TestChangeBeforeItRuns: the first registration is the newest config's.
func TestChangeBeforeItRuns(t *testing.T) {
	f := newFakeAdmin(t)
	said := &said{}
	l, err := New(Options{Config: conf("echo old"), Admin: f.client(), State: t.TempDir(), Log: said.logger()})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Change(conf("echo new")); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- l.Run(ctx) }()
	r := f.push("r1")
	if f.awaitEnd(r); f.logOf(r) != "new\n" || len(f.registered()) != 1 {
		t.Errorf("log %q, %d registrations", f.logOf(r), len(f.registered()))
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
