package process

import (
	"errors"
	"io"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// buffers keeps what a pipe is read with between runs, so that memory stays flat however many come.
var buffers = sync.Pool{New: func() any { return new([pipeSize]byte) }}

// pipeline takes what is written into a pipe to a writer.
//
// Go's poller is woken by each write into a pipe that it knows, at the writer's cost, also while nobody waits: of a script
// that prints line by line, that would make as much work as the printing. So it knows the pipe only while it is waited for.
type pipeline struct {
	eof  chan struct{} // closed when no more is read
	held bool          // set before eof: reading was given up, not at its end

	mu    sync.Mutex // held from a read to its write, so that a line can be put between two reads
	read  int        // the pipe's end, which does not block; -1 when it is closed
	wait  *os.File   // the same in Go's poller; nil: it is not there
	over  bool       // it was given up
	out   io.Writer
	inner bool // the last byte was not the end of a line
}

// newPipeline makes one for a pipe, whose end it owns.
func newPipeline(read int, out io.Writer) *pipeline {
	return &pipeline{read: read, out: out, eof: make(chan struct{})}
}

// collect reads the pipe to its end, or until it is given up.
func (p *pipeline) collect() {
	defer close(p.eof)
	defer p.unwatch()
	buf := buffers.Get().(*[pipeSize]byte)
	defer buffers.Put(buf)
	for last, yielded := (pace{}), time.Now(); ; {
		n, err := 0, error(unix.EAGAIN)
		if last.streams {
			n, err = p.passSoon(buf[:])
		}
		if errors.Is(err, unix.EAGAIN) {
			n, err = p.await(buf[:])
		}
		switch {
		case errors.Is(err, unix.EAGAIN):
			continue
		case n == 0 || err != nil:
			p.held = err != nil
			return
		}
		if last = last.next(time.Now(), n); last.streams {
			p.unwatch()
			rest(last.rest)
			if last.at.Sub(yielded) > longestTurn {
				runtime.Gosched()
				yielded = last.at
			}
		}
	}
}

// longestTurn is how long output is read at most before Go's scheduler gets a turn. From whoever makes system calls for 10 ms
// without one, Go's monitor takes the processor, and then looks after all again every 20 µs for a while, at the cost of those who
// write: retake in https://go.dev/src/runtime/proc.go.
const longestTurn = 4 * time.Millisecond

// passSoon is pass, when there is something within a moment.
func (p *pipeline) passSoon(buf []byte) (int, error) {
	n, err := p.pass(buf)
	if errors.Is(err, unix.EAGAIN) {
		_ = p.lookOut(longestRest)
		n, err = p.pass(buf)
	}
	return n, err
}

// await is pass, once there is something. Where Go's poller cannot wait, as when this process has no descriptor left, it
// returns EAGAIN now and then: whoever prints must not be held up for that.
func (p *pipeline) await(buf []byte) (n int, err error) {
	pass := func(uintptr) bool {
		n, err = p.pass(buf)
		return !errors.Is(err, unix.EAGAIN)
	}
	if conn, unwatched := p.watch(); unwatched == nil && conn.Read(pass) == nil {
		return n, err
	}
	if !pass(0) {
		if p.lookOut(longestPoll) != nil {
			time.Sleep(longestPoll)
		}
	}
	return n, err
}

// lookOut waits in the kernel until there is something, for a while at most.
func (p *pipeline) lookOut(while time.Duration) error {
	_, err := unix.Poll([]unix.PollFd{{Fd: int32(p.read), Events: unix.POLLIN}}, int(while.Milliseconds()))
	return err
}

// watch makes the pipe known to Go's poller.
func (p *pipeline) watch() (syscall.RawConn, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over {
		return nil, os.ErrDeadlineExceeded
	}
	if p.wait == nil {
		fd, err := unix.FcntlInt(uintptr(p.read), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			return nil, err
		}
		p.wait = os.NewFile(uintptr(fd), "output")
	}
	return p.wait.SyscallConn()
}

func (p *pipeline) unwatch() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.wait != nil {
		_ = p.wait.Close()
		p.wait = nil
	}
}

// giveUp ends reading, wherever the writers are, and returns when it has ended.
func (p *pipeline) giveUp() {
	p.mu.Lock()
	p.over = true
	if p.wait != nil {
		_ = p.wait.SetReadDeadline(time.Now())
	}
	p.mu.Unlock()
	<-p.eof
}

// close closes the pipe, after eof.
func (p *pipeline) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = unix.Close(p.read)
	p.read = -1
}

// pace is how the pipe of a tree that prints much is read. To be woken for each line costs both sides more than all the
// rest; a rest of a moment lets the pipe fill. A line that comes now and then is read when it comes, and so is what comes in
// large pieces: who writes them is not to find the pipe full, and his processor has them at hand.
type pace struct {
	at      time.Time     // when the pipe was read last
	streams bool          // there was not much time before
	rest    time.Duration // what follows, if so
}

// longestRest bounds how late output is read, and for how long a writer that of a sudden becomes fast may find the pipe full.
const longestRest = time.Millisecond

// largePiece is what a writer that buffers its output writes at once, in bytes: as C's stdio does.
const largePiece = 4 << 10

// next is the pace after a read of n bytes.
func (p pace) next(now time.Time, n int) pace {
	switch {
	case now.Sub(p.at) > 2*longestRest:
		return pace{at: now}
	case n >= pipeSize/8, n >= largePiece && p.rest == 0:
		return pace{now, true, 0}
	}
	return pace{now, true, min(max(2*p.rest, shortestRest), longestRest)}
}

// pass takes what is in the pipe now to the writer: at most a bufferful, 0 at the end.
func (p *pipeline) pass(buf []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for !p.over {
		n, err := unix.Read(p.read, buf)
		switch {
		case errors.Is(err, syscall.EINTR):
		case err != nil:
			return 0, err
		default:
			p.emit(buf[:n])
			return n, nil
		}
	}
	return 0, os.ErrDeadlineExceeded
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
	p.catchUp()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.inner {
		line = "\n" + line
	}
	p.emit([]byte(line + "\n"))
}

// catchUp takes what is in the pipe to the writer: no more than it can hold, since someone may never stop writing.
func (p *pipeline) catchUp() {
	buf := buffers.Get().(*[pipeSize]byte)
	defer buffers.Put(buf)
	for read := 0; read < pipeSize; {
		n, err := p.pass(buf[:])
		if err != nil || n == 0 {
			return
		}
		read += n
	}
}
