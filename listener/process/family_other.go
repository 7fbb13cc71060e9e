//go:build unix && !linux

package process

import (
	"errors"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// pipeSize is how much output may stand between a command and us, in bytes.
const pipeSize = 64 << 10

// pipe makes the pipe that a tree's output goes through. Its reading end does not block.
func pipe() (read int, write *os.File, err error) {
	syscall.ForkLock.RLock() // no program inherits it by chance
	defer syscall.ForkLock.RUnlock()
	var ends [2]int
	if err := unix.Pipe(ends[:]); err != nil {
		return -1, nil, err
	}
	unix.CloseOnExec(ends[0])
	unix.CloseOnExec(ends[1])
	_ = unix.SetNonblock(ends[0], true)
	return ends[0], os.NewFile(uintptr(ends[1]), "output"), nil
}

// shortestRest is what a timer of these systems can tell.
const shortestRest = 100 * time.Microsecond

func rest(d time.Duration) { time.Sleep(d) }

func (f *family) open(string) {}

func (f *family) close() {}

// left returns the process groups of the tree that still have members, by their numbers. One that has been
// seen empty is forgotten: its number may be given to a stranger.
func (f *family) left() []int {
	f.mu.Lock()
	defer f.mu.Unlock()
	var groups []int
	for _, group := range f.groups {
		if group == f.running || !errors.Is(syscall.Kill(-group, 0), syscall.ESRCH) {
			groups = append(groups, group)
		}
	}
	f.groups = groups
	return append([]int(nil), groups...)
}

// none reports whether no process of the tree runs now.
func (f *family) none() bool { return len(f.left()) == 0 }

// signal signals every process group of the tree.
func (f *family) signal(sig syscall.Signal) {
	for _, group := range f.left() {
		_ = syscall.Kill(-group, sig)
	}
}
