package web

import (
	"bytes"
	"context"
	"html/template"
	"io"
	"time"

	"lightspeed/logtime"
	"lightspeed/run"
)

// How much of a log one page shows.
const (
	windowLines = 600
	windowBytes = 256 << 10
)

// logbook shows windows of logs.
type logbook struct {
	source  Runs
	indexes indexes
}

func newLogbook(source Runs) *logbook { return &logbook{source: source} }

// line is one line of a log, as it is shown.
type line struct {
	N    int64         `json:"n"`
	HTML template.HTML `json:"html"`
	More int64         `json:"more,omitempty"` // bytes that are not shown
	Came string        `json:"came,omitempty"` // how long after the first output, as "1m2.3s"; empty when it is not known
	Hit  bool          `json:"-"`              // it was asked for
}

// window is a part of a log.
type window struct {
	Lines []line
	First int64 // the number of the first line; also where there is none
	Next  int64 // the number of the line after the last
	End   int64 // where the next line begins, in bytes
	Size  int64 // of the log
	Total int64 // lines in all; one that has no end yet counts
}

// Before and After are how many lines the window leaves out at either end.
func (w window) Before() int64 { return w.First - 1 }
func (w window) After() int64  { return max(0, w.Total-w.Next+1) }

// openLog is a log with its index, as far as both went when it was opened.
type openLog struct {
	Log
	index *lineIndex
	size  int64
	ends  int64 // line ends in size
}

func (b *logbook) open(ctx context.Context, ref run.Ref) (*openLog, error) {
	log, err := b.source.Log(ctx, ref)
	if err != nil {
		return nil, err
	}
	l := &openLog{Log: log, index: b.indexes.of(ref)}
	if err := l.refresh(); err != nil {
		_ = log.Close()
		return nil, err
	}
	return l, nil
}

// refresh looks how far the log goes now.
func (l *openLog) refresh() error {
	size, err := l.Size()
	if err != nil {
		return err
	}
	l.size, l.ends, err = l.index.extend(l, size)
	return err
}

// total counts the lines, also one that has no end yet.
func (l *openLog) total() (int64, error) {
	last, err := l.index.offsetOf(l, l.ends+1, l.size)
	if err != nil || last == l.size {
		return l.ends, err
	}
	return l.ends + 1, nil
}

// tail is the window at the end of a log.
func (l *openLog) tail(count int64) (window, error) {
	total, err := l.total()
	if err != nil {
		return window{}, err
	}
	return l.window(max(1, total-count+1), count)
}

// window reads up to count lines from a line on.
func (l *openLog) window(from, count int64) (window, error) {
	total, err := l.total()
	if err != nil {
		return window{}, err
	}
	w := window{First: min(max(1, from), total+1), Size: l.size, Total: total}
	w.Next = w.First
	if w.End, err = l.index.offsetOf(l, w.First, l.size); err != nil {
		return w, err
	}
	scan := newLineScanner(io.NewSectionReader(l, w.End, l.size-w.End))
	var p painter
	came := l.clock()
	for spent := int64(0); w.Next <= total && w.Next-w.First < count && spent < windowBytes; w.Next++ {
		one, err := scan.next()
		if err != nil {
			return w, err
		}
		w.Lines = append(w.Lines, p.line(w.Next, one, came(w.End)))
		spent += min(one.length, maxLine)
		w.End += one.size
	}
	return w, nil
}

// line renders what is shown of a line.
func (p *painter) line(n int64, one scanned, came string) line {
	shown := one.text[:min(len(one.text), maxLine)]
	return line{N: n, HTML: p.paint(shown), More: one.length - int64(len(shown)), Came: came}
}

// timesPage is how many records of times are read at once.
const timesPage = 1000

// clock returns what says of one line after the other how long after the first output it came, by where it begins. It
// is a help: where times cannot be read there are none.
func (l *openLog) clock() func(offset int64) string {
	first, _, err := l.Times(0, l.size, 1)
	if err != nil || len(first) == 0 {
		return func(int64) string { return "" }
	}
	times := logtime.Cursor{Load: func(from int64) ([]logtime.Record, int64, error) { return l.Times(from, l.size, timesPage) }}
	return func(offset int64) string {
		came, known, err := times.At(offset)
		if err != nil || !known {
			return ""
		}
		return max(0, came.At.Sub(first[0].At)).Round(100 * time.Millisecond).String()
	}
}

// maxHits bounds how many lines a search shows.
const maxHits = 200

// search finds lines that hold a text, whatever the case of ASCII letters, from a line on. more is the line to go on from,
// 0 at the end.
func (l *openLog) search(text string, from int64) (w window, more int64, err error) {
	want := bytes.ToLower([]byte(text))
	offset, err := l.index.offsetOf(l, from, l.size)
	if err != nil {
		return w, 0, err
	}
	w.Size, w.First = l.size, from
	if w.Total, err = l.total(); err != nil {
		return w, 0, err
	}
	scan := newLineScanner(io.NewSectionReader(l, offset, l.size-offset))
	came := l.clock()
	for n := from; ; n++ {
		begins := offset
		one, err := scan.next()
		offset += one.size
		if err == io.EOF {
			return w, 0, nil
		}
		if err != nil {
			return w, 0, err
		}
		if !bytes.Contains(bytes.ToLower(one.text), want) {
			continue
		}
		if len(w.Lines) == maxHits {
			return w, n, nil
		}
		w.Lines = append(w.Lines, (&painter{}).line(n, one, came(begins)))
	}
}
