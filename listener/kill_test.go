package listener

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"lightspeed/api"
	"lightspeed/listener/config"
	"lightspeed/listener/process"
	"lightspeed/run"
	"lightspeed/secret"
)

// A child is this test program as a real listener that can be killed; its config comes by the environment.
const (
	childState  = "LISTENER_TEST_STATE"
	childAdmin  = "LISTENER_TEST_ADMIN"
	childConfig = "LISTENER_TEST_CONFIG"
)

// plan is what a child's config is made of.
type plan struct {
	Scripts     []string
	Grace       time.Duration
	Concurrency int
	OnLost      string
	CloneURL    string
	Cwd         string
	Artifacts   []string
}

func (p plan) config() config.Config {
	c := conf(p.Scripts...)
	c.Grace, c.Concurrency, c.OnLost = p.Grace, p.Concurrency, p.OnLost
	c.Cwd, c.Artifacts = p.Cwd, p.Artifacts
	if p.CloneURL != "" {
		c.Checkout = &config.Checkout{URL: p.CloneURL}
	}
	return c
}

func child() {
	var p plan
	if err := json.Unmarshal([]byte(os.Getenv(childConfig)), &p); err != nil {
		panic(err)
	}
	client, err := api.NewClient(os.Getenv(childAdmin), secret.Value{}, &http.Client{})
	if err != nil {
		panic(err)
	}
	l, err := New(Options{
		Config: p.config(), Admin: client, State: os.Getenv(childState), Mirrors: filepath.Join(os.Getenv(childState), "mirrors"), Log: slog.New(slog.NewTextHandler(os.Stderr, nil)),
	})
	if err != nil {
		panic(err)
	}
	if err := l.Run(context.Background()); err != nil {
		panic(err)
	}
}

// victim is a child that is going to be killed.
type victim struct {
	*exec.Cmd
	said *said
}

func startVictim(t *testing.T, f *fakeAdmin, c config.Config, state string) *victim {
	t.Helper()
	p := plan{Grace: c.Grace, Concurrency: c.Concurrency, OnLost: c.OnLost, Cwd: c.Cwd, Artifacts: c.Artifacts}
	if c.Checkout != nil {
		p.CloneURL = c.Checkout.URL
	}
	for _, step := range c.Exec {
		p.Scripts = append(p.Scripts, step.Run)
	}
	text, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	v := &victim{Cmd: exec.Command(os.Args[0]), said: &said{}}
	v.Env = append(os.Environ(), childState+"="+state, childAdmin+"="+f.server.URL, childConfig+"="+string(text))
	v.Stderr = v.said
	if err := v.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		v.kill()
		if t.Failed() {
			t.Logf("victim said:\n%s", v.said)
		}
	})
	return v
}

// kill is kill -9, and waits until it is over.
func (v *victim) kill() {
	if v.ProcessState == nil {
		_ = v.Process.Kill()
		_ = v.Wait()
	}
}

func leftOf(id string, attempt int) process.Leftovers {
	return process.Leftovers{Marks: facts{run: id, attempt: attempt}.marks()}
}

// instanceOf is the name of a state folder, which is part of the names of its runs' cgroups: others on this machine have
// runs of the same id.
func instanceOf(t *testing.T, state string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(state, "instance.json"))
	var own struct{ Instance string }
	if err = errors.Join(err, json.Unmarshal(text, &own)); err != nil || own.Instance == "" {
		t.Fatalf("instance of %s: %q, %v", state, text, err)
	}
	return own.Instance
}

