package admin

import (
	"errors"
	"fmt"
	"hash/maphash"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"lightspeed/fault"
	"lightspeed/logtime"
	"lightspeed/run"
)

// logs keeps one append-only file an attempt, and beside it one of when it came (see logtime). A log's size is the
// truth about how much of it is there: nothing about it is kept elsewhere until the attempt has ended. Files are
// opened for each chunk, so that none is held open for runs that are silent or lost.
type logs struct {
	dir     string
	untimed func(error) // is told when it cannot be noted when a chunk came: that refuses no chunk
	seed    maphash.Seed
	locks   [64]sync.Mutex // by attempt: chunks of one log are written one at a time
}

func openLogs(dir string, untimed func(error)) (*logs, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	return &logs{dir: dir, untimed: untimed, seed: maphash.MakeSeed()}, nil
}

func (l *logs) lock(ref run.Ref) *sync.Mutex {
	return &l.locks[maphash.String(l.seed, ref.Run)%uint64(len(l.locks))]
}

// path keeps folders small: ids begin with the time, so the first characters make a folder an hour.
func (l *logs) path(ref run.Ref) string { return l.file(ref, ".log") }

func (l *logs) file(ref run.Ref, kind string) string {
	return filepath.Join(l.dir, ref.Run[:min(4, len(ref.Run))], ref.Run+"."+strconv.Itoa(ref.Attempt)+kind)
}

// gapError says that a chunk starts past the end of what is there.
type gapError struct{ end int64 }

func (e gapError) Error() string { return fmt.Sprintf("the log ends at %d", e.end) }

// append writes a chunk that starts at offset, as far as it is new, and before it what is known of when it came. It
// returns where the log now ends. When the disk is full what did fit is kept.
func (l *logs) append(ref run.Ref, offset int64, chunk []byte, times []logtime.Record) (int64, error) {
	mu := l.lock(ref)
	mu.Lock()
	defer mu.Unlock()
	f, err := l.openAppend(ref)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	end := info.Size()
	if offset > end {
		return end, gapError{end}
	}
	if known := end - offset; known < int64(len(chunk)) {
		if err := l.note(ref, end, times); err != nil {
			l.untimed(err)
		}
		fault.Point("admin.log.timed")
		n, err := f.Write(chunk[known:])
		return end + int64(n), err
	}
	return end, nil
}

func (l *logs) openAppend(ref run.Ref) (*os.File, error) {
	path := l.path(ref)
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if !errors.Is(err, fs.ErrNotExist) {
		return f, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	if err := syncDir(l.dir); err != nil {
		return nil, err
	}
	return os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
}

// size returns how much of a log is there.
func (l *logs) size(ref run.Ref) (int64, error) {
	info, err := os.Stat(l.path(ref))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// sync makes a log safe from a power cut.
func (l *logs) sync(ref run.Ref) error {
	f, err := os.OpenFile(l.path(ref), os.O_WRONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close(), syncDir(filepath.Dir(l.path(ref))))
}

// remove deletes a log with its times, and its folder with the last one of it.
func (l *logs) remove(ref run.Ref) error {
	mu := l.lock(ref)
	mu.Lock()
	defer mu.Unlock()
	path := l.path(ref)
	for _, file := range []string{l.timesPath(ref), path} {
		if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	_ = os.Remove(filepath.Dir(path)) // is refused as long as it holds another
	return nil
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// open opens a log for reading. One that has no bytes yet may have no file.
func (l *logs) open(ref run.Ref) (*os.File, error) { return os.Open(l.path(ref)) }
