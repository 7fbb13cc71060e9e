package process

import (
	"io"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// counter counts what it is given, and in how many pieces.
type counter struct{ pieces, bytes int }

func (c *counter) Write(b []byte) (int, error) {
	c.pieces++
	c.bytes += len(b)
	return len(b), nil
}

// TestManyLinesAreReadTogether: to be woken for each would cost the script more than to print it.
func TestManyLinesAreReadTogether(t *testing.T) {
	const lines, line = 50_000, "a line of many\n"
	var read counter
	tree, err := New(Options{Output: &read, Grace: func(error) time.Duration { return time.Minute }})
	if err != nil {
		t.Fatal(err)
	}
	const script = "i=0; while [ $i -lt 50000 ]; do echo a line of many; i=$((i+1)); done"
	tree.Run(t.Context(), Command{Argv: []string{"/bin/sh", "-c", script}, Dir: "/"})
	tree.End(t.Context())
	if read.bytes != lines*len(line) || read.pieces > lines/20 {
		t.Errorf("%d bytes came in %d pieces, want %d in at most %d", read.bytes, read.pieces, lines*len(line), lines/20)
	}
}

func TestPace(t *testing.T) {
	start := time.Now()
	p := pace{}.next(start, 40)
	if p.rest != 0 {
		t.Errorf("after the first line it rests %v", p.rest)
	}
	now := start.Add(time.Second)
	if p = p.next(now, 40); p.rest != 0 {
		t.Errorf("after a line a second later it rests %v", p.rest)
	}
	for range 20 { // lines that come at once
		now = now.Add(p.rest + 10*time.Microsecond)
		p = p.next(now, 1000)
	}
	if p.rest != longestRest {
		t.Errorf("while lines come at once it rests %v, want %v", p.rest, longestRest)
	}
	if p = p.next(now.Add(p.rest), 2*largePiece); p.rest != longestRest {
		t.Errorf("when many lines gather it rests %v, want %v still", p.rest, longestRest)
	}
	for range 2 {
		if p = p.next(now.Add(p.rest), pipeSize/8); p.rest != 0 {
			t.Errorf("when the pipe fills fast it rests %v", p.rest)
		}
	}
	if p = p.next(now.Add(p.rest), largePiece); p.rest != 0 || !p.streams {
		t.Errorf("when large pieces come one by one it rests %v", p.rest)
	}
}

// TestGivenUp: a pipe that stays open for ever holds nobody.
func TestGivenUp(t *testing.T) {
	read, write, err := pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer write.Close()
	var out counter
	p := newPipeline(read, &out)
	go p.collect()
	_, _ = write.WriteString("printed")
	p.say("own line")
	p.giveUp()
	p.close()
	p.say("another") // a closed pipe is not read
	if !p.held || out.bytes != len("printed\nown line\nanother\n") {
		t.Errorf("held: %v; %d bytes came", p.held, out.bytes)
	}
}

// TestNoDescriptorLeft: who prints is read all the same when this process can open nothing more.
func TestNoDescriptorLeft(t *testing.T) {
	read, write, err := pipe()
	if err != nil {
		t.Fatal(err)
	}
	var out counter
	p := newPipeline(read, &out)
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 1, Max: limit.Max}); err != nil {
		t.Fatal(err)
	}
	defer unix.Setrlimit(unix.RLIMIT_NOFILE, &limit)
	go p.collect()
	go func() {
		defer write.Close()
		_, _ = write.Write(make([]byte, 2*pipeSize)) // more than the pipe holds
	}()
	select {
	case <-p.eof:
	case <-time.After(20 * time.Second):
		t.Fatal("it is not read to its end")
	}
	p.close()
	if p.held || out.bytes != 2*pipeSize {
		t.Errorf("held: %v; %d bytes came, want %d", p.held, out.bytes, 2*pipeSize)
	}
}

// TestErrorWhileItWaits: a pipe that cannot be read is not one that has come to its end.
func TestErrorWhileItWaits(t *testing.T) {
	read, write, err := pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer write.Close()
	p := newPipeline(read, io.Discard)
	if _, err := p.watch(); err != nil {
		t.Fatal(err)
	}
	defer p.unwatch()
	p.close()
	if n, err := p.await(make([]byte, 10)); err == nil {
		t.Errorf("got %d bytes and no error", n)
	}
}
