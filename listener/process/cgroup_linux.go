package process

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// cgroup is the cgroup (version 2, https://docs.kernel.org/admin-guide/cgroup-v2.html) of one tree, below this process's
// own. Its processes are born in it and stay there, whatever they do to their groups, sessions, parents and environment. A
// nil one holds nothing.
type cgroup struct {
	dir  string
	open *os.File // of dir, for who is to be born in it; nil: nobody is
}

// cgroups is the folder that cgroups of trees are made in, or why there is none. It is looked for once: this process
// stays where it is.
var cgroups = sync.OnceValues(func() (string, error) {
	own, _ := os.ReadFile("/proc/self/cgroup")
	mounts, _ := os.ReadFile("/proc/self/mountinfo")
	dir := cgroupFolder(string(own), string(mounts))
	if dir == "" {
		return "", errors.New("this process is in no cgroup of version 2 that can be seen")
	}
	return dir, usable(dir)
})

// EndsBy says by what trees are ended on this machine, besides their process groups and marks: by a "cgroup", which
// is made below the folder in detail, or by the "subreaper", and why.
func EndsBy() (way, detail string) {
	dir, err := cgroups()
	if err != nil {
		return "subreaper", err.Error()
	}
	return "cgroup", dir
}

// cgroupFolder finds a process's cgroup, given its /proc/<pid>/cgroup and mountinfo; empty: it cannot be seen.
func cgroupFolder(own, mounts string) string {
	path := ""
	for line := range strings.Lines(own) {
		if rest, ok := strings.CutPrefix(line, "0::"); ok {
			path = strings.TrimSuffix(rest, "\n")
		}
	}
	if strings.HasPrefix(path, "/../") {
		return "" // outside of what this process may see
	}
	for line := range strings.Lines(mounts) {
		// "36 35 0:31 /root /sys/fs/cgroup rw shared:9 - cgroup2 cgroup2 rw", with \040 for a space.
		mount, system, _ := strings.Cut(line, " - ")
		fields := strings.Fields(mount)
		if len(fields) < 5 || !strings.HasPrefix(system, "cgroup2 ") {
			continue
		}
		below, err := filepath.Rel(unescape(fields[3]), path)
		if err == nil && filepath.IsLocal(below) {
			return filepath.Join(unescape(fields[4]), below)
		}
	}
	return ""
}

func unescape(field string) string { return strings.ReplaceAll(field, `\040`, " ") }

// usable says why no cgroups can be made in this one.
func usable(dir string) error {
	if err := unix.Access(dir, unix.W_OK|unix.X_OK); err != nil {
		return fmt.Errorf("cgroup %s may not be written: %w", dir, err)
	}
	if systemd() && !delegated(dir) {
		return fmt.Errorf("cgroup %s is systemd's: the unit has no Delegate=yes", dir)
	}
	if file := limit(dir); file != "" {
		return fmt.Errorf("%s is set: in cgroups below it, programs would not see that limit", filepath.Join(dir, file))
	}
	// What filters system calls, as systemd's RestrictNamespaces and older Dockers do, cannot look into this one and
	// refuses it whole. A size of 0 is refused by the kernel itself.
	if _, _, err := unix.Syscall(unix.SYS_CLONE3, 0, 0, 0); err != unix.EINVAL {
		return fmt.Errorf("processes cannot be started in a cgroup: clone3: %w", err)
	}
	return nil
}

// systemd reports whether it owns this machine's cgroups (https://www.freedesktop.org/software/systemd/man/sd_booted.html).
func systemd() bool {
	_, err := os.Stat("/run/systemd/system")
	return err == nil
}

// delegated reports whether systemd leaves what is below a cgroup to others (https://systemd.io/CGROUP_DELEGATION).
func delegated(dir string) bool {
	for _, name := range []string{"user.delegate", "trusted.delegate"} {
		var value [1]byte
		if n, err := unix.Getxattr(dir, name, value[:]); err == nil && n == 1 && value[0] == '1' {
			return true
		}
	}
	return false
}

