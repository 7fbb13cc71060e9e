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
	Beside   []string  `json:"beside,omitempty"` // names of files that were taken along from beside admin's state
}

const (
	backupFile   = "backup.json"
	databaseFile = "admin.db"
	logsFolder   = "logs"

	artifactsFolder = "artifacts"
)

// MakeBackup copies admin's state folder, which a running admin may have open, to a new folder: the database as it
// stands at one moment, the artifacts, and the logs that it knows of, at least as long as it says. Of the files beside, those
// that are there are taken along. All of it is checked and on disk when the folder appears; a copy that was cut short leaves a
// folder *.partial.
func MakeBackup(ctx context.Context, state, to string, beside ...string) (b Backup, err error) {
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
	if b.Beside, err = copyBeside(beside, partial); err != nil {
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

// copyBeside copies those of the files that are there, and returns their names.
func copyBeside(files []string, to string) (names []string, err error) {
	for _, file := range files {
		name := filepath.Base(file)
		switch _, err := copyFile(file, filepath.Join(to, name)); {
		case err == nil:
			names = append(names, name)
		case !errors.Is(err, fs.ErrNotExist):
			return nil, err
		}
	}
	return names, nil
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
		n, err := copyFile(source.path(l.Ref), target.path(l.Ref))
		if err == nil {
			err = copyTimes(source.timesPath(l.Ref), target.timesPath(l.Ref))
		}
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
			_, err = copyFile(path, filepath.Join(to, inside))
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

func copyFile(from, to string) (int64, error) {
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
