package process

import (
	"errors"
	"io"
	"os"
	"sync"
	"syscall"
)

// buffers keeps what a pipe is read with between runs, so that memory stays flat however many come.
var buffers = sync.Pool{New: func() any { return new([pipeSize]byte) }}

// busy is how many bytes at once show that someone prints as fast as it goes. Reading each of them when it comes
// costs more than all the rest: a rest of a moment lets the pipe fill.
const busy = 4 << 10

// pipeline takes what is written into a pipe to a writer.
type pipeline struct {
	read *os.File
	eof  chan struct{} // closed when no more is read
	held bool          // set before eof: reading was given up, not at its end

	mu    sync.Mutex // held from a read to its write, so that a line can be put between two reads
	out   io.Writer
	inner bool // the last byte was not the end of a line
}

func newPipeline(read *os.File, out io.Writer) *pipeline {
	return &pipeline{read: read, out: out, eof: make(chan struct{})}
}

// collect reads the pipe to its end.
func (p *pipeline) collect() {
	defer close(p.eof)
	conn, err := p.read.SyscallConn()
	if err != nil {
		p.held = true
		return
	}
	buf := buffers.Get().(*[pipeSize]byte)
	defer buffers.Put(buf)
	for {
		var n int
		var failed error
		waited := conn.Read(func(fd uintptr) bool {
			n, failed = p.pass(int(fd), buf[:])
			return !errors.Is(failed, syscall.EAGAIN)
		})
		if waited != nil || failed != nil || n == 0 {
			p.held = waited != nil || failed != nil
			return
		}
		if n >= busy && n < len(buf)/2 {
			rest()
		}
	}
}

// pass takes what is in the pipe now to the writer: at most a bufferful, 0 at the end.
func (p *pipeline) pass(fd int, buf []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		n, err := syscall.Read(fd, buf)
		switch {
		case errors.Is(err, syscall.EINTR):
		case err != nil:
			return 0, err
		default:
			p.emit(buf[:n])
			return n, nil
		}
	}
}

// emit writes. What a command prints must go somewhere even when the writer fails: a full pipe would stop it.
func (p *pipeline) emit(b []byte) {
	if len(b) == 0 {
		return
	}
	p.inner = b[len(b)-1] != '\n'
	if _, err := p.out.Write(b); err != nil {
		p.out = io.Discard
	}
}

// say writes a line of our own behind all that is in the pipe now, and on a line of its own.
func (p *pipeline) say(line string) {
	p.catchUpNow()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.inner {
		line = "\n" + line
	}
	p.emit([]byte(line + "\n"))
}

func (p *pipeline) catchUpNow() {
	if conn, err := p.read.SyscallConn(); err == nil {
		_ = conn.Control(func(fd uintptr) { p.catchUp(int(fd)) })
	}
}

// catchUp reads what is in the pipe now: no more than it can hold, since someone may never stop writing.
func (p *pipeline) catchUp(fd int) {
	buf := buffers.Get().(*[pipeSize]byte)
	defer buffers.Put(buf)
	for read := 0; read < pipeSize; {
		n, err := p.pass(fd, buf[:])
		if err != nil || n == 0 {
			return
		}
		read += n
	}
}
