package process

import (
	"context"
	"errors"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
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

// launch starts a process that someone is going to wait for, by awaitEnd and reapCommand.
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

// awaitEnd waits for a process in Go's poller, and reports whether it has ended: false when ctx ends before, or where the
// system cannot tell the poller. Process.Wait would keep a thread in the kernel, and the runtime look after that thread
// all the time that a short command runs.
func awaitEnd(ctx context.Context, p *os.Process) (ended bool) {
	_ = p.WithHandle(func(handle uintptr) {
		fd, err := unix.FcntlInt(handle, unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			return
		}
		_, _ = unix.FcntlInt(uintptr(fd), unix.F_SETFL, unix.O_NONBLOCK)
		file := os.NewFile(uintptr(fd), "process")
		defer file.Close()
		defer context.AfterFunc(ctx, func() { _ = file.SetReadDeadline(time.Now()) })()
		conn, err := file.SyscallConn()
		if err != nil {
			return
		}
		look := func(uintptr) (known bool) {
			n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
			ended = n > 0
			return ended || err != nil && !errors.Is(err, unix.EINTR)
		}
		if conn.Read(look) != nil {
			look(handle) // at its limit nobody looks, and it may have ended
		}
	})
	return ended
}

// start starts a command and remembers it. Until it is waited for, its id is its own.
func (f *family) start(c Command, out *os.File) (*os.Process, ID, error) {
	p, err := start(c, out, f.cgroup)
	if err != nil {
		return nil, ID{}, err
	}
	id := ID{PID: p.Pid, Start: startTime(p.Pid)}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.running, f.ended = p.Pid, false
	f.groups = append(f.groups, p.Pid)
	if f.since == 0 {
		f.since = id.Start
	}
	return p, id, nil
}

// gone reports whether none of the tree's processes runs. Where there was none, none is born: it is not looked for again.
func (f *family) gone() bool {
	f.ended = f.ended || f.none()
	return f.ended
}

// wait waits for a command's own process.
func (f *family) wait(p *os.Process) Result {
	awaitEnd(context.Background(), p)
	return f.reap(p)
}

// reap takes the result of a command's own process. It blocks a thread while that runs.
func (f *family) reap(p *os.Process) Result {
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

func isCommand(pid int) bool {
	_, ok := commands.pids.Load(pid)
	return ok
}
