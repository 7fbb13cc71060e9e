// Package lock holds locks that the listeners of one machine share, whoever runs them and wherever their state is.
// A lock is a file that is locked with flock: it is free when its holder dies, however that comes.
package lock

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Lock is one lock of this machine.
type Lock struct {
	path   string
	says   string // what people call it
	shared bool   // held by any number who share it, or by one who does not
}

// Named is the lock of a name, for all users of this machine. The name must fit into a file's.
func Named(name string) Lock {
	return Lock{path: filepath.Join(place(), "lightspeed-"+name+".lock"), says: "lock " + name}
}

// File is a lock that is a file of the user's choice. It is made when it is not there.
func File(path string) Lock { return Lock{path: filepath.Clean(path), says: "lock_file " + path} }

// Shared is the same lock for who may hold it together with others that share it.
func (l Lock) Shared() Lock {
	l.shared = true
	return l
}

// String is what people call the lock.
func (l Lock) String() string { return l.says }

// Kind is what the lock is called elsewhere: a file's path stays on this machine.
func (l Lock) Kind() string {
	if path, ok := strings.CutPrefix(l.says, "lock_file "); ok && path != "" {
		return "lock_file"
	}
	return l.says
}

// place is the folder of named locks. Which one does not depend on who asks, or on TMPDIR: only where every user may
// write there is it /run/lock, as on Debian.
func place() string {
	const everyone = fs.ModeSticky | 0o002
	if info, err := os.Stat("/run/lock"); err == nil && info.IsDir() && info.Mode()&everyone == everyone {
		return "/run/lock"
	}
	return "/tmp"
}

// Check says why a lock could not be taken, whoever holds it now.
func (l Lock) Check() error {
	f, err := l.open()
	if err != nil {
		return err
	}
	return f.Close()
}

// Waits between two tries: nobody is told when a lock is freed.
const (
	firstWait = 5 * time.Millisecond
	lastWait  = 250 * time.Millisecond
)

// Held are locks that this process holds.
type Held struct{ files []*os.File }

// Release frees the locks. Nil holds none, and it may be called twice.
func (h *Held) Release() {
	if h == nil {
		return
	}
	for _, f := range h.files {
		_ = f.Close()
	}
	h.files = nil
}

// Take takes all of the locks, always in the same order, or none. While one is held by another it waits, until ctx
// ends: then the error is ctx's. busy is told of each lock that it must wait for, and of its holder's pid, which is 0
// when that is not known.
func Take(ctx context.Context, locks []Lock, busy func(l Lock, pid int)) (*Held, error) {
	locks = slices.Clone(locks)
	slices.SortFunc(locks, func(a, b Lock) int { return strings.Compare(a.path, b.path) })
	held := &Held{}
	for _, l := range slices.CompactFunc(locks, func(a, b Lock) bool { return a.path == b.path }) {
		f, err := l.take(ctx, busy)
		if err != nil {
			held.Release()
			return nil, err
		}
		held.files = append(held.files, f)
	}
	return held, nil
}

func (l Lock) take(ctx context.Context, busy func(Lock, int)) (*os.File, error) {
	told := false
	for wait := firstWait; ; wait = min(2*wait, lastWait) {
		f, err := l.try()
		if f != nil || err != nil {
			return f, err
		}
		if !told {
			busy(l, l.holder())
			told = true
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, ctx.Err()
		}
	}
}

// try takes the lock if it is free, and returns nothing if it is not.
func (l Lock) try() (*os.File, error) {
	f, err := l.open()
	if err != nil {
		return nil, err
	}
	switch err := l.flock(f); {
	case errors.Is(err, unix.EWOULDBLOCK):
		_ = f.Close()
		return nil, nil
	case err != nil:
		_ = f.Close()
		return nil, fmt.Errorf("%s cannot be locked: %w", l.path, err)
	}
	// Someone who tidies up may have removed the file between the two: whoever comes next would lock another one.
	if !sameFile(f, l.path) {
		_ = f.Close()
		return nil, nil
	}
	now := time.Now()
	_ = os.Chtimes(l.path, now, now) // whoever tidies up by age sees that it is in use
	return f, nil
}

func (l Lock) flock(f *os.File) error {
	how := unix.LOCK_EX
	if l.shared {
		how = unix.LOCK_SH
	}
	for {
		err := unix.Flock(int(f.Fd()), how|unix.LOCK_NB)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

func sameFile(f *os.File, path string) bool {
	one, err1 := f.Stat()
	two, err2 := os.Stat(path)
	return err1 == nil && err2 == nil && os.SameFile(one, two)
}

// open opens the lock's file. Reading is enough to lock it, so that another user may have made it; and it is not
// opened with O_CREATE when it is there, which Linux refuses for another user's file in a folder like /tmp
// (https://docs.kernel.org/admin-guide/sysctl/fs.html#protected-regular).
func (l Lock) open() (*os.File, error) {
	for range 3 {
		f, err := os.OpenFile(l.path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
		if errors.Is(err, fs.ErrNotExist) {
			if f, err = os.OpenFile(l.path, os.O_RDONLY|os.O_CREATE|os.O_EXCL, 0o644); err == nil {
				_ = f.Chmod(0o644) // whatever the umask: it is for others, too
			}
		}
		switch {
		case errors.Is(err, fs.ErrExist): // made by another just now
			continue
		case err != nil:
			return nil, err
		}
		if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
			_ = f.Close()
			return nil, errors.Join(err, fmt.Errorf("%s is not a regular file", l.path))
		}
		return f, nil
	}
	return nil, fmt.Errorf("%s comes and goes", l.path)
}
