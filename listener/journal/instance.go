package journal

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// identity is what instance.json holds.
type identity struct {
	Instance string `json:"instance"`
	BootID   string `json:"boot_id"`
}

// instance returns the folder's name at admin. It holds since the machine's boot: after that nothing of an
// earlier attempt runs any more, and what was not synced may be gone.
func instance(file string, log *slog.Logger) (string, error) {
	boot := bootID()
	var known identity
	err := readJSON(file, &known)
	if err == nil && known.Instance != "" && known.BootID == boot {
		return known.Instance, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		log.Error("journal's identity is torn; this listener is a new instance, and its earlier runs are lost", "err", err)
	}
	fresh := identity{Instance: rand.Text(), BootID: boot}
	if err := writeJSON(file, fresh); err != nil {
		return "", fmt.Errorf("state folder: %w", err)
	}
	return fresh.Instance, nil
}

// lockFolder takes the folder for this process. The lock goes when the process does, however it ends; children
// do not inherit it.
func lockFolder(state string) (*os.File, error) {
	lock, err := os.OpenFile(filepath.Join(state, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("state folder %s: %w", state, err)
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		defer lock.Close()
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("state folder %s cannot be locked: %w", state, err)
		}
		pid := make([]byte, 20)
		n, _ := lock.ReadAt(pid, 0)
		return nil, fmt.Errorf("state folder %s is in use by another lightspeed (pid %s)", state, strings.TrimSpace(string(pid[:n])))
	}
	pid := fmt.Appendf(nil, "%d\n", os.Getpid())
	if err := errors.Join(lock.Truncate(0), writeAt(lock, pid, 0)); err != nil {
		_ = lock.Close()
		return nil, fmt.Errorf("state folder %s: %w", state, err)
	}
	return lock, nil
}

func writeAt(f *os.File, p []byte, off int64) error {
	_, err := f.WriteAt(p, off)
	return err
}
