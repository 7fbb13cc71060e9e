// Package journal remembers, on the listener's own disk, what the listener has taken on: one folder an attempt,
// with what was claimed, what it prints, and how it ended. A listener that was killed finds there what it owes
// to admin.
//
// Nothing here is synced to the disk. A kill -9 leaves the page cache whole, so every write survives it; a power
// loss changes the machine's boot id, which makes the listener a new instance whose runs admin gives up by their
// lease. A sync would put milliseconds before every start, and save nothing.
package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"lightspeed/api"
	"lightspeed/fault"
	"lightspeed/run"
)

// Journal is one listener's folder, locked by this process.
type Journal struct {
	attempts string // folder of the attempts
	instance string
	lock     *os.File
	log      *slog.Logger

	mu         sync.Mutex
	held       map[run.Ref]*Entry
	unreadable []run.Ref // held for admin, since they have started, though nothing more can be said of them
}

// Open locks the state folder, which it makes when it is not there, and reads what an earlier process left in it.
func Open(state string, log *slog.Logger) (*Journal, error) {
	if err := os.MkdirAll(state, 0o700); err != nil {
		return nil, fmt.Errorf("state folder %s: %w", state, err)
	}
	lock, err := lockFolder(state)
	if err != nil {
		return nil, err
	}
	j := &Journal{attempts: filepath.Join(state, "attempts"), lock: lock, log: log, held: map[run.Ref]*Entry{}}
	if err := j.load(state); err != nil {
		_ = lock.Close()
		return nil, err
	}
	return j, nil
}

func (j *Journal) load(state string) error {
	var err error
	if j.instance, err = instance(filepath.Join(state, "instance.json"), j.log); err != nil {
		return err
	}
	if err := os.MkdirAll(j.attempts, 0o700); err != nil {
		return fmt.Errorf("state folder: %w", err)
	}
	found, err := os.ReadDir(j.attempts)
	if err != nil {
		return fmt.Errorf("state folder: %w", err)
	}
	for _, f := range found {
		j.recover(f.Name())
	}
	return nil
}

// recover reads one folder of an earlier process. What cannot be read is said and left alone, or taken as an
// attempt that was cut off: never is a log thrown away for it.
func (j *Journal) recover(name string) {
	ref, ok := parseName(name)
	if name == probeFile {
		return
	}
	if !ok {
		j.log.Warn("journal holds a folder that is not of an attempt; it is left alone", "folder", filepath.Join(j.attempts, name))
		return
	}
	e := &Entry{ref: ref, dir: filepath.Join(j.attempts, name)}
	if err := e.read(j.instance, j.log); errors.Is(err, fs.ErrNotExist) {
		// The claim is written down last of all that is needed to start: this attempt never started, and
		// admin, which is told what is held, puts its run back into the queue.
		_ = os.RemoveAll(e.dir)
		return
	} else if err != nil {
		j.log.Error("journal entry cannot be read; it stays where it is, and admin gives the run up by its lease",
			"run", ref.Run, "attempt", ref.Attempt, "folder", e.dir, "err", err)
		j.unreadable = append(j.unreadable, ref)
		return
	}
	j.held[ref] = e
}

// Instance names this state folder since the machine's boot.
func (j *Journal) Instance() string { return j.instance }

// Holds names the attempts that this instance has begun and not removed.
func (j *Journal) Holds() []run.Ref {
	j.mu.Lock()
	defer j.mu.Unlock()
	refs := append([]run.Ref{}, j.unreadable...)
	for ref, e := range j.held {
		if !e.foreign {
			refs = append(refs, ref)
		}
	}
	slices.SortFunc(refs, compareRefs)
	return refs
}

// Held returns the entries that are held, by run and attempt: just after Open, those of an earlier process.
func (j *Journal) Held() []*Entry {
	j.mu.Lock()
	defer j.mu.Unlock()
	entries := make([]*Entry, 0, len(j.held))
	for _, e := range j.held {
		entries = append(entries, e)
	}
	slices.SortFunc(entries, func(a, b *Entry) int { return compareRefs(a.ref, b.ref) })
	return entries
}

