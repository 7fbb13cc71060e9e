package lock

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"syscall"
)

// holder finds who holds the lock, in /proc/locks (https://man7.org/linux/man-pages/man5/proc_locks.5.html); 0 when
// that is not to be seen from here.
func (l Lock) holder() int {
	info, err := os.Stat(l.path)
	if err != nil {
		return 0
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0
	}
	inode := fmt.Sprintf(":%d", stat.Ino)
	list, err := os.Open("/proc/locks")
	if err != nil {
		return 0
	}
	defer list.Close()
	for lines := bufio.NewScanner(list); lines.Scan(); {
		// "1: FLOCK  ADVISORY  WRITE 4711 08:01:1234 0 EOF"
		fields := strings.Fields(lines.Text())
		pid := 0
		if len(fields) > 5 && fields[1] == "FLOCK" && strings.HasSuffix(fields[5], inode) {
			if _, err := fmt.Sscan(fields[4], &pid); err == nil && pid > 0 {
				return pid
			}
		}
	}
	return 0
}