func TestKilledWhileARunGoesOn(t *testing.T) {
	f := newFakeAdmin(t)
	state := t.TempDir()
	processes, hidden := 3, ""
	way, cgroups := process.EndsBy()
	if way == "cgroup" { // else it would not be found
		processes, hidden = 4, "(env -i setsid sleep 600 >/dev/null 2>&1 &); "
	}
	c := conf("seq 1 5000", hidden+"setsid sleep 600 >/dev/null 2>&1 & sleep 600 & echo begun; wait", "echo never")
	c.Grace = 2 * time.Second
	v := startVictim(t, f, c, state)
	r := f.push("r1")
	f.awaitLog(r, "begun\n")
	own := filepath.Join(cgroups, "lightspeed-r1.1-"+instanceOf(t, state))
	if _, err := os.Stat(own); way == "cgroup" && err != nil {
		t.Error(err)
	}
	// What admin does not have yet must survive, too.
	f.with(func() { r.log = r.log[:100] })
	v.kill()

	c.Exec = conf("echo next").Exec
	next := f.push("r2")
	startVictim(t, f, c, state)
	end := f.awaitEnd(r)
	if end.Status != run.Lost || end.Reason != "the listener was ended while it ran; what became of it is not known" {
		t.Errorf("got %+v", end)
	}
	log := f.logOf(r)
	said := fmt.Sprintf("\n4999\n5000\nbegun\nlightspeed: the listener was ended while this ran\nlightspeed: %d processes were still running, and were ended\n", processes)
	if !strings.HasPrefix(log, "1\n2\n3\n") || !strings.Contains(log, said) {
		t.Errorf("log of %d bytes ends with %q", len(log), log[max(0, len(log)-200):])
	}
	if got, want := told(end.Steps[1:], log), `step 2 lost "begun\n"; step 3 skipped`; got != want || end.Steps[0].Status != run.Passed {
		t.Errorf("steps: %s, want %s", got, want)
	}
	if rest := leftOf("r1", 1).End(t.Context(), 0); rest.Ended != 0 {
		t.Errorf("%d processes were still running", rest.Ended)
	}
	if _, err := os.Stat(own); way == "cgroup" && !errors.Is(err, os.ErrNotExist) {
		t.Errorf("cgroup %s is left: %v", own, err)
	}
	f.awaitEnd(next)
	if got := f.see(r); got.claim.Attempt != 1 || got.ends != 1 {
		t.Errorf("attempt %d, ended %d times", got.claim.Attempt, got.ends)
	}
}

// TestRequeuedRunDoesNotOutliveItsListener: another may be given it when the lease is over, so that a listener
// that was killed, and does not come back, must leave nothing running.
func TestRequeuedRunDoesNotOutliveItsListener(t *testing.T) {
	f := newFakeAdmin(t)
	c := conf("(setsid sleep 600 >/dev/null 2>&1 &); echo begun; sleep 600")
	c.OnLost = config.Requeue
	v := startVictim(t, f, c, t.TempDir())
	r := f.push("r1")
	f.awaitLog(r, "begun")
	eventually(t, "three processes", func() bool { return len(listPids(leftOf("r1", 1))) == 3 })
	v.kill()
	eventually(t, "their end", func() bool { return len(listPids(leftOf("r1", 1))) == 0 })
}

func TestKilledBetweenResultAndReport(t *testing.T) {
	f := newFakeAdmin(t)
	state := t.TempDir()
	f.refuse["finish"] = api.Errorf(503, api.Unavailable, "not now")
	c := conf("echo output; exit 6")
	v := startVictim(t, f, c, state)
	r := f.push("r1")
	f.await("a report", func() bool { return f.calls["finish"] > 0 })
	v.kill()
	f.with(func() { delete(f.refuse, "finish") })
	startVictim(t, f, c, state)
	end := f.awaitEnd(r)
	if end.Status != run.Failed || *end.ExitCode != 6 || f.logOf(r) != "output\nlightspeed: step 1: exit status 6\n" || f.see(r).claim.Attempt != 1 {
		t.Errorf("got %+v, log %q, attempt %d", end, f.logOf(r), f.see(r).claim.Attempt)
	}
}

