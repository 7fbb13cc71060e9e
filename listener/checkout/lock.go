package checkout

import (
	"context"
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// lockSuffix is what the name of a mirror's lock has behind the mirror's own.
const lockSuffix = ".lock"

// Waits between two tries for a lock that someone else has, in this process or another.
const (
	shortestLockWait = 5 * time.Millisecond
	longestLockWait  = 100 * time.Millisecond
)

// Lock is a locked file. The lock goes with its process, however that ends.
type Lock struct{ file *os.File }

// Release gives the lock back.
func (l *Lock) Release() { _ = l.file.Close() }

// takeLock waits for a lock; waiting is called once, when it has to.
func takeLock(ctx context.Context, path string, waiting func()) (*Lock, error) {
	for wait := shortestLockWait; ; wait = min(2*wait, longestLockWait) {
		lock, err := TryLock(path)
		if lock != nil || err != nil {
			return lock, err
		}
		if waiting != nil {
			waiting()
			waiting = nil
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// TryLock locks a file, which is made when it is not there; nil when someone else has it. Who has the lock may remove
// the file.
func TryLock(path string) (*Lock, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == nil && stillThere(f, path) {
		return &Lock{f}, nil
	}
	_ = f.Close()
	if err == nil || errors.Is(err, unix.EWOULDBLOCK) || errors.Is(err, unix.EINTR) {
		return nil, nil
	}
	return nil, &os.PathError{Op: "lock", Path: path, Err: err}
}

// stillThere reports whether the file is the one that others will lock: who held it before may have removed it.
func stillThere(f *os.File, path string) bool {
	mine, err := f.Stat()
	if err != nil {
		return false
	}
	now, err := os.Stat(path)
	return err == nil && os.SameFile(mine, now)
}
