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
	if sig == syscall.SIGKILL {
		l.cgroup().kill()
	}
	for _, p := range l.members() {
		p.signal(sig)
	}
}

// cgroup is that of the tree, if it is there.
func (l Leftovers) cgroup() *cgroup {
	if dir := cgroupOf(l.Cgroup); dir != "" {
		return &cgroup{dir: dir}
	}
	return nil
}

func (l Leftovers) close() { l.cgroup().close() }

func (l Leftovers) members() []proc {
	inside := l.cgroup().pids()
	return takeSnapshot().descendants(0, func(p proc) bool {
		return inside[p.pid] || p.pid == l.Leader.PID && p.start == l.Leader.Start || p.marked(l.Marks)
	})
}
