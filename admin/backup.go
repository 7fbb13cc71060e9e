package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"lightspeed/admin/store"
	"lightspeed/api"
	"lightspeed/run"
)

// Backup is the file backup.json of a backup's folder: it is written last, and a folder without it is none.
type Backup struct {
	Version  string    `json:"version"` // of the program that made it
	MadeAt   time.Time `json:"made_at"` // the moment that the database is of
	Logs     int       `json:"logs"`
	LogBytes int64     `json:"log_bytes"`
}

const (
	backupFile   = "backup.json"
	databaseFile = "admin.db"
	logsFolder   = "logs"

	artifactsFolder = "artifacts"
)

// MakeBackup copies admin's state folder, which a running admin may have open, to a new folder: the database as it
// stands at one moment, the artifacts, and the logs that it knows of, at least as long as it says. All of it is checked and on disk
// when the folder appears; a copy that was cut short leaves a folder *.partial.
func MakeBackup(ctx context.Context, state, to string) (b Backup, err error) {
	if _, err := os.Lstat(to); !errors.Is(err, fs.ErrNotExist) {
		return b, errors.Join(fmt.Errorf("backup folder %s is there already", to), err)
	}
	partial := to + ".partial"
	if err := os.RemoveAll(partial); err != nil {
		return b, err
	}
	if err := os.MkdirAll(partial, 0o700); err != nil {
		return b, err
	}
	b = Backup{Version: api.Version, MadeAt: time.Now().UTC()}
	if err := store.CopyTo(ctx, filepath.Join(state, databaseFile), filepath.Join(partial, databaseFile)); err != nil {
		return b, err
	}
	if err := b.copyLogs(ctx, state, partial); err != nil {
		return b, err
	}
	if err := copyArtifacts(ctx, filepath.Join(state, artifactsFolder), filepath.Join(partial, artifactsFolder)); err != nil {
		return b, err
	}
	if err := writeSynced(filepath.Join(partial, backupFile), b); err != nil {
		return b, err
	}
	if err := errors.Join(syncTree(partial), os.Rename(partial, to)); err != nil {
		return b, err
	}
	return b, syncDir(filepath.Dir(to))
}

// copyLogs copies the logs that the copied database knows of. Those that were pruned meanwhile are noted there.
func (b *Backup) copyLogs(ctx context.Context, from, to string) (err error) {
	db, err := store.Open(store.Options{Path: filepath.Join(to, databaseFile)})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	source, target := &logs{dir: filepath.Join(from, logsFolder)}, &logs{dir: filepath.Join(to, logsFolder)}
	if err := os.MkdirAll(target.dir, 0o700); err != nil {
		return err
	}
	var gone []run.Ref
	err = db.Logs(ctx, func(l store.Logged) error {
		n, err := copyLog(source.path(l.Ref), target.path(l.Ref))
		switch {
		case errors.Is(err, fs.ErrNotExist) && l.Bytes == 0:
			return nil // it has printed nothing
		case errors.Is(err, fs.ErrNotExist):
			gone = append(gone, l.Ref)
			return nil
		case err != nil:
			return err
		case n < l.Bytes:
			return fmt.Errorf("the log of run %s has %d bytes, and the database says %d", l.Ref.Run, n, l.Bytes)
		}
		b.Logs, b.LogBytes = b.Logs+1, b.LogBytes+n
		return ctx.Err()
	})
	if err != nil || len(gone) == 0 {
		return err
	}
	return db.LogsGone(ctx, gone)
}

// copyArtifacts copies files as they are, of each folder its index first: what that names is there when it is read, and
// stays. What is removed meanwhile belonged to a run that was pruned.
func copyArtifacts(ctx context.Context, from, to string) error {
	copyInside := func(path string) error {
		inside, err := filepath.Rel(from, path)
		if err == nil {
			_, err = copyLog(path, filepath.Join(to, inside))
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil:
			return err
		case d.IsDir():
			return errors.Join(ctx.Err(), copyInside(filepath.Join(path, indexFile)))
		case d.Name() == indexFile:
			return nil
		}
		return copyInside(path)
	})
}

func copyLog(from, to string) (int64, error) {
	in, err := os.Open(from)
	if err != nil {
		return 0, err
	}
	defer in.Close()
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return 0, err
	}
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return 0, err
	}
	n, err := io.Copy(out, in)
	return n, errors.Join(err, out.Sync(), out.Close())
}

func writeSynced(path string, body any) error {
	text, err := json.MarshalIndent(body, "", "  ")
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(append(text, '\n'))
	return errors.Join(err, f.Sync(), f.Close())
}

// syncTree makes the folders of a tree safe; its files are.
func syncTree(root string) error {
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			err = syncDir(path)
		}
		return err
	})
}

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
// Unless asItWas, what may have gone on since the backup was made is ended: Store.Restored says how.
func RestoreBackup(ctx context.Context, folder, state string, asItWas bool) (Backup, error) {
	b, err := ReadBackup(folder)
	if err != nil {
		return b, err
	}
	if err := store.Check(ctx, filepath.Join(folder, databaseFile)); err != nil {
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
	if err := os.Remove(state); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return b, err
	}
	if err := errors.Join(syncTree(partial), os.Rename(partial, state)); err != nil {
		return b, err
	}
	return b, syncDir(filepath.Dir(state))
}

func copyState(ctx context.Context, folder, to string, b Backup, asItWas bool) (err error) {
	if err := os.MkdirAll(to, 0o700); err != nil {
		return err
	}
	if err := store.CopyTo(ctx, filepath.Join(folder, databaseFile), filepath.Join(to, databaseFile)); err != nil {
		return err
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
