package journal

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"lightspeed/fault"
)

// logFile holds the first part of the output, at most half of what is kept.
const logFile = "log"

// Log is what one attempt prints, on this machine. The first half of what is kept stands in one file and can be
// read while it grows; of what comes after, the end is kept in a ring (see tail). Memory and disk are bounded,
// however much is printed. Once it is closed, reading shows all that was kept, with a line that announces the
// cut in between.
//
// One goroutine writes; any may read.
type Log struct {
	dir     string
	log     *slog.Logger
	changed chan struct{}

	mu      sync.Mutex
	begins  func()   // nil once it was called
	head    *os.File // nil until something is printed
	headMax int64
	headLen int64
	tailMax int64
	tail    *tail // nil until the head is full
	closed  bool
	times   *timeline

	missing int64         // bytes that could not be written since it last went well
	why     error         // what was wrong then
	retry   time.Time     // when writing is tried again
	pause   time.Duration // how long it was put off last
	last    string        // announces what is missing at the end; in memory, since it could not be written either
}

// newLog makes no file before something is printed.
func newLog(dir string, maxLog int64, log *slog.Logger) *Log {
	half := maxLog / 2
	l := &Log{dir: dir, log: log, changed: make(chan struct{}, 1), headMax: half, tailMax: maxLog - half}
	l.times = &timeline{path: filepath.Join(dir, timesFile)}
	return l
}

// openLog opens the log of an earlier process, to be read and to get a last line.
func openLog(dir string, log *slog.Logger) (*Log, error) {
	l := newLog(dir, 0, log)
	var err error
	switch l.head, err = os.OpenFile(filepath.Join(dir, logFile), os.O_RDWR, 0); {
	case errors.Is(err, fs.ErrNotExist):
		l.head = nil
	case err != nil:
		return nil, err
	default:
		info, err := l.head.Stat()
		if err != nil {
			_ = l.head.Close()
			return nil, err
		}
		l.headLen = info.Size()
	}
	if l.tail, err = openTail(dir); err != nil {
		log.Error("end of the output cannot be read; its first part is kept", "err", err)
	}
	l.headMax = l.headLen
	if l.tail == nil {
		l.headMax += 1 << 20 // room for the lines that say how it ended
	}
	if l.times, err = openTimeline(dir); err != nil {
		log.Warn("when the output came cannot be read", "err", err)
	}
	return l, nil
}

// A disk that is full has room for a short line now and then: writing is not tried again at once, but ever
// more seldom, from the first to the last of these waits.
const (
	firstPause = time.Second
	lastPause  = time.Minute
)

// Write never fails, and never holds up who prints: what cannot be written is counted, said once, and
// announced in the output when writing goes well again.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return len(p), nil
	}
	if l.missing > 0 && !l.resume() {
		l.missing += int64(len(p))
		return len(p), nil
	}
	if n, err := l.put(p); err != nil {
		l.fail(int64(len(p)-n), err)
	}
	fault.Point("journal.log.written")
	if l.begins != nil {
		l.begins()
		l.begins = nil
	}
	select {
	case l.changed <- struct{}{}:
	default:
	}
	return len(p), nil
}

// put writes p where it belongs, and returns how much of it was written.
func (l *Log) put(p []byte) (int, error) {
	if err := l.open(); err != nil {
		return 0, err
	}
	l.times.note(l.position(), len(p), time.Now())
	first := p[:min(int64(len(p)), max(l.headMax-l.headLen, 0))]
	n, err := l.head.WriteAt(first, l.headLen)
	l.headLen += int64(n)
	if err != nil || n == len(p) {
		return n, err
	}
	if l.tail == nil {
		if l.tail, err = createTail(l.dir, l.tailMax); err != nil {
			return n, err
		}
	}
	more, err := l.tail.write(p[n:])
	return n + more, err
}

// open makes the file when it is not there yet.
func (l *Log) open() error {
	if l.head != nil {
		return nil
	}
	path := filepath.Join(l.dir, logFile)
	fd, err := openFile(path, unix.O_RDWR|unix.O_EXCL)
	if err != nil {
		return err
	}
	l.head = os.NewFile(uintptr(fd), path)
	return nil
}