func compareRefs(a, b run.Ref) int {
	if a.Run != b.Run {
		return strings.Compare(a.Run, b.Run)
	}
	return a.Attempt - b.Attempt
}

// Begin writes down that an attempt is taken on, before anything of it is started. files is what the script
// finds in its files file; nil makes none. After an error nothing is held.
func (j *Journal) Begin(claim api.Claim, files []byte, maxLog int64) (*Entry, error) {
	ref := run.Ref{Run: claim.Run.ID, Attempt: claim.Attempt}
	e := &Entry{ref: ref, dir: filepath.Join(j.attempts, folderName(ref))}
	if err := os.Mkdir(e.dir, 0o700); err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	if err := e.begin(claim, files, maxLog, j.instance, j.log); err != nil {
		_ = os.RemoveAll(e.dir)
		return nil, fmt.Errorf("journal: %w", err)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.held[ref] = e
	return e, nil
}

// probeFile is written by Probe, and taken away at once.
const probeFile = ".probe"

// Probe reports whether an attempt could be written down now.
func (j *Journal) Probe() error {
	file := filepath.Join(j.attempts, probeFile)
	err := os.WriteFile(file, make([]byte, 64<<10), 0o600)
	return errors.Join(err, os.Remove(file))
}

// Remove forgets an attempt that admin has the end of.
func (j *Journal) Remove(e *Entry) {
	e.close()
	// The records go first: without them the rest is rubbish that the next Open clears away.
	err := os.Remove(e.file(recordsFile))
	fault.Point("journal.records.removed")
	err = errors.Join(err, e.removeRest())
	fault.Point("journal.removed")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		j.log.Warn("journal entry cannot be removed", "folder", e.dir, "err", err)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	delete(j.held, e.ref)
}

// removeRest removes the folder of an attempt whose records are gone. What most attempts have in it is known: to list it
// would cost more than to remove it.
func (e *Entry) removeRest() error {
	for _, name := range []string{payloadFile, filesFile, logFile, timesFile} {
		_ = unix.Unlink(e.file(name))
	}
	if unix.Rmdir(e.dir) == nil {
		return nil
	}
	return os.RemoveAll(e.dir)
}

// Close unlocks the folder. What is held stays on disk.
func (j *Journal) Close() error {
	for _, e := range j.Held() {
		e.close()
	}
	return j.lock.Close()
}

// folderName and parseName turn an attempt into a folder's name and back. A run's id is admin's text: it is
// escaped, so that it names a folder here whatever it holds.
func folderName(ref run.Ref) string { return url.PathEscape(ref.Run) + "." + strconv.Itoa(ref.Attempt) }

func parseName(name string) (run.Ref, bool) {
	dot := strings.LastIndexByte(name, '.')
	if dot < 1 {
		return run.Ref{}, false
	}
	id, err := url.PathUnescape(name[:dot])
	attempt, notNumber := strconv.Atoi(name[dot+1:])
	ref := run.Ref{Run: id, Attempt: attempt}
	return ref, err == nil && notNumber == nil && folderName(ref) == name
}

// writeFile is os.WriteFile for a file that nobody else may read, with half of its system calls: that tries whether Go can
// wait for the file, which it cannot for one on a disk. Of what a short run costs the listener, its journal is a third.
func writeFile(path string, data []byte) error {
	fd, err := openFile(path, unix.O_WRONLY|unix.O_TRUNC)
	if err != nil {
		return err
	}
	for len(data) > 0 && err == nil {
		var n int
		n, err = unix.Write(fd, data)
		if data = data[max(n, 0):]; errors.Is(err, unix.EINTR) {
			err = nil
		}
	}
	if err = errors.Join(err, unix.Close(fd)); err != nil {
		return &fs.PathError{Op: "write", Path: path, Err: err}
	}
	return nil
}

// openFile opens a file, or makes one.
func openFile(path string, flags int) (fd int, err error) {
	for {
		switch fd, err = unix.Open(path, flags|unix.O_CREAT|unix.O_CLOEXEC, 0o600); {
		case err == nil:
			return fd, nil
		case !errors.Is(err, unix.EINTR):
			return -1, &fs.PathError{Op: "open", Path: path, Err: err}
		}
	}
}
