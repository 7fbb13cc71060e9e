package process

import "syscall"

// find returns the pids of what still runs.
func (l Leftovers) find() []int {
	var pids []int
	for _, p := range l.members() {
		pids = append(pids, p.pid)
	}
	return pids
}

func (l Leftovers) signal(sig syscall.Signal) {
	for _, p := range l.members() {
		p.signal(sig)
	}
}

func (l Leftovers) members() []proc {
	return takeSnapshot().descendants(0, func(p proc) bool {
		return p.pid == l.Leader.PID && p.start == l.Leader.Start || p.marked(l.Marks)
	})
}
