package process

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"
)

// guardScript waits for the end of this process, and then ends a tree. Its input holds the number of the newest
// process group, one a line, and "end" when there is nothing to guard any more; that it ends without is our
// death, however that came. What left the group is found by the tree's cgroup, where there is one, and by the marks, where
// there is a /proc. It is a shell's work, since nothing of us is left to do it.
const guardScript = `
wait=$1 cgroup=$2 group=
shift 2
while read -r line; do
	[ "$line" = end ] && exit
	group=$line
done
nl='
'
marked() {
	[ $# -gt 0 ] || return
	for file in $(grep -lsF -e "$1" /proc/[0-9]*/environ); do
		env=$nl$(tr '\0' '\n' <"$file")$nl
		for mark; do
			case $env in *"$nl$mark$nl"*) ;; *) continue 2 ;; esac
		done
		pid=${file#/proc/}
		echo "${pid%/environ}"
	done
}
end() {
	signal=$1
	shift
	[ -n "$group" ] && kill -s "$signal" -- "-$group"
	[ -n "$cgroup" ] && [ "$signal" = KILL ] && echo 1 >"$cgroup/cgroup.kill"
	for pid in $([ -n "$cgroup" ] && cat "$cgroup/cgroup.procs"; marked "$@"); do kill -s "$signal" "$pid"; done
}
end TERM "$@"
sleep "$wait"
end KILL "$@"
[ -n "$cgroup" ] || exit
for try in 1 2 3 4 5; do
	rmdir "$cgroup" && exit
	sleep 0.1
done
`

// guard is a process of its own that ends a tree when this process dies.
type guard struct {
	process *os.Process
	input   *os.File
}

// newGuard starts a guard of a tree, given the folder of its cgroup or nothing. It is in a process group of its own: a ^C
// on our terminal is not for it.
func newGuard(cgroup string, marks []string, grace time.Duration) (*guard, error) {
	read, write, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer read.Close()
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		_ = write.Close()
		return nil, err
	}
	defer null.Close()
	argv := []string{"sh", "-c", guardScript, "lightspeed-guard", fmt.Sprintf("%.3f", grace.Seconds()), cgroup}
	p, err := launch("/bin/sh", append(argv, marks...), &os.ProcAttr{
		Dir: "/", Env: []string{"PATH=" + defaultPath}, Files: []*os.File{read, null, null},
		Sys: &syscall.SysProcAttr{Setpgid: true},
	})
	if err != nil {
		_ = write.Close()
		return nil, err
	}
	return &guard{p, write}, nil
}

// follow tells the guard which process group it guards now.
func (g *guard) follow(group int) { _, _ = g.input.WriteString(strconv.Itoa(group) + "\n") }

// dismiss ends the guard: there is nothing left to guard.
func (g *guard) dismiss() {
	_, _ = g.input.WriteString("end\n")
	_ = g.input.Close()
	awaitEnd(context.Background(), g.process)
	_, _ = reapCommand(g.process)
}
