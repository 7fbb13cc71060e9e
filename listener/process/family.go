package process

import (
	"os"
	"sync"
	"syscall"
)

// family knows the processes of one tree.
type family struct {
	marks  []string
	cgroup *cgroup // nil: there is none

	mu      sync.Mutex
	groups  []int  // process groups of the commands, the newest last
	running int    // the newest command's pid while it has not been waited for, else 0
	since   uint64 // when the first command started: nothing of the tree is older

	ended bool // it has been seen without any process since the last start; for who calls the tree
}

// commands are the children of this process that someone waits for. Whoever reaps orphans leaves these alone:
// their exit status belongs to that wait. Starting holds the read lock until the pid is known here.
var commands = struct {
	sync.RWMutex
	pids sync.Map // int → struct{}
}{}

// launch starts a process that someone is going to wait for, by reapCommand.
func launch(program string, argv []string, attr *os.ProcAttr) (*os.Process, error) {
	commands.RLock()
	defer commands.RUnlock()
	p, err := os.StartProcess(program, argv, attr)
	if err == nil {
		commands.pids.Store(p.Pid, struct{}{})
	}
	return p, err
}

func reapCommand(p *os.Process) (*os.ProcessState, error) {
	state, err := p.Wait()
	commands.pids.Delete(p.Pid)
	return state, err
}

// start starts a command and remembers it.
func (f *family) start(c Command, out *os.File) (*os.Process, error) {
	p, err := start(c, out, f.cgroup)
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.running, f.ended = p.Pid, false
	f.groups = append(f.groups, p.Pid)
	if f.since == 0 {
		f.since = startTime(p.Pid)
	}
	return p, nil
}

// gone reports whether none of the tree's processes runs. Where there was none, none is born: it is not looked for again.
func (f *family) gone() bool {
	f.ended = f.ended || !f.cgroup.populated() && len(f.left()) == 0 // the first is a question much cheaper than the second
	return f.ended
}

// wait waits for a command's own process.
func (f *family) wait(p *os.Process) Result {
	state, err := reapCommand(p)
	f.mu.Lock()
	if f.running == p.Pid {
		f.running = 0
	}
	f.mu.Unlock()
	if err != nil {
		return Result{ExitCode: -1, Err: err}
	}
	status, _ := state.Sys().(syscall.WaitStatus)
	if status.Signaled() {
		return Result{ExitCode: -1, Signal: status.Signal()}
	}
	return Result{ExitCode: state.ExitCode()}
}

// signalRunning signals the group of the command that runs, and returns that group: all of it at once, so that
// none is missed that is born meanwhile. Its leader has not been waited for, so the number is still its own.
func (f *family) signalRunning(sig syscall.Signal) (group int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.running != 0 {
		_ = syscall.Kill(-f.running, sig)
	}
	return f.running
}

// identify names a process that has not been waited for.
func identify(pid int) ID { return ID{PID: pid, Start: startTime(pid)} }

func isCommand(pid int) bool {
	_, ok := commands.pids.Load(pid)
	return ok
}
