package process

import (
	"context"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"
)

// escapes are the ways out of a process group that scripts really take.
var escapes = map[string]string{
	"setsid":              `setsid sleep 600 >/dev/null 2>&1 </dev/null &`,
	"double fork":         `(setsid sh -c 'sleep 600 & sleep 600 & exit' >/dev/null 2>&1 &)`,
	"nohup":               `nohup sleep 600 >/dev/null 2>&1 &`,
	"holds output":        `setsid sleep 600 &`,
	"clean environment":   `env -i sleep 600 >/dev/null 2>&1 &`,
	"clean, out of group": `(env -i setsid sleep 600 >/dev/null 2>&1 &)`,
}

func TestEscapeesAreEndedWhenTheCommandsAreDone(t *testing.T) {
	for name, script := range escapes {
		t.Run(name, func(t *testing.T) {
			g := plant(t, 150*time.Millisecond)
			r := g.Run(t.Context(), g.sh(script+"\nsleep 0.05; exit 0"))
			rest := g.End(t.Context())
			if !r.Passed() || rest.Ended == 0 || len(rest.Stuck) != 0 || rest.Held {
				t.Errorf("got %+v, left %+v", r, rest)
			}
			g.gone(t)
			if any, _ := children(); any {
				t.Error("a child is left, or has not been reaped")
			}
		})
	}
}

func TestEscapeesAreEndedByACancel(t *testing.T) {
	for name, script := range escapes {
		t.Run(name, func(t *testing.T) {
			g := plant(t, time.Minute)
			ctx, cancel := context.WithCancel(t.Context())
			go func() {
				g.out.await(t, "ready")
				cancel()
			}()
			g.Run(ctx, g.sh(script+"\nsleep 0.05; echo ready; wait; sleep 600"))
			if left := g.family.left(); len(left) != 0 {
				t.Errorf("still there: %v", left)
			}
			g.End(ctx)
			g.gone(t)
		})
	}
}

func TestTreesDoNotTouchEachOther(t *testing.T) {
	bystander := exec.Command("sleep", "600")
	bystander.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	bystander.Env = []string{"BYSTANDER=1"}
	if err := bystander.Start(); err != nil {
		t.Fatal(err)
	}
	defer bystander.Wait()
	defer bystander.Process.Kill()

	one, other := plant(t, time.Minute), plant(t, 50*time.Millisecond)
	other.opt.Marks, other.family.marks = []string{"TREE=other"}, []string{"TREE=other"}
	other.mark = "TREE=other"
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan Result)
	go func() { result <- one.Run(t.Context(), one.sh(`setsid sleep 0.3 & echo ready; wait; exit 5`)) }()
	one.out.await(t, "ready")
	go func() {
		other.out.await(t, "ready")
		cancel()
	}()
	other.Run(ctx, other.sh(`setsid sleep 600 & echo ready; wait`))
	other.End(ctx)
	if r := <-result; r.ExitCode != 5 {
		t.Errorf("the other tree's end reached this one: %+v", r)
	}
	one.End(t.Context())
	if err := bystander.Process.Signal(syscall.Signal(0)); err != nil {
		t.Errorf("the bystander was ended: %v", err)
	}
}

// TestReapingStealsNoExitStatus runs many short commands while orphans are reaped all the time.
func TestReapingStealsNoExitStatus(t *testing.T) {
	stop, reaped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(reaped)
		for {
			select {
			case <-stop:
				return
			default:
				takeSnapshot().reap()
			}
		}
	}()
	var wg sync.WaitGroup
	for worker := range 4 {
		wg.Go(func() {
			for i := range 12 {
				g := plant(t, time.Minute)
				want := (worker*12 + i) % 200
				r := g.Run(t.Context(), g.sh("(setsid true &); exit "+strconv.Itoa(want)))
				if r.ExitCode != want {
					t.Errorf("got %+v, want exit status %d", r, want)
				}
				out, err := exec.Command("/bin/sh", "-c", "exit 9").CombinedOutput()
				if err == nil || err.Error() != "exit status 9" {
					t.Errorf("got %q %v of another command of this program", out, err)
				}
				g.End(t.Context())
			}
		})
	}
	wg.Wait()
	close(stop)
	<-reaped
}

