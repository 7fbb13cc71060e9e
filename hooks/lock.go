package hooks

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"lightspeed/hooks/spool"
)

// lockFolder makes the state folder and takes its lock, which the kernel lets go of when this process ends,
// however it ends. The file holds the pid for whoever finds it taken.
func lockFolder(dir string) (*os.File, error) {
	if err := spool.MakeFolder(dir); err != nil {
		return nil, fmt.Errorf("state folder %s: %w", dir, reason(err))
	}
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("state folder %s: %w", dir, reason(err))
	}
	if err := lockFile(f); err != nil {
		return nil, errors.Join(fmt.Errorf("state folder %s %w", dir, err), f.Close())
	}
	return f, nil
}

func lockFile(f *os.File) error {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return fmt.Errorf("is in use by another lightspeed%s", holder(f))
	}
	if err != nil {
		return fmt.Errorf("cannot be locked: %w", err)
	}
	if err := f.Truncate(0); err != nil {
		return fmt.Errorf("cannot be written: %w", reason(err))
	}
	if _, err := f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0); err != nil {
		return fmt.Errorf("cannot be written: %w", reason(err))
	}
	return nil
}

// holder says who has the lock; it is empty in the moment before that one has written it down.
func holder(f *os.File) string {
	text, _ := io.ReadAll(io.LimitReader(f, 32))
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return ""
	}
	return fmt.Sprintf(" (pid %d)", pid)
}

// reason takes the operation off: the message around it names the folder.
func reason(err error) error {
	var wrapped *fs.PathError
	if errors.As(err, &wrapped) {
		return wrapped.Err
	}
	return err
}