func TestKilledBeforeItWroteItsJournal(t *testing.T) {
	f := newFakeAdmin(t)
	state := t.TempDir()
	c := conf("echo $LIGHTSPEED_ATTEMPT")
	v := startVictim(t, f, c, state)
	f.await("a claim", func() bool { return f.calls["claim"] > 0 })
	// Admin hands it out, and the answer never arrives.
	r := f.push("r1")
	v.kill()
	f.with(func() {
		if r.status == run.Queued {
			f.queue = nil
			r.claim.Attempt++
			r.status = run.Running
		}
	})
	startVictim(t, f, c, state)
	end := f.awaitEnd(r)
	if log := f.logOf(r); end.Status == run.Passed && log != fmt.Sprintf("%d\n", f.see(r).claim.Attempt) {
		t.Errorf("got %+v, log %q, attempt %d", end, log, f.see(r).claim.Attempt)
	}
}

// TestKilledAtAnyMoment kills a busy listener again and again, and looks at the end whether every run has
// ended once and no attempt was started twice.
func TestKilledAtAnyMoment(t *testing.T) {
	f := newFakeAdmin(t)
	state, dir := t.TempDir(), t.TempDir()
	c := conf("echo $LIGHTSPEED_RUN_ID.$LIGHTSPEED_ATTEMPT >>"+dir+"/starts; seq 1 2000", "sleep 0.01; echo second")
	c.Concurrency, c.ShareCwd, c.Grace = 2, true, time.Second
	var runs []*fakeRun
	for i := range 20 {
		runs = append(runs, f.push(fmt.Sprintf("r%d", i)))
	}
	ended := func() bool {
		for _, r := range runs {
			if r.finish == nil {
				return false
			}
		}
		return true
	}
	var v *victim
	for range 10 {
		v = startVictim(t, f, c, state)
		before := len(f.registered())
		f.await("a registration", func() bool { return ended() || len(f.registrations) > before })
		time.Sleep(time.Duration(rand.IntN(60)) * time.Millisecond) // the moment of the kill is what is tried
		v.kill()
	}
	startVictim(t, f, c, state)
	f.await("the end of all runs", ended)

	starts, _ := os.ReadFile(filepath.Join(dir, "starts"))
	seen := map[string]bool{}
	for _, start := range strings.Fields(string(starts)) {
		if seen[start] {
			t.Errorf("%s was started twice", start)
		}
		seen[start] = true
	}
	lost := 0
	for _, one := range runs {
		r := f.see(one)
		id := r.claim.Run.ID
		begun := 0
		for attempt := 1; attempt <= r.claim.Attempt; attempt++ {
			if seen[fmt.Sprintf("%s.%d", id, attempt)] {
				begun++
			}
		}
		switch {
		case r.ends != 1 || begun > 1:
			t.Errorf("%s: ended %d times, started %d times", id, r.ends, begun)
		case r.finish.Status == run.Passed && (begun != 1 || !strings.HasSuffix(string(r.log), "\n2000\nsecond\n")):
			t.Errorf("%s: passed, started %d times, log of %d bytes", id, begun, len(r.log))
		case r.finish.Status == run.Lost:
			lost++
		case r.finish.Status != run.Passed:
			t.Errorf("%s: %+v", id, r.finish)
		}
	}
	t.Logf("%d of %d runs were lost", lost, len(runs))
}

func TestLockGoesWithItsHolder(t *testing.T) {
	f := newFakeAdmin(t)
	state := t.TempDir()
	v := startVictim(t, f, conf("echo begun; sleep 600"), state)
	r := f.push("r1")
	f.awaitLog(r, "begun")
	v.kill() // its script lives on, and must not hold the lock
	if n := len(listPids(leftOf("r1", 1))); n == 0 {
		t.Error("the script did not live on: this test shows nothing")
	}
	s := launch(t, f, conf("true"), state, false)
	f.awaitEnd(r)
	s.stop()
	s.wait(t)
}

// listPids finds processes without ending them.
func listPids(l process.Leftovers) []int {
	found, _ := filepath.Glob("/proc/[0-9]*/environ")
	var pids []int
	for _, file := range found {
		env, err := os.ReadFile(file)
		if err != nil || !strings.Contains("\x00"+string(env), "\x00"+l.Marks[0]+"\x00") {
			continue
		}
		var pid int
		if _, err := fmt.Sscanf(file, "/proc/%d/environ", &pid); err == nil && syscall.Kill(pid, 0) == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}
