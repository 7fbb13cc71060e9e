package process

import "golang.org/x/sys/unix"

// startTime returns when a process started, in microseconds since 1970; 0 when it is not there.
func startTime(pid int) uint64 {
	info, err := unix.SysctlKinfoProc("kern.proc.pid", pid)
	if err != nil {
		return 0
	}
	start := info.Proc.P_starttime
	return uint64(start.Sec)*1e6 + uint64(start.Usec)
}
