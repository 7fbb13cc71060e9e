package journal

import (
	"errors"
	"io/fs"
	"path/filepath"
	"time"

	"lightspeed/fault"
	"lightspeed/logtime"
)

// timesFile holds when the output came, by Positions: see logtime.
const timesFile = "times"

// What comes within timePeriod of a record, or within a part in timeShare of what the attempt has lasted, has no
// record of its own: there are ten a second at first, and of a week of output that never pauses 75,000 (1.5 MB).
const (
	timePeriod = 100 * time.Millisecond
	timeShare  = 10_000
)

// timeline notes when output comes, ahead of the output itself: what a kill leaves of it that has no output is
// forgotten. It is a help for people: nothing waits for it, and what cannot be noted is not known.
type timeline struct {
	path  string
	file  *logtime.File // nil until something is printed
	began time.Time     // when the first record was made by this process
	last  time.Time     // when the last one was; zero: the next is due
	step  int           // what is written now belongs to it; 0: to none
	marks []mark        // steps that begin further on than what is written
}

// mark is where the output of a step begins.
type mark struct {
	position int64
	step     int
}

// openTimeline opens that of an earlier process.
func openTimeline(dir string) (*timeline, error) {
	t := &timeline{path: filepath.Join(dir, timesFile)}
	file, err := logtime.Edit(t.path)
	if errors.Is(err, fs.ErrNotExist) {
		return t, nil
	}
	t.file = file
	return t, err
}

// note notes that size bytes are about to be written at a position.
func (t *timeline) note(position int64, size int, now time.Time) {
	var due []logtime.Record
	if t.enter(position) || now.Sub(t.last) >= t.period(now) {
		due = append(due, logtime.Record{Offset: position, At: now, Step: t.step})
	}
	for len(t.marks) > 0 && t.marks[0].position < position+int64(size) {
		at := t.marks[0].position
		t.enter(at)
		due = append(due, logtime.Record{Offset: at, At: now, Step: t.step})
	}
	if len(due) == 0 {
		return
	}
	t.last = now
	if t.began.IsZero() {
		t.began = now
	}
	if t.add(position, due) != nil {
		t.last = time.Time{}
	}
	fault.Point("journal.log.timed")
}

// enter takes the marks up to a position, and reports whether there were any.
func (t *timeline) enter(position int64) (changed bool) {
	for len(t.marks) > 0 && t.marks[0].position <= position {
		t.step, t.marks, changed = t.marks[0].step, t.marks[1:], true
	}
	return changed
}

// period is the least time between two records now.
func (t *timeline) period(now time.Time) time.Duration {
	return max(timePeriod, now.Sub(t.began)/timeShare)
}

func (t *timeline) add(position int64, records []logtime.Record) (err error) {
	if t.file == nil {
		if t.file, err = logtime.Create(t.path); err != nil {
			return err
		}
	}
	return t.file.Add(position, records...)
}

func (t *timeline) close() {
	if t.file != nil {
		_ = t.file.Close()
	}
}

// Mark says that what is written from a Position on belongs to a step, and with 0 to none. Marks do not go back.
func (l *Log) Mark(position int64, step int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	marks := l.times.marks
	if n := len(marks); n > 0 && marks[n-1].position == position {
		marks = marks[:n-1]
	}
	l.times.marks = append(marks, mark{position, step})
}

// span is a part of the log that can be read, and where it stands among the Positions.
type span struct {
	offset, size int64
	position     int64
	still        bool // all of it stands at that position: a notice of our own
}

// spans are the parts of the log in their order. The lock is held.
func (l *Log) spans() []span {
	list := []span{{size: l.headLen}}
	if l.closed && l.tail != nil {
		notice := int64(len(l.notice()))
		list = append(list, span{offset: l.headLen, size: notice, position: l.headLen, still: true},
			span{offset: l.headLen + notice, size: l.tail.kept(), position: l.headLen + l.tail.dropped()})
	}
	return list
}

// Times returns what is known of when the bytes of the log from from up to to came, at most most records, and where the
// bytes end that these are about; see logtime.File.Between.
func (l *Log) Times(from, to int64, most int) ([]logtime.Record, int64) {
	l.mu.Lock()
	spans := l.spans()
	var file logtime.File
	known := l.times.file != nil
	if known {
		file = *l.times.file // only its own records: who prints goes on adding
	}
	l.mu.Unlock()
	var list []logtime.Record
	for _, s := range spans {
		low, high := max(from, s.offset), min(to, s.offset+s.size)
		if !known || low >= high {
			continue
		}
		part, until := s.times(&file, low, high, most-len(list))
		if list = append(list, part...); until < high {
			return list, until
		}
	}
	return list, to
}

// times reads those of a part of a span, by the offsets of the log.
func (s span) times(file *logtime.File, low, high int64, most int) ([]logtime.Record, int64) {
	position, end := low-s.offset+s.position, high-s.offset+s.position
	if s.still {
		position, end = s.position, s.position+1
	}
	list, until, err := file.Between(position, end, most)
	if err != nil {
		return nil, high // not known
	}
	for i := range list {
		list[i].Offset += low - position
	}
	if until == end {
		return list, high
	}
	return list, until + low - position
}