// fail notes that bytes could not be written.
func (l *Log) fail(bytes int64, err error) {
	if l.pause == 0 {
		l.log.Error("output cannot be written to disk; the run goes on without it", "err", err)
	}
	l.missing, l.why = bytes, err
	l.pause = min(max(2*l.pause, firstPause), lastPause)
	l.retry = time.Now().Add(l.pause)
}

// resume tries whether writing goes well again: the announcement of what is missing shows it.
func (l *Log) resume() bool {
	if time.Now().Before(l.retry) {
		return false
	}
	if n, err := l.put([]byte(l.hole())); err != nil {
		l.unput(n)
		l.fail(l.missing, err)
		return false
	}
	l.missing = 0
	return true
}

// hole announces what could not be written.
func (l *Log) hole() string {
	return fmt.Sprintf("\nlightspeed: %d bytes of output are missing here: %s\n", l.missing, plain(l.why))
}

// plain is an error without the path that it happened to: that is nobody's business but this machine's.
func plain(err error) string {
	var where *fs.PathError
	if errors.As(err, &where) {
		err = where.Err
	}
	return err.Error()
}

// unput takes back a notice that was written in part.
func (l *Log) unput(n int) {
	if l.tail == nil {
		l.headLen -= int64(n)
	}
}

// BeginsLine reports whether what is written next begins a line.
func (l *Log) BeginsLine() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	last := []byte{'\n'}
	switch {
	case l.tail != nil && l.tail.kept() > 0:
		_, _ = l.tail.readAt(last, l.tail.kept()-1)
	case l.headLen > 0:
		_, _ = l.head.ReadAt(last, l.headLen-1)
	}
	return last[0] == '\n'
}

// Begins has do called, once and by who writes, when something is written for the first time from now on. It must not block.
func (l *Log) Begins(do func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.begins = do
}

// Changed gets a value when there may be more to read.
func (l *Log) Changed() <-chan struct{} { return l.changed }

// Close ends the writing: from now on everything can be read.
func (l *Log) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	if l.missing > 0 {
		l.last = l.hole()
	}
	l.closed = true
	select {
	case l.changed <- struct{}{}:
	default:
	}
}

// Discard closes the files. Reading fails from then on.
func (l *Log) Discard() {
	l.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.head != nil {
		_ = l.head.Close()
	}
	l.times.close()
	if l.tail != nil {
		_ = l.tail.file.Close()
	}
}

// Size returns how many bytes can be read, and whether these are all there will ever be.
func (l *Log) Size() (bytes int64, whole bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.size(), l.closed
}

func (l *Log) size() int64 {
	if !l.closed || l.tail == nil {
		return l.headLen + int64(len(l.last))
	}
	return l.headLen + int64(len(l.notice())) + l.tail.kept() + int64(len(l.last))
}

// Cut reports whether output was left out, because there was more than is kept.
func (l *Log) Cut() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.tail != nil && l.tail.dropped() > 0
}

// notice announces the cut; it is empty when there is none.
func (l *Log) notice() string {
	if l.tail == nil || l.tail.dropped() == 0 {
		return ""
	}
	return fmt.Sprintf("\nlightspeed: %d bytes of output are left out here: there was more than max_log\n", l.tail.dropped())
}

// ReadAt reads what Size counts. It reads less than asked for where two parts of the log meet.
func (l *Log) ReadAt(p []byte, off int64) (int, error) {
	l.mu.Lock()
	parts := []part{{l.headLen, l.head.ReadAt}}
	if l.closed && l.tail != nil {
		parts = append(parts, textPart(l.notice()), part{l.tail.kept(), l.tail.readAt})
	}
	parts = append(parts, textPart(l.last))
	l.mu.Unlock()
	// Nothing of this changes any more, so that a slow disk here never holds up who prints.
	for _, one := range parts {
		if off < one.size {
			return one.read(p[:min(int64(len(p)), one.size-off)], off)
		}
		off -= one.size
	}
	return 0, io.EOF
}

// part is a piece of the log that is read by offsets of its own.
type part struct {
	size int64
	read func(p []byte, off int64) (int, error)
}

func textPart(text string) part {
	return part{int64(len(text)), func(p []byte, off int64) (int, error) { return copy(p, text[off:]), nil }}
}
