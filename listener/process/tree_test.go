package process

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if os.Getenv(guardedMark) != "" {
		runGuarded()
		return
	}
	goleak.VerifyTestMain(m)
}

// output is what a tree wrote; it can be read while the tree runs.
type output struct {
	mu    sync.Mutex
	bytes bytes.Buffer
	came  chan struct{}
}

func newOutput() *output { return &output{came: make(chan struct{}, 1)} }

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	select {
	case o.came <- struct{}{}:
	default:
	}
	return o.bytes.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.bytes.String()
}

// await waits until the output holds text.
func (o *output) await(t *testing.T, text string) {
	t.Helper()
	late := time.After(time.Minute)
	for !strings.Contains(o.String(), text) {
		select {
		case <-o.came:
		case <-late:
			t.Fatalf("output %q never held %q", o.String(), text)
		}
	}
}

// grove is a tree under test.
type grove struct {
	*Tree
	out  *output
	mark string
}

func plant(t *testing.T, grace time.Duration) grove {
	t.Helper()
	out, mark := newOutput(), "TREE="+t.Name()+strconv.Itoa(os.Getpid())
	tree, err := New(Options{Marks: []string{mark}, Output: out, Grace: func(error) time.Duration { return grace }})
	if err != nil {
		t.Fatal(err)
	}
	return grove{tree, out, mark}
}

func (g grove) sh(script string) Command {
	return Command{Argv: []string{"/bin/sh", "-c", script}, Dir: "/", Env: []string{"PATH=" + os.Getenv("PATH"), g.mark}}
}

// gone fails when a process of the tree still runs.
func (g grove) gone(t *testing.T) {
	t.Helper()
	if pids := (Leftovers{Marks: []string{g.mark}}).find(); len(pids) != 0 {
		t.Errorf("processes %v still run", pids)
	}
}

func TestCommandsEndAsTheySay(t *testing.T) {
	for _, c := range []struct {
		script string
		want   Result
		words  string
	}{
		{"true", Result{}, "exit status 0"},
		{"exit 3", Result{ExitCode: 3}, "exit status 3"},
		{"kill -SEGV $$", Result{ExitCode: -1, Signal: syscall.SIGSEGV}, "ended by signal 11 (segmentation fault)"},
	} {
		g := plant(t, time.Minute)
		got := g.Run(t.Context(), g.sh(c.script))
		if got != c.want || got.String() != c.words {
			t.Errorf("%s: got %+v %q, want %+v %q", c.script, got, got, c.want, c.words)
		}
		if rest := g.End(t.Context()); rest.Ended != 0 || rest.Held || rest.Stuck != nil {
			t.Errorf("%s left %+v", c.script, rest)
		}
	}
}

func TestOutputKeepsItsOrder(t *testing.T) {
	g := plant(t, time.Minute)
	var want strings.Builder
	for i := range 3 {
		g.Run(t.Context(), g.sh("for n in 1 2 3; do echo out $n; echo err $n >&2; done"))
		want.WriteString("out 1\nerr 1\nout 2\nerr 2\nout 3\nerr 3\n")
		g.Say(fmt.Sprintf("step %d", i))
		fmt.Fprintf(&want, "step %d\n", i)
	}
	g.Run(t.Context(), g.sh("printf 'no end'"))
	g.Say("own line")
	g.End(t.Context())
	g.Say("and after the end")
	want.WriteString("no end\nown line\nand after the end\n")
	if g.out.String() != want.String() {
		t.Errorf("got\n%s", g.out)
	}
}

// TestOwnLinesStandBehindWhatIsInThePipe says a line before anyone has read the pipe.
func TestOwnLinesStandBehindWhatIsInThePipe(t *testing.T) {
	read, write, err := pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer write.Close()
	var out bytes.Buffer
	p := newPipeline(read, &out)
	defer p.close()
	_, _ = write.WriteString("printed")
	p.say("own line")
	if out.String() != "printed\nown line\n" {
		t.Errorf("got %q", out.String())
	}
}

