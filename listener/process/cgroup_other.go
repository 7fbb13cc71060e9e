//go:build unix && !linux

package process

import "syscall"

// EndsBy says by what trees are ended on this system: their process groups.
func EndsBy() (way, detail string) {
	return "process groups", "this system has neither cgroups nor a subreaper"
}

// cgroup is Linux' alone.
type cgroup struct{}

func newCgroup(string) *cgroup { return nil }

func (*cgroup) admit(*syscall.SysProcAttr) {}

func (*cgroup) folder() string { return "" }

func (*cgroup) close() {}
