package spool

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
)

// folder is a directory whose entries are made durable. All who ask for it while one fsync is running
// share the next.
type folder struct {
	path  string
	dir   *os.File
	fsync func() error // dir.Sync, but for tests
	files atomic.Int64 // of refused/ and damaged/: how many are kept there

	joining sync.Mutex
	next    *flush     // whom the next fsync serves; nil when nobody waits
	running sync.Mutex // held during an fsync
}

// flush is one fsync and everyone who shares it. Both fields are guarded by folder.running.
type flush struct {
	done bool
	err  error
}

func openFolder(path string) (*folder, error) {
	if err := MakeFolder(path); err != nil {
		return nil, err
	}
	dir, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	return &folder{path: path, dir: dir, fsync: dir.Sync}, nil
}

// sync returns when every entry that stood in the folder before the call is on the disk.
func (f *folder) sync() error {
	mine := f.join()
	f.running.Lock()
	defer f.running.Unlock()
	if !mine.done { // the first of its group to come this far does it for all
		f.depart(mine)
		mine.err = f.fsync()
		mine.done = true
	}
	return mine.err
}

func (f *folder) join() *flush {
	f.joining.Lock()
	defer f.joining.Unlock()
	if f.next == nil {
		f.next = &flush{}
	}
	return f.next
}

// depart lets nobody else join: what they renamed may be too late for the fsync that begins now.
func (f *folder) depart(group *flush) {
	f.joining.Lock()
	defer f.joining.Unlock()
	if f.next == group {
		f.next = nil
	}
}

// MakeFolder makes a folder, mode 0700, and those above it that are missing. They outlast a power loss.
func MakeFolder(path string) error {
	info, err := os.Stat(path)
	if err == nil && !info.IsDir() {
		return &fs.PathError{Op: "open", Path: path, Err: syscall.ENOTDIR}
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	above := filepath.Dir(path)
	if err := MakeFolder(above); err != nil {
		return err
	}
	if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	dir, err := os.Open(above)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