func TestInputIsEmptyAndEnvironmentIsExact(t *testing.T) {
	t.Setenv("OF_THE_LISTENER", "secret")
	g := plant(t, time.Minute)
	c := g.sh("")
	c.Argv = []string{"env"}
	c.Env = []string{"PATH=/usr/bin:/bin", "A=1"}
	g.Run(t.Context(), c)
	c.Argv = []string{"/bin/cat"}
	if r := g.Run(t.Context(), c); !r.Passed() {
		t.Error(r)
	}
	g.End(t.Context())
	if g.out.String() != "PATH=/usr/bin:/bin\nA=1\n" {
		t.Errorf("got %q", g.out)
	}
}

func TestFiftyMegabytesOfAnyBytesArriveWhole(t *testing.T) {
	const size = 50 << 20
	sum := sha256.New()
	tree, err := New(Options{Output: sum, Grace: func(error) time.Duration { return time.Minute }})
	if err != nil {
		t.Fatal(err)
	}
	script := fmt.Sprintf("yes \"$(printf '\\001\\377\\033')\" | head -c %d", size)
	r := tree.Run(t.Context(), Command{Argv: []string{"/bin/sh", "-c", script}, Dir: "/"})
	if !r.Passed() {
		t.Error(r)
	}
	tree.End(t.Context())
	want := sha256.New()
	_, _ = io.CopyN(want, repeat("\001\377\033\n"), size)
	if !bytes.Equal(sum.Sum(nil), want.Sum(nil)) {
		t.Error("output is not what was written")
	}
}

type repeat string

func (r repeat) Read(p []byte) (int, error) {
	n := 0
	for len(p)-n >= len(r) {
		n += copy(p[n:], r)
	}
	return n, nil
}

func TestOutputThatFailsDoesNotHoldTheCommand(t *testing.T) {
	tree, err := New(Options{Output: failing{}, Grace: func(error) time.Duration { return time.Minute }})
	if err != nil {
		t.Fatal(err)
	}
	r := tree.Run(t.Context(), Command{Argv: []string{"/bin/sh", "-c", "head -c 3000000 /dev/zero"}, Dir: "/"})
	tree.End(t.Context())
	if !r.Passed() {
		t.Error(r)
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errors.New("disk is full") }

func TestCommandsThatCannotStart(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return file
	}
	plain := write("plain", "#!/bin/sh\n", 0o644)
	orphan := write("orphan", "#!/no/such/interpreter\n", 0o755)
	garbage := write("garbage", "\x00\x01\x02", 0o755)
	for name, c := range map[string]struct {
		command Command
		want    string
	}{
		"no folder":      {Command{Argv: []string{"/bin/true"}, Dir: dir + "/none"}, "its folder does not exist"},
		"folder is file": {Command{Argv: []string{"/bin/true"}, Dir: plain}, "its folder is a file"},
		"not in PATH":    {Command{Argv: []string{"no-such-program"}, Dir: dir}, "its command was not found in PATH"},
		"not there":      {Command{Argv: []string{"./none"}, Dir: dir}, "its command, or the interpreter in its #! line, does not exist"},
		"interpreter":    {Command{Argv: []string{orphan}, Dir: dir}, "its command, or the interpreter in its #! line, does not exist"},
		"not executable": {Command{Argv: []string{plain}, Dir: dir}, "its command may not be used: permission denied"},
		"found, not executable": {Command{Argv: []string{"plain"}, Dir: dir, Env: []string{"PATH=" + dir}},
			"its command may not be used: permission denied"},
		"garbage":  {Command{Argv: []string{garbage}, Dir: dir}, "its command is not a program of this machine, and has no #! line"},
		"NUL":      {Command{Argv: []string{"/bin/true", "a\x00b"}, Dir: dir}, "an argument or variable holds a NUL byte"},
		"too long": {Command{Argv: []string{"/bin/true", strings.Repeat("x", 1<<18)}, Dir: dir}, "its arguments and environment are too long"},
		"none":     {Command{Dir: dir}, "it has no command"},
	} {
		t.Run(name, func(t *testing.T) {
			g := plant(t, time.Minute)
			r := g.Run(t.Context(), c.command)
			g.End(t.Context())
			var start *StartError
			if !errors.As(r.Err, &start) || start.Reason != c.want {
				t.Errorf("got %+v, want %q", r, c.want)
			}
			if r.ExitCode != -1 || r.Passed() {
				t.Errorf("got %+v", r)
			}
		})
	}
}

