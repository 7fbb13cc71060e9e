package journal

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"lightspeed/fault"
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

// writeJSON replaces a file in one step: it is the old one or the new one, never half.
func writeJSON(file string, value any) error {
	text, err := json.Marshal(value)
	if err != nil {
		return err
	}
	tmp := file + ".tmp"
	if err := writeFile(tmp, text); err != nil {
		return err
	}
	fault.Point("journal.instance.written")
	if err := unix.Rename(tmp, file); err != nil { // os.Rename looks first whether file is a folder
		return &os.LinkError{Op: "rename", Old: tmp, New: file, Err: err}
	}
	fault.Point("journal.instance.named")
	return nil
}

// maxJSON bounds what is read of a file of one JSON value, in bytes. The largest is a list of artifacts of an earlier version,
// api.MaxArtifactCount names of a kilobyte in which each byte may take six.
const maxJSON = 16 << 20

func readJSON(file string, value any) error {
	text, err := readFile(file, maxJSON)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, value); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return nil
}

// readFile reads a file of at most so many bytes.
func readFile(path string, most int64) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() > most {
		return nil, fmt.Errorf("%s is larger than %d bytes", path, most)
	}
	return os.ReadFile(path)
}
