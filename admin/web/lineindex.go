package web

import (
	"bytes"
	"io"
	"sync"

	"lightspeed/run"
)

// stride is how far apart the places are, in bytes, for which a lineIndex knows the number of the line.
const stride = 64 << 10

// lineIndex knows where the lines of a log begin: how many line ends stand before each multiple of stride. It
// grows with its log, which is only ever appended to.
type lineIndex struct {
	mu     sync.Mutex
	before []int64 // before[i]: line ends before i*stride
	read   int64   // how far the log was read
	ends   int64   // line ends before read
}

// blocks keeps buffers for reading logs.
var blocks = sync.Pool{New: func() any { b := make([]byte, stride); return &b }}

// extend reads what a log has grown by, up to size, and returns how far it has been read and the number of line ends
// there: others may have read further.
func (x *lineIndex) extend(log io.ReaderAt, size int64) (read, ends int64, err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	buffer := blocks.Get().(*[]byte)
	defer blocks.Put(buffer)
	for x.read < size {
		if x.read == int64(len(x.before))*stride {
			x.before = append(x.before, x.ends)
		}
		to := min(size, int64(len(x.before))*stride)
		part := (*buffer)[:to-x.read]
		if _, err := log.ReadAt(part, x.read); err != nil {
			return 0, 0, err
		}
		x.ends += int64(bytes.Count(part, newline))
		x.read = to
	}
	return x.read, x.ends, nil
}

var newline = []byte{'\n'}

// total is the number of line ends.
func (x *lineIndex) total() int64 {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.ends
}

// block returns the last known place whose count of line ends is at most ends.
func (x *lineIndex) block(ends int64) (offset, before int64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	low, high := 0, len(x.before)
	for low+1 < high {
		if middle := (low + high) / 2; x.before[middle] <= ends {
			low = middle
		} else {
			high = middle
		}
	}
	if len(x.before) == 0 {
		return 0, 0
	}
	return int64(low) * stride, x.before[low]
}

// offsetOf returns where a line begins, lines being counted from 1. One past the end is at size.
func (x *lineIndex) offsetOf(log io.ReaderAt, line, size int64) (int64, error) {
	if line <= 1 {
		return 0, nil
	}
	if line-1 > x.total() {
		return size, nil
	}
	// The line begins after the line end number line-1: it stands past a place with fewer before it.
	offset, before := x.block(line - 2)
	buffer := blocks.Get().(*[]byte)
	defer blocks.Put(buffer)
	for offset < size {
		part := (*buffer)[:min(stride, size-offset)]
		if _, err := log.ReadAt(part, offset); err != nil {
			return 0, err
		}
		for at := 0; ; {
			next := bytes.IndexByte(part[at:], '\n')
			if next < 0 {
				break
			}
			at += next + 1
			if before++; before == line-1 {
				return offset + int64(at), nil
			}
		}
		offset += int64(len(part))
	}
	return size, nil
}

// lineAt returns the number of the line that the byte at offset belongs to.
func (x *lineIndex) lineAt(log io.ReaderAt, offset int64) (int64, error) {
	x.mu.Lock()
	block := min(int64(len(x.before))-1, offset/stride)
	if block < 0 {
		x.mu.Unlock()
		return 1, nil
	}
	before := x.before[block]
	offset = min(offset, x.read)
	x.mu.Unlock()
	buffer := blocks.Get().(*[]byte)
	defer blocks.Put(buffer)
	part := (*buffer)[:min(stride, offset-block*stride)]
	if _, err := log.ReadAt(part, block*stride); err != nil && len(part) > 0 {
		return 0, err
	}
	return before + int64(bytes.Count(part, newline)) + 1, nil
}

// maxIndexes bounds how many logs have an index in memory; that of a log of 64 MiB takes 8 KiB.
const maxIndexes = 64

// indexes keeps the indexes of the logs that were looked at last.
type indexes struct {
	mu    sync.Mutex
	known map[run.Ref]*lineIndex
	order []run.Ref // the one that was used last stands last
}

func (l *indexes) of(ref run.Ref) *lineIndex {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, one := range l.order {
		if one == ref {
			l.order = append(append(l.order[:i:i], l.order[i+1:]...), ref)
			return l.known[ref]
		}
	}
	if l.known == nil {
		l.known = map[run.Ref]*lineIndex{}
	}
	if len(l.order) == maxIndexes {
		delete(l.known, l.order[0])
		l.order = l.order[1:]
	}
	l.order = append(l.order, ref)
	l.known[ref] = &lineIndex{}
	return l.known[ref]
}