// limit names the file of a limit by which programs choose how much they use: many look for it in their own cgroup
// alone. Empty: none is set.
func limit(dir string) string {
	for _, file := range []string{"memory.max", "memory.high", "cpu.max"} {
		if text, err := os.ReadFile(filepath.Join(dir, file)); err == nil && !bytes.HasPrefix(text, []byte("max")) {
			return file
		}
	}
	return ""
}

// newCgroup makes a tree's cgroup; nil when there is to be none, or none can be made.
func newCgroup(name string) *cgroup {
	dir := cgroupOf(name)
	if dir == "" {
		return nil
	}
	removeLate()
	if os.Mkdir(dir, 0o755) != nil {
		return nil
	}
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		_ = os.Remove(dir)
		return nil
	}
	return &cgroup{dir, os.NewFile(uintptr(fd), dir)}
}

// cgroupOf is where the cgroup of that name is; empty when there is to be none.
func cgroupOf(name string) string {
	base, err := cgroups()
	if name == "" || err != nil {
		return ""
	}
	return filepath.Join(base, "lightspeed-"+name)
}

// admit has a process be born in the cgroup.
func (c *cgroup) admit(attr *syscall.SysProcAttr) {
	if c != nil {
		attr.UseCgroupFD, attr.CgroupFD = true, int(c.open.Fd())
	}
}

// folder is where it is; empty for nil.
func (c *cgroup) folder() string {
	if c == nil {
		return ""
	}
	return c.dir
}

// populated reports whether a process that runs is in it.
func (c *cgroup) populated() bool {
	if c == nil {
		return false
	}
	var buf [128]byte
	return bytes.Contains(peek(filepath.Join(c.dir, "cgroup.events"), buf[:]), []byte("populated 1"))
}

// pids are the processes in it, and in those that its own processes have made below it.
func (c *cgroup) pids() map[int]bool {
	pids := map[int]bool{}
	if c == nil {
		return pids
	}
	_ = filepath.WalkDir(c.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return nil // one that goes meanwhile has none
		}
		text, _ := os.ReadFile(filepath.Join(path, "cgroup.procs"))
		for _, field := range bytes.Fields(text) {
			if pid, err := strconv.Atoi(string(field)); err == nil {
				pids[pid] = true
			}
		}
		return nil
	})
	return pids
}

// kill sends SIGKILL to all that is in it at once: nothing is born meanwhile that is missed. Kernels before 5.14
// cannot; there those that are seen get it one by one, as with other signals.
func (c *cgroup) kill() {
	if c != nil {
		_ = os.WriteFile(filepath.Join(c.dir, "cgroup.kill"), []byte("1"), 0)
	}
}

// late are cgroups that could not be removed, since a process in them cannot be ended.
var late struct {
	sync.Mutex
	dirs []string
}

// close removes the cgroup.
func (c *cgroup) close() {
	if c == nil {
		return
	}
	_ = c.open.Close()
	if !poll(longestPoll, func() bool { return removeCgroup(c.dir) }) { // a process may leave it a moment after its end
		late.Lock()
		defer late.Unlock()
		late.dirs = append(late.dirs, c.dir)
	}
}

// removeLate tries again to remove what could not be removed.
func removeLate() {
	late.Lock()
	defer late.Unlock()
	var left []string
	for _, dir := range late.dirs {
		if !removeCgroup(dir) {
			left = append(left, dir)
		}
	}
	late.dirs = left
}

// removeCgroup removes a cgroup and those below it, and reports whether it is gone. The files in it are the kernel's
// and go with it.
func removeCgroup(dir string) bool {
	err := syscall.Rmdir(dir)
	if errors.Is(err, unix.EBUSY) {
		below, _ := os.ReadDir(dir)
		for _, d := range below {
			if d.IsDir() {
				removeCgroup(filepath.Join(dir, d.Name()))
			}
		}
		err = syscall.Rmdir(dir)
	}
	return err == nil || errors.Is(err, fs.ErrNotExist)
}
