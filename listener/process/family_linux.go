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

// pipe makes the pipe that a tree's output goes through. Its reading end does not block.
func pipe() (read int, write *os.File, err error) {
	var ends [2]int
	if err := unix.Pipe2(ends[:], unix.O_CLOEXEC); err != nil {
		return -1, nil, err
	}
	_, _ = unix.FcntlInt(uintptr(ends[0]), unix.F_SETFL, unix.O_NONBLOCK)
	_, _ = unix.FcntlInt(uintptr(ends[0]), unix.F_SETPIPE_SZ, pipeSize) // a pipe that stays small is slower, no more
	return ends[0], os.NewFile(uintptr(ends[1]), "output"), nil
}

// shortestRest is shorter than what the fastest writer takes to fill the pipe.
const shortestRest = 50 * time.Microsecond

// rest waits in the kernel, and not in Go's scheduler, whose timers would cost as much as they spare.
func rest(d time.Duration) {
	if d <= 0 {
		return
	}
	t := unix.NsecToTimespec(int64(d))
	_ = unix.Nanosleep(&t, nil)
}

// adopt makes this process the parent of what its descendants leave behind, so that all of a tree stays below
// us: https://man7.org/linux/man-pages/man2/PR_SET_CHILD_SUBREAPER.2const.html.
var adopt = sync.OnceValue(func() error { return unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) })

// trees counts the open ones. While there are any, a janitor reaps what this process has adopted.
var trees struct {
	sync.Mutex
	open int
	next *time.Timer // of the janitor
}

const janitorPeriod = 5 * time.Second

func (f *family) open(cgroup string) {
	f.cgroup = newCgroup(cgroup)
	_ = adopt() // without it a tree is found by its cgroup and its marks alone
	trees.Lock()
	defer trees.Unlock()
	if trees.open++; trees.open == 1 {
		trees.next = time.AfterFunc(janitorPeriod, janitor)
	}
}

func (f *family) close() {
	sweep()
	f.cgroup.close()
	trees.Lock()
	defer trees.Unlock()
	if trees.open--; trees.open == 0 {
		trees.next.Stop()
	}
}

// alone reports whether there is only one tree, so that any orphan must be its own.
func alone() bool {
	trees.Lock()
	defer trees.Unlock()
	return trees.open == 1
}

// janitor reaps orphans while trees are open: a run that goes on for hours may leave thousands.
func janitor() {
	if _, waits := children(); waits {
		takeSnapshot().reap()
	}
	trees.Lock()
	defer trees.Unlock()
	if trees.open > 0 {
		trees.next.Reset(janitorPeriod)
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

// none reports whether no process of the tree runs now.
func (f *family) none() bool {
	if f.cgroup.populated() {
		return false
	}
	any, _ := children() // all of a tree are our descendants, and whose parent has died is our child
	return !any || len(f.members()) == 0
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
