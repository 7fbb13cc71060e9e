package secret

import "golang.org/x/sys/unix"

// Conceal keeps what this process was started with and what it remembers from other processes of the same user, such as
// the commands of a run: they can neither read its /proc/<pid>/environ and mem nor trace it, unless they are root's
// (https://man7.org/linux/man-pages/man2/PR_SET_DUMPABLE.2const.html). Programs that it starts are not concealed. There
// is no core dump of it then.
func Conceal() {
	_ = unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0) // it fails for no valid value
}