func TestLeftoversAreFoundByMarkAndByLeader(t *testing.T) {
	start := func(env ...string) (*exec.Cmd, ID) {
		c := exec.Command("sleep", "600")
		c.Env = env
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		return c, ID{PID: c.Process.Pid, Start: startTime(c.Process.Pid)}
	}
	marked, _ := start("RUN=a", "ATTEMPT=1")
	cleaned, leader := start("X=1")
	other, _ := start("RUN=a", "ATTEMPT=2")
	bystander, _ := start("X=RUN=a", "ATTEMPT=1")
	ended := make(chan *exec.Cmd, 2)
	for _, c := range []*exec.Cmd{marked, cleaned} {
		go func() {
			_ = c.Wait()
			ended <- c
		}()
	}
	recycled := Leftovers{Leader: ID{leader.PID, leader.Start + 1}}
	if rest := recycled.End(t.Context(), 0); rest.Ended != 0 {
		t.Errorf("ended a process with another start time: %+v", rest)
	}
	rest := Leftovers{Marks: []string{"RUN=a", "ATTEMPT=1"}, Leader: leader}.End(t.Context(), time.Second)
	if rest.Ended != 2 || len(rest.Stuck) != 0 {
		t.Errorf("got %+v", rest)
	}
	<-ended
	<-ended
	for _, c := range []*exec.Cmd{other, bystander} {
		if err := c.Process.Signal(syscall.Signal(0)); err != nil {
			t.Errorf("%v was ended: %v", c.Env, err)
		}
		_ = c.Process.Kill()
		_ = c.Wait()
	}
}

func TestProgramNamesDoNotConfuseTheParser(t *testing.T) {
	dir := t.TempDir()
	name := dir + "/a) Z 1 1 ("
	data, err := os.ReadFile("/bin/sleep")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, data, 0o755); err != nil {
		t.Fatal(err)
	}
	c := exec.Command(name, "600")
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	defer c.Wait()
	defer c.Process.Kill()
	p, ok := readProc(c.Process.Pid)
	if !ok || p.dead || p.parent != os.Getpid() || p.start == 0 {
		t.Errorf("got %+v", p)
	}
}

// TestOlderProcessesAreNoneOfTheTree: what was there before its first command cannot come from it.
func TestOlderProcessesAreNoneOfTheTree(t *testing.T) {
	g := plant(t, 50*time.Millisecond)
	older := exec.Command("sleep", "600")
	older.Env = []string{g.mark}
	if err := older.Start(); err != nil {
		t.Fatal(err)
	}
	defer older.Wait()
	defer older.Process.Kill()
	for born := startTime(older.Process.Pid); g.family.since <= born; {
		g.family.since = 0
		g.Run(t.Context(), g.sh("true")) // until the clock of /proc has gone on
	}
	if rest := g.End(t.Context()); rest.Ended != 0 {
		t.Errorf("ended %+v", rest)
	}
	if err := older.Process.Signal(syscall.Signal(0)); err != nil {
		t.Errorf("the older process was ended: %v", err)
	}
}

// TestManyRunsLeaveNothing: no process, no zombie, no descriptor.
func TestManyRunsLeaveNothing(t *testing.T) {
	open := func() int {
		found, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(found)
	}
	one := func() {
		g := plant(t, time.Minute)
		ctx, cancel := context.WithCancel(t.Context())
		g.opt.Started = func(ID) { cancel() }
		g.opt.OrphanGrace = time.Second
		g.Run(ctx, g.sh("(setsid sleep 600 &) ; sleep 600"))
		g.End(ctx)
		g.gone(t)
	}
	one() // opens what is opened once
	before := open()
	for range 30 {
		one()
	}
	if now := open(); now > before {
		t.Errorf("%d descriptors, %d before", now, before)
	}
	if any, _ := children(); any {
		t.Error("a child is left")
	}
}
