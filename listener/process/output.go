package process

import (
	"errors"
	"io"
	"sync"
)

// chunk is how much output is read at once, in bytes: a whole pipe.
const chunk = pipeSize

// buffers keeps chunks between runs, so that memory stays flat however many come.
var buffers = sync.Pool{New: func() any { return new([chunk]byte) }}

// collect reads the pipe to its end. What the tree prints must go somewhere even when Output fails: a full
// pipe would stop the commands.
func (t *Tree) collect() {
	defer close(t.eof)
	buf := buffers.Get().(*[chunk]byte)
	defer buffers.Put(buf)
	out := t.opt.Output
	for {
		n, err := t.read.Read(buf[:])
		if n > 0 {
			if _, failed := out.Write(buf[:n]); failed != nil {
				out = io.Discard
			}
		}
		if err != nil {
			t.held = !errors.Is(err, io.EOF)
			return
		}
	}
}