func TestProgramsAreFoundInTheirOwnPath(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "tool"), []byte("#!/bin/sh\necho found\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{dir, ".", "", "/none:" + dir} {
		g := plant(t, time.Minute)
		r := g.Run(t.Context(), Command{Argv: []string{"tool"}, Dir: dir, Env: []string{"PATH=/bin", "PATH=" + path}})
		g.End(t.Context())
		if path == "" {
			continue // no folder at all: not found
		}
		if !r.Passed() || g.out.String() != "found\n" {
			t.Errorf("PATH=%q: %v %q", path, r, g.out)
		}
	}
}

func TestCancelGivesTheGraceAndKeepsTheExitStatus(t *testing.T) {
	g := plant(t, time.Minute)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		g.out.await(t, "ready")
		cancel()
	}()
	r := g.Run(ctx, g.sh(`trap 'echo cleaned; exit 7' TERM; echo ready; while :; do sleep 0.02; done`))
	g.End(ctx)
	if r.ExitCode != 7 || !r.Stopped || !strings.HasSuffix(g.out.String(), "cleaned\n") {
		t.Errorf("got %+v %q", r, g.out)
	}
}

func TestWhoIgnoresSIGTERMIsKilled(t *testing.T) {
	g := plant(t, 50*time.Millisecond)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		g.out.await(t, "ready")
		cancel()
	}()
	r := g.Run(ctx, g.sh(`trap '' TERM; echo ready; while :; do sleep 0.02; done`))
	if r.Signal != syscall.SIGKILL {
		t.Errorf("got %+v", r)
	}
	if rest := g.End(ctx); rest.Ended != 0 || len(rest.Stuck) != 0 {
		t.Errorf("left %+v", rest)
	}
}

func TestHundredsOfChildrenEndTogether(t *testing.T) {
	g := plant(t, 10*time.Second)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		g.out.await(t, "ready")
		cancel()
	}()
	g.Run(ctx, g.sh(`i=0; while [ $i -lt 200 ]; do sleep 600 & i=$((i+1)); done; echo ready; wait`))
	g.End(ctx)
	g.gone(t)
}

func TestHolderOfTheOutputIsEndedAfterTheGrace(t *testing.T) {
	g := plant(t, 100*time.Millisecond)
	r := g.Run(t.Context(), g.sh(`sleep 600 & echo done`))
	start := time.Now()
	rest := g.End(t.Context())
	if !r.Passed() || rest.Ended != 1 || rest.Held || g.out.String() != "done\n" {
		t.Errorf("got %+v, left %+v, printed %q", r, rest, g.out)
	}
	if waited := time.Since(start); waited < 100*time.Millisecond || waited > 5*time.Second {
		t.Errorf("ended after %v", waited)
	}
	g.gone(t)
}

func TestBackgroundOutputWithinTheGraceIsKept(t *testing.T) {
	g := plant(t, time.Minute)
	g.Run(t.Context(), g.sh(`(sleep 0.1; echo late) & echo done`))
	if rest := g.End(t.Context()); rest.Ended != 0 {
		t.Errorf("left %+v", rest)
	}
	if g.out.String() != "done\nlate\n" {
		t.Errorf("got %q", g.out)
	}
}

