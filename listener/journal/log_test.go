package journal

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

func emptyLog(t *testing.T, max int64) (*Log, string) {
	t.Helper()
	dir := t.TempDir()
	l := newLog(dir, max, slog.New(slog.DiscardHandler))
	t.Cleanup(l.Discard)
	return l, dir
}

// numbers is n bytes that differ everywhere, so that a wrong offset shows.
func numbers(n int) []byte { return allNumbers()[:n] }

var allNumbers = sync.OnceValue(func() []byte {
	var b []byte
	for i := 0; len(b) < 6<<20; i++ {
		b = append(strconv.AppendInt(b, int64(i), 10), '\n')
	}
	return b
})

// kept is what a log of max bytes holds in the end of what was printed.
func kept(printed []byte, max int) string {
	if len(printed) <= max {
		return string(printed)
	}
	head, tail := max/2, max-max/2
	return fmt.Sprintf("%s\nlightspeed: %d bytes of output are left out here: there was more than max_log\n%s",
		printed[:head], len(printed)-max, printed[len(printed)-tail:])
}

func TestLogKeepsHeadAndTail(t *testing.T) {
	for _, c := range []struct{ printed, max int }{
		{0, 100}, {1, 100}, {50, 100}, {51, 100}, {100, 100}, {101, 100}, {10_000, 101}, {7, 1}, {1, 1},
		{4 << 20, 100}, {4 << 20, 1 << 20}, {6 << 20, 3 << 20},
	} {
		printed := numbers(c.printed)
		l, dir := emptyLog(t, int64(c.max))
		for rest := printed; len(rest) > 0; {
			n := min(1+rand.IntN(300_000), len(rest))
			_, _ = l.Write(rest[:n])
			rest = rest[n:]
		}
		if size, whole := l.Size(); whole || size != int64(min(c.printed, c.max/2)) {
			t.Errorf("%+v: size %d, whole %v while it grows", c, size, whole)
		}
		want := kept(printed, c.max)

		crashed, err := openLog(dir, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		crashed.Close()
		if got := text(t, crashed); got != want {
			t.Errorf("%+v: after a crash it holds %d bytes, want %d", c, len(got), len(want))
		}
		crashed.Discard()

		l.Close()
		if got := text(t, l); got != want {
			t.Errorf("%+v: it holds %d bytes, want %d", c, len(got), len(want))
		}
		if l.Cut() != (c.printed > c.max) {
			t.Errorf("%+v: cut is %v", c, l.Cut())
		}
	}
}

// TestKillBetweenDataAndHeader leaves the ring's header one write behind, as a kill -9 may.
func TestKillBetweenDataAndHeader(t *testing.T) {
	const max = 1 << 20
	printed := numbers(6 << 20)
	l, dir := emptyLog(t, max)
	_, _ = l.Write(printed)
	lost := bytes.Repeat([]byte("x"), tailSpare)
	at := l.tail.total % l.tail.ring()
	n := min(l.tail.ring()-at, int64(len(lost)))
	_ = writeAt(l.tail.file, lost[:n], tailStart+at)
	_ = writeAt(l.tail.file, lost[n:], tailStart)

	l, err := openLog(dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Discard()
	l.Close()
	if text(t, l) != kept(printed, max) {
		t.Error("the unfinished write harmed what was kept")
	}
}

func TestRecoveredLogGetsALastLine(t *testing.T) {
	for _, printed := range []int{10, 5000} {
		l, dir := emptyLog(t, 100)
		_, _ = l.Write(numbers(printed))
		l.Close()
		l, err := openLog(dir, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		_, _ = l.Write([]byte("\nlast\n"))
		l.Close()
		if got := text(t, l); !strings.HasSuffix(got, "\nlast\n") || !strings.HasPrefix(got, "0\n1\n2\n") {
			t.Errorf("got %q", got)
		}
		l.Discard()
	}
}

func TestReadersSeeTheHeadWhileItGrows(t *testing.T) {
	l, _ := emptyLog(t, 1<<20)
	_, _ = l.Write([]byte("one"))
	<-l.Changed()
	buf := make([]byte, 10)
	if n, err := l.ReadAt(buf, 1); err != nil || string(buf[:n]) != "ne" {
		t.Errorf("got %q %v", buf[:n], err)
	}
	if n, err := l.ReadAt(buf, 3); n != 0 || err != io.EOF {
		t.Errorf("got %d %v at the end", n, err)
	}
	l.Close()
	<-l.Changed()
	_, _ = l.Write([]byte("late"))
	if size, whole := l.Size(); size != 3 || !whole {
		t.Errorf("got %d %v", size, whole)
	}
}

// TestDiskThatFails takes the file away from under the log, and gives it back.
func TestDiskThatFails(t *testing.T) {
	said := &notes{}
	l := newLog(t.TempDir(), 1000, said.logger())
	defer l.Discard()
	_, _ = l.Write([]byte("before\n"))
	good := l.head
	bad, err := os.Open(os.DevNull) // not open for writing
	if err != nil {
		t.Fatal(err)
	}
	l.head = bad
	for range 3 {
		if n, err := l.Write([]byte("missing\n")); n != 8 || err != nil {
			t.Errorf("got %d %v", n, err)
		}
	}
	l.retry = time.Time{}
	_, _ = l.Write([]byte("missing\n"))
	l.head = good
	_ = bad.Close()
	_, _ = l.Write([]byte("missing\n"))
	l.retry = time.Time{}
	_, _ = l.Write([]byte("after\n"))
	l.Close()
	got := text(t, l)
	if !strings.HasPrefix(got, "before\n\nlightspeed: 40 bytes of output are missing here: ") || !strings.HasSuffix(got, "\nafter\n") {
		t.Errorf("got %q", got)
	}
	if strings.Contains(got, os.DevNull) {
		t.Errorf("%q names a file of this machine", got)
	}
	if len(said.lines()) != 1 {
		t.Errorf("said %q", said.lines())
	}
}

// TestDiskThatStaysFull: that something is missing at the end is told, though it cannot be written.
func TestDiskThatStaysFull(t *testing.T) {
	l, _ := emptyLog(t, 1000)
	_, _ = l.Write([]byte("before"))
	good := l.head
	bad, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer bad.Close()
	l.head = bad
	_, _ = l.Write([]byte("missing"))
	l.Close()
	l.head = good
	if got := text(t, l); !strings.HasPrefix(got, "before\nlightspeed: 7 bytes of output are missing here: ") {
		t.Errorf("got %q", got)
	}
}
