//go:build unix && !linux

package process

import (
	"errors"
	"os"
	"syscall"
)

// pipeSize is how much output may stand between a command and us, in bytes.
const pipeSize = 64 << 10

func pipe() (read, write *os.File, err error) { return os.Pipe() }

func rest() {}

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

// signal signals every process group of the tree.
func (f *family) signal(sig syscall.Signal) {
	for _, group := range f.left() {
		_ = syscall.Kill(-group, sig)
	}
}
