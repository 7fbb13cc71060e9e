package process

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// proc is one process as /proc shows it.
type proc struct {
	pid, parent, group, session int

	start uint64 // clock ticks since boot
	dead  bool   // it has ended and waits for its parent
}

// snapshot is all processes of the machine at about one time.
type snapshot map[int]proc

func takeSnapshot() snapshot {
	s := snapshot{}
	dir, err := os.Open("/proc")
	if err != nil {
		return s
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(-1)
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil {
			if p, ok := readProc(pid); ok {
				s[pid] = p
			}
		}
	}
	return s
}

// readProc reads /proc/<pid>/stat (https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html). The second
// field is the program's name, which may hold spaces and brackets; the last bracket ends it.
func readProc(pid int) (proc, bool) {
	var buf [1024]byte // 52 numbers and a name of 16 bytes, 64 for a kernel thread
	text := peek("/proc/"+strconv.Itoa(pid)+"/stat", buf[:])
	if len(text) == 0 {
		return proc{}, false
	}
	fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
	const state, parent, group, session, start = 0, 1, 2, 3, 19
	if len(fields) <= start {
		return proc{}, false
	}
	p := proc{pid: pid, dead: bytes.ContainsAny(fields[state], "ZXx")}
	p.parent, _ = strconv.Atoi(string(fields[parent]))
	p.group, _ = strconv.Atoi(string(fields[group]))
	p.session, _ = strconv.Atoi(string(fields[session]))
	p.start, _ = strconv.ParseUint(string(fields[start]), 10, 64)
	return p, true
}

// peek reads the beginning of one of the kernel's files into buf; empty: it is not there. A snapshot reads hundreds, and
// os.ReadFile would take twice as long for each.
func peek(path string, buf []byte) []byte {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	defer unix.Close(fd)
	for {
		n, err := unix.Read(fd, buf)
		if !errors.Is(err, unix.EINTR) {
			return buf[:max(n, 0)]
		}
	}
}

// startTime returns when a process started, in clock ticks since boot; 0 when it is not there.
func startTime(pid int) uint64 {
	p, _ := readProc(pid)
	return p.start
}

// descendants returns the processes that run, are not older than since, and are roots or below one.
func (s snapshot) descendants(since uint64, root func(proc) bool) []proc {
	known := map[int]bool{0: false}
	var belongs func(pid int) bool
	belongs = func(pid int) bool {
		if answer, ok := known[pid]; ok {
			return answer
		}
		known[pid] = false // a parent read after its child may be a newer process: no circles
		p, ok := s[pid]
		known[pid] = ok && p.start >= since && (belongs(p.parent) || root(p))
		return known[pid]
	}
	var found []proc
	for pid, p := range s {
		if !p.dead && pid != os.Getpid() && belongs(pid) {
			found = append(found, p)
		}
	}
	return found
}

// marked reports whether the process's environment holds all the marks. One that may not be read is not marked.
func (p proc) marked(marks []string) bool {
	if len(marks) == 0 || p.dead {
		return false
	}
	env, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(p.pid), "environ"))
	if err != nil || len(env) == 0 {
		return false
	}
	env = append([]byte{0}, env...)
	for _, mark := range marks {
		if !bytes.Contains(env, []byte("\x00"+mark+"\x00")) {
			return false
		}
	}
	return true
}

// signal signals the process, and never another one that has got its pid meanwhile: os.FindProcess holds a
// pidfd, and the start time is read behind it.
func (p proc) signal(sig syscall.Signal) {
	handle, err := os.FindProcess(p.pid)
	if err != nil {
		return
	}
	defer handle.Release()
	if startTime(p.pid) == p.start {
		_ = handle.Signal(sig)
	}
}

// reap takes the exit status of adopted processes that have ended, which nobody else will. These are children
// of ours in another process group than our own that no one waits for; anything else in this program that
// starts children in groups of their own must do it through this package.
func (s snapshot) reap() {
	self, own := os.Getpid(), unix.Getpgrp()
	for pid, p := range s {
		if p.dead && p.parent == self && p.group != own {
			reap(pid)
		}
	}
}

func reap(pid int) {
	commands.Lock() // no start is under way: whoever is not known as a command now is none
	defer commands.Unlock()
	if !isCommand(pid) {
		_, _ = unix.Wait4(pid, nil, unix.WNOHANG, nil)
	}
}
