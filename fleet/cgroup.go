package fleet

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"lightspeed/listener/process"
)

// Enclose puts this process, and what it starts from then on, into a cgroup of its own, so that those of runs are below
// it. A listener that is killed for good leaves them, and nobody else may remove what might be another's. The function
// that it returns takes this process out again, ends what is left in there, and removes all of it. Where listeners make
// no cgroups neither does anything.
func Enclose() (release func() error, err error) {
	way, home := process.EndsBy()
	if way != "cgroup" {
		return func() error { return nil }, nil
	}
	dir := filepath.Join(home, fmt.Sprintf("lightspeed-fleet-%d", os.Getpid()))
	if err := errors.Join(clear(dir), os.Mkdir(dir, 0o755)); err != nil { // one that was killed may have had our pid
		return nil, err
	}
	delegate(home, dir)
	if err := enter(dir); err != nil {
		return nil, errors.Join(err, os.Remove(dir))
	}
	return func() error {
		if err := enter(home); err != nil {
			return err
		}
		return clear(dir)
	}, nil
}

// enter moves this process into a cgroup.
func enter(dir string) error {
	return os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte(strconv.Itoa(os.Getpid())), 0)
}

// delegate has a listener find in a cgroup what systemd says of the one above it.
func delegate(from, to string) {
	for _, name := range []string{"user.delegate", "trusted.delegate"} {
		var value [1]byte
		if n, err := unix.Getxattr(from, name, value[:]); err == nil {
			_ = unix.Setxattr(to, name, value[:n], 0)
		}
	}
}

// clearPatience bounds how long what was killed may take to be gone.
const clearPatience = time.Minute

// clear ends everything in a cgroup, and removes it with those below it.
func clear(dir string) error {
	for deadline := time.Now().Add(clearPatience); ; time.Sleep(20 * time.Millisecond) {
		_ = os.WriteFile(filepath.Join(dir, "cgroup.kill"), []byte("1"), 0)
		err := remove(dir)
		if err == nil || time.Now().After(deadline) {
			return err
		}
	}
}

// remove removes a cgroup that is empty, and first those below it. The files in them go with them.
func remove(dir string) error {
	below, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // its own guard was faster
	}
	for _, d := range below {
		if d.IsDir() {
			err = errors.Join(err, remove(filepath.Join(dir, d.Name())))
		}
	}
	if err != nil {
		return err
	}
	if err := syscall.Rmdir(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove cgroup %s: %w", dir, err)
	}
	return nil
}
