package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"lightspeed/admin/store"
)

// ReadBackup reads what a backup's folder says of itself.
func ReadBackup(folder string) (Backup, error) {
	var b Backup
	text, err := os.ReadFile(filepath.Join(folder, backupFile))
	if errors.Is(err, fs.ErrNotExist) {
		return b, fmt.Errorf("folder %s is no whole backup: it has no %s", folder, backupFile)
	}
	if err == nil {
		err = json.Unmarshal(text, &b)
	}
	return b, err
}

// RestoreBackup makes admin's state folder out of a backup's. A folder that is there is left alone, and is an error.
// Unless asItWas, what may have gone on since the backup was made is ended: Store.Restored says how. Files that were taken
// along are put beside the state folder where there are none. What root restores belongs to the user of the folder that the
// state is in.
func RestoreBackup(ctx context.Context, folder, state string, asItWas bool) (Backup, error) {
	b, err := ReadBackup(folder)
	if err != nil {
		return b, err
	}
	if entries, err := os.ReadDir(state); len(entries) > 0 {
		return b, errors.Join(fmt.Errorf("state folder %s is not empty: move it away first", state), err)
	}
	partial := state + ".partial"
	if err := os.RemoveAll(partial); err != nil {
		return b, err
	}
	if err := copyState(ctx, folder, partial, b, asItWas); err != nil {
		return b, err
	}
	if err := errors.Join(handOver(partial), restoreBeside(folder, filepath.Dir(state), b.Beside)); err != nil {
		return b, err
	}
	if err := os.Remove(state); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return b, err
	}
	if err := errors.Join(syncTree(partial), os.Rename(partial, state)); err != nil {
		return b, err
	}
	return b, syncDir(filepath.Dir(state))
}

// copyState writes nothing into the backup's folder, which may be read-only: even reading a database there would.
func copyState(ctx context.Context, folder, to string, b Backup, asItWas bool) (err error) {
	if err := os.MkdirAll(to, 0o700); err != nil {
		return err
	}
	if _, err := copyFile(filepath.Join(folder, databaseFile), filepath.Join(to, databaseFile)); err != nil {
		return err
	}
	if err := store.Check(ctx, filepath.Join(to, databaseFile)); err != nil {
		return fmt.Errorf("backup %s: %w", folder, err)
	}
	if err := copyArtifacts(ctx, filepath.Join(folder, artifactsFolder), filepath.Join(to, artifactsFolder)); err != nil {
		return err
	}
	again := Backup{}
	if err := again.copyLogs(ctx, folder, to); err != nil || asItWas {
		return err
	}
	db, err := store.Open(store.Options{Path: filepath.Join(to, databaseFile)})
	if err != nil {
		return err
	}
	return errors.Join(db.Restored(ctx, b.MadeAt), db.Close())
}

// restoreBeside makes each file appear whole, unless there is one of its name.
func restoreBeside(folder, to string, names []string) error {
	for _, name := range names {
		if name != filepath.Base(name) || !filepath.IsLocal(name) {
			return fmt.Errorf("folder %s is no whole backup: its %s names a file %q", folder, backupFile, name)
		}
		path := filepath.Join(to, name)
		if _, err := os.Lstat(path); err == nil {
			continue
		}
		partial := path + ".partial"
		if err := os.Remove(partial); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if _, err := copyFile(filepath.Join(folder, name), partial); err != nil {
			return err
		}
		if err := errors.Join(handOver(partial), os.Rename(partial, path)); err != nil {
			return err
		}
	}
	return nil
}

// handOver gives what root has made to the user of the folder that it is in, as whom admin runs.
func handOver(tree string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	info, err := os.Stat(filepath.Dir(tree))
	if err != nil {
		return err
	}
	owner := info.Sys().(*syscall.Stat_t)
	return filepath.WalkDir(tree, func(path string, _ fs.DirEntry, err error) error {
		return errors.Join(err, os.Lchown(path, int(owner.Uid), int(owner.Gid)))
	})
}