// TestLeave: what the commands leave running goes on, and what they had written is there.
func TestLeave(t *testing.T) {
	g := plant(t, time.Minute)
	pidFile := filepath.Join(t.TempDir(), "pid")
	if r := g.Run(t.Context(), g.sh("echo first; (sleep 600 & echo $! >"+pidFile+"; echo last; wait) & sleep 0.1")); !r.Passed() {
		t.Fatal(r)
	}
	begun := time.Now()
	if n := g.Leave(); n != 2 || time.Since(begun) > 30*time.Second {
		t.Errorf("%d processes are left after %v, want 2", n, time.Since(begun))
	}
	if g.out.String() != "first\nlast\n" {
		t.Errorf("output %q", g.out)
	}
	left := Leftovers{Marks: []string{g.mark}}
	if rest := left.End(t.Context(), 0); rest.Ended != 2 {
		t.Errorf("%d processes still ran, want 2", rest.Ended)
	}
}

func TestClosedOutputIsNoEnd(t *testing.T) {
	g := plant(t, time.Minute)
	r := g.Run(t.Context(), g.sh(`echo first; exec >&- 2>&-; sleep 0.1; exit 4`))
	g.End(t.Context())
	if r.ExitCode != 4 || g.out.String() != "first\n" {
		t.Errorf("got %+v %q", r, g.out)
	}
}

// guarded are the ways in which a tree's scripts hang on when what started them is killed.
var guarded = map[string]string{
	"plain":         `sleep 600 & sleep 600`,
	"ignores TERM":  `trap '' TERM; while :; do sleep 0.02; done`,
	"another group": `(setsid sleep 600 >/dev/null 2>&1 &); sleep 600`,
}

// TestGuardEndsTheTreeOfADeadListener kills a child of this test, which runs a tree of its own.
func TestGuardEndsTheTreeOfADeadListener(t *testing.T) {
	for name, script := range guarded {
		t.Run(name, func(t *testing.T) {
			mark := "TREE=guarded-" + strconv.Itoa(os.Getpid()) + "-" + strings.ReplaceAll(name, " ", "-")
			parent := exec.Command(os.Args[0])
			parent.Env = append(os.Environ(), guardedScript+"="+script+"\n", guardedMark+"="+mark)
			out, err := parent.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := parent.Start(); err != nil {
				t.Fatal(err)
			}
			if line, err := bufio.NewReader(out).ReadString('\n'); line != "begun\n" {
				t.Fatalf("got %q, %v", line, err)
			}
			if len(leftWith(mark)) == 0 {
				t.Fatal("nothing runs: this test shows nothing")
			}
			_ = parent.Process.Kill()
			_ = parent.Wait()
			if !poll(10*time.Second, func() bool { return len(leftWith(mark)) == 0 }) {
				t.Errorf("still there: %v", leftWith(mark))
			}
		})
	}
}

func leftWith(mark string) []int { return Leftovers{Marks: []string{mark}}.find() }

// guardedScript and guardedMark are the environment of a child that TestGuardEndsTheTreeOfADeadListener kills.
const (
	guardedScript = "PROCESS_TEST_SCRIPT"
	guardedMark   = "PROCESS_TEST_MARK"
)

func runGuarded() {
	mark := os.Getenv(guardedMark)
	tree, err := New(Options{
		Marks: []string{mark}, Output: io.Discard, Grace: func(error) time.Duration { return time.Minute }, OrphanGrace: 100 * time.Millisecond,
		Started: func(ID) {
			time.Sleep(100 * time.Millisecond) // for the script to get going
			fmt.Println("begun")
		},
	})
	if err != nil {
		panic(err)
	}
	tree.Run(context.Background(), Command{
		Argv: []string{"/bin/sh", "-c", os.Getenv(guardedScript)}, Dir: "/", Env: []string{"PATH=" + os.Getenv("PATH"), mark},
	})
}

func TestGuardGoesWithItsTree(t *testing.T) {
	g := plant(t, time.Minute)
	g.opt.OrphanGrace = time.Second
	for range 2 {
		if r := g.Run(t.Context(), g.sh("exit 3")); r.ExitCode != 3 {
			t.Errorf("got %+v", r)
		}
	}
	guard := g.guard.process.Pid
	if rest := g.End(t.Context()); rest.Ended != 0 {
		t.Errorf("left %+v", rest)
	}
	if err := syscall.Kill(guard, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("guard %d: %v", guard, err)
	}
}
