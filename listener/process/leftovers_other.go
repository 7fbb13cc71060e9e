//go:build unix && !linux

package process

import (
	"errors"
	"syscall"
)

// find returns the leader's process group while its leader is there: another system than Linux shows no
// environment to search.
func (l Leftovers) find() []int {
	if l.Leader.PID == 0 || l.Leader.Start == 0 || startTime(l.Leader.PID) != l.Leader.Start {
		return nil
	}
	if errors.Is(syscall.Kill(-l.Leader.PID, 0), syscall.ESRCH) {
		return nil
	}
	return []int{l.Leader.PID}
}

func (Leftovers) close() {}

func (l Leftovers) signal(sig syscall.Signal) {
	for _, group := range l.find() {
		_ = syscall.Kill(-group, sig)
	}
}
