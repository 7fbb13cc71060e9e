package process

import (
	"errors"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// pipeSize is how much output may stand between a command and us, in bytes. Larger pipes cost fewer switches
// between the two; /proc/sys/fs/pipe-user-pages-soft lets a user have 64 of this size, after which they
// shrink. It is also the most that can be lost when we are killed.
const pipeSize = 256 << 10

// pipe makes the pipe that a tree's output goes through.
func pipe() (read, write *os.File, err error) {
	read, write, err = os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	if raw, err := read.SyscallConn(); err == nil {
		// A pipe that stays small is slower, no more.
		_ = raw.Control(func(fd uintptr) { _, _ = unix.FcntlInt(fd, unix.F_SETPIPE_SZ, pipeSize) })
	}
	return read, write, nil
}

// restTime is shorter than what the fastest writer takes to fill the pipe.
const restTime = 50 * time.Microsecond

// rest waits in the kernel, and not in Go's scheduler, whose timers would cost as much as they spare.
func rest() {
	t := unix.NsecToTimespec(int64(restTime))
	_ = unix.Nanosleep(&t, nil)
}

// adopt makes this process the parent of what its descendants leave behind, so that all of a tree stays below
// us: https://man7.org/linux/man-pages/man2/PR_SET_CHILD_SUBREAPER.2const.html.
var adopt = sync.OnceValue(func() error { return unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) })

// trees counts the open ones. While there are any, a janitor reaps what this process has adopted.
var trees struct {
	sync.Mutex
	open int
	stop chan struct{}
	done chan struct{}
}

const janitorPeriod = 5 * time.Second

func (f *family) open(cgroup string) {
	f.cgroup = newCgroup(cgroup)
	_ = adopt() // without it a tree is found by its cgroup and its marks alone
	trees.Lock()
	defer trees.Unlock()
	if trees.open++; trees.open == 1 {
		trees.stop, trees.done = make(chan struct{}), make(chan struct{})
		go janitor(trees.stop, trees.done)
	}
}

func (f *family) close() {
	sweep()
	f.cgroup.close()
	trees.Lock()
	defer trees.Unlock()
	if trees.open--; trees.open == 0 {
		close(trees.stop)
		<-trees.done
	}
}

// alone reports whether there is only one tree, so that any orphan must be its own.
func alone() bool {
	trees.Lock()
	defer trees.Unlock()
	return trees.open == 1
}

// janitor reaps orphans while trees are open: a run that goes on for hours may leave thousands.
func janitor(stop <-chan struct{}, done chan<- struct{}) {
	defer close(done)
	tick := time.NewTicker(janitorPeriod)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if _, waits := children(); waits {
				takeSnapshot().reap()
			}
		case <-stop:
			return
		}
	}
}

// sweep reaps what the end of a tree leaves behind: what died while its parent did has become ours only then.
func sweep() {
	for range 3 {
		if _, waits := children(); !waits {
			return
		}
		takeSnapshot().reap()
	}
}

// children reports whether this process has children, and whether one of them has ended and waits to be reaped.
// It is one system call, and spares most runs a look at all of /proc.
func children() (any, waits bool) {
	for {
		var info unix.Siginfo
		err := unix.Waitid(unix.P_ALL, 0, &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
		switch {
		case err == nil:
			return true, info.Signo != 0
		case errors.Is(err, unix.EINTR):
		default:
			return !errors.Is(err, unix.ECHILD), false
		}
	}
}

// left returns the pids of the tree's processes that still run.
func (f *family) left() []int {
	var pids []int
	for _, m := range f.members() {
		pids = append(pids, m.pid)
	}
	return pids
}

// signal signals every process of the tree.
func (f *family) signal(sig syscall.Signal) {
	group := f.signalRunning(sig)
	if sig == syscall.SIGKILL {
		f.cgroup.kill()
	}
	for _, m := range f.members() {
		if group == 0 || m.group != group {
			m.signal(sig)
		}
	}
}

// members returns the tree's processes that still run.
func (f *family) members() []proc {
	if any, _ := children(); !any && !f.cgroup.populated() {
		return nil // all of a tree are our descendants, and whose parent has died is our child
	}
	inside := f.cgroup.pids()
	s := takeSnapshot()
	s.reap()
	f.mu.Lock()
	running, groups, since := f.running, slices.Clone(f.groups), f.since
	f.mu.Unlock()
	self, lone := os.Getpid(), alone()
	session, _ := unix.Getsid(0)
	return s.descendants(since, func(p proc) bool {
		switch {
		case p.pid == running, inside[p.pid]:
			return true
		case p.parent != self || isCommand(p.pid):
			return p.marked(f.marks)
		case slices.Contains(groups, p.group):
			return true // an orphan of a command's group that cleaned its environment
		case p.marked(f.marks):
			return true
		}
		return lone && p.session != session // one that left for a session of its own, as daemons do
	})
}
