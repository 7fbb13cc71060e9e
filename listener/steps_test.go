package listener

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lightspeed/api"
	"lightspeed/listener/config"
	"lightspeed/run"
)

// told is steps in a few words each: name, status, exit code, and what they printed.
func told(steps []run.Step, log string) string {
	var list []string
	for _, s := range steps {
		word := fmt.Sprintf("%s %s", s.Name, s.Status)
		if s.ExitCode != nil {
			word += fmt.Sprintf(" %d", *s.ExitCode)
		}
		if s.LogOffset != nil && s.LogEnd != nil {
			word += fmt.Sprintf(" %q", log[*s.LogOffset:*s.LogEnd])
		}
		if s.FinishedAt != nil && (s.StartedAt == nil || s.FinishedAt.Before(*s.StartedAt)) {
			word += " ended before it started"
		}
		list = append(list, word)
	}
	return strings.Join(list, "; ")
}

// TestSteps: which steps run, in which order, folder and environment, and what is told of each.
func TestSteps(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "sub"), 0o700); err != nil {
		t.Fatal(err)
	}
	ok, fails := config.Step{Name: "ok", Run: "echo $V"}, config.Step{Name: "fails", Run: "echo oh; exit 3"}
	always := config.Step{Name: "always", Run: "basename $PWD; echo $V", If: config.Always, Cwd: "sub", Env: map[string]string{"V": "own"}}
	failure := config.Step{Name: "failure", Run: "echo rolled back", If: config.IfFailure}
	slow := config.Step{Name: "slow", Run: "echo begun; sleep 600", Timeout: 300 * time.Millisecond}
	const own = `"sub\nown\n"`
	for _, c := range []struct {
		steps  []config.Step
		status run.State
		reason string
		told   string
	}{
		{[]config.Step{ok, failure, always}, run.Passed, "", `ok passed 0 "all\n"; failure skipped; always passed 0 ` + own},
		{[]config.Step{fails, ok, failure, always}, run.Failed, "fails: exit status 3",
			`fails failed 3 "oh\nlightspeed: fails: exit status 3\n"; ok skipped; failure passed 0 "rolled back\n"; always passed 0 ` + own},
		{[]config.Step{slow, ok, failure}, run.TimedOut, "slow: timeout of 300ms was over",
			`slow timed_out "begun\nlightspeed: slow: timeout of 300ms was over\n"; ok skipped; failure passed 0 "rolled back\n"`},
		{[]config.Step{{Name: "none", Argv: []string{"no-such-tool"}, If: config.Always}, fails}, run.Errored,
			"none: could not be started: its command was not found in PATH",
			`none errored "lightspeed: none: could not be started: its command was not found in PATH\n"; fails skipped`},
	} {
		f := newFakeAdmin(t)
		conf := conf()
		conf.Exec, conf.Cwd, conf.Env = c.steps, dir, map[string]string{"V": "all"}
		listen(t, f, conf, t.TempDir())
		r := f.push("r1")
		end := f.awaitEnd(r)
		if got := told(end.Steps, f.logOf(r)); got != c.told || end.Status != c.status || end.Reason != c.reason {
			t.Errorf("%s, %q:\n%s\nwant %s, %q:\n%s", end.Status, end.Reason, got, c.status, c.reason, c.told)
		}
	}
}

// TestStepsAfterACancel: what cleans up runs, all of it together within the grace, and nothing else does.
func TestStepsAfterACancel(t *testing.T) {
	f := newFakeAdmin(t)
	c := conf("echo begun; sleep 600")
	c.Grace = time.Second
	c.Exec = append(c.Exec, config.Step{Name: "failure", Run: "echo no", If: config.IfFailure},
		config.Step{Name: "clean up", Run: "echo cleaned", If: config.Always},
		config.Step{Name: "hangs", Run: "trap '' TERM; while :; do sleep 0.05; done", If: config.Always},
		config.Step{Name: "late", Run: "echo late", If: config.Always})
	listen(t, f, c, t.TempDir())
	r := f.push("r1")
	f.awaitLog(r, "begun")
	f.with(func() { r.cancel = &api.Cancel{By: "ann"} })
	end := f.awaitEnd(r)
	const over = "grace of 1s for what runs after a cancel or timeout was over"
	want := `step 1 cancelled "begun\nlightspeed: cancelled by ann\n"; failure skipped; clean up passed 0 "cleaned\n"; hangs timed_out "lightspeed: ` +
		over + `\n"; late skipped`
	if got := told(end.Steps, f.logOf(r)); got != want || end.Status != run.Cancelled || end.Reason != "cancelled by ann" {
		t.Errorf("%s, %q:\n%s\nwant\n%s", end.Status, end.Reason, got, want)
	}
}

// TestStepsAreToldWhileTheyRun: and a run that is over at once costs no call for it.
func TestStepsAreToldWhileTheyRun(t *testing.T) {
	f := newFakeAdmin(t)
	gate := filepath.Join(t.TempDir(), "gate")
	listen(t, f, conf("[ $LIGHTSPEED_RUN_ID = r1 ] || echo first", "[ $LIGHTSPEED_RUN_ID = r1 ] || while [ ! -e "+gate+" ]; do sleep 0.02; done", "echo last"), t.TempDir())
	pushed := time.Now()
	f.awaitEnd(f.push("r1"))
	if n := f.called("steps"); n != 0 && time.Since(pushed) < firstSteps {
		t.Errorf("a short run told its steps %d times", n)
	}
	r := f.push("r2")
	f.await("the second step", func() bool { return len(r.steps) == 3 && r.steps[1].Status == run.Running })
	if got, want := told(f.see(r).steps, "first\n"), `step 1 passed 0 "first\n"; step 2 running; step 3 queued`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got, want := told(f.awaitEnd(r).Steps, f.logOf(r)), `step 1 passed 0 "first\n"; step 2 passed 0 ""; step 3 passed 0 "last\n"`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestStepsOfACutLog: their places are those of the log that admin has.
func TestStepsOfACutLog(t *testing.T) {
	f := newFakeAdmin(t)
	c := conf("echo head", "seq 1 100000", "echo tail")
	c.MaxLog = 10_000
	listen(t, f, c, t.TempDir())
	r := f.push("r1")
	steps, log := f.awaitEnd(r).Steps, f.logOf(r)
	for i, want := range []string{"head\n", "", "tail\n"} {
		if got := log[*steps[i].LogOffset:*steps[i].LogEnd]; want != "" && got != want || i == 1 && (!strings.HasPrefix(got, "1\n2\n") || !strings.HasSuffix(got, "\n100000\n")) {
			t.Errorf("step %d: %.40q", i+1, got)
		}
	}
}
