//go:build unix && !linux

package journal

import (
	"strconv"

	"golang.org/x/sys/unix"
)

// bootID names the time since the machine was started, by when that was.
func bootID() string {
	started, err := unix.SysctlTimeval("kern.boottime")
	if err != nil {
		return "unknown"
	}
	return strconv.FormatInt(int64(started.Sec), 10)
}
