package app

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// quiet is an Output whose ready lines can be waited for.
func quiet() (Output, *lines) {
	ready := &lines{more: make(chan struct{})}
	return Output{Ready: ready, Notes: io.Discard, Log: slog.New(slog.DiscardHandler)}, ready
}

// patience bounds every wait for something that must come. It is long: a machine may be busy.
const patience = 2 * time.Minute

// until asks again and again until there is no error, and fails with the last one when that takes too long.
func until(t *testing.T, what string, ask func() error) {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		err := ask()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("within %v it never came that %s: %v", patience, what, err)
		}
	}
}

// lines keeps what is written to it.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
	more chan struct{} // closed at the next write
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.more)
	l.more = make(chan struct{})
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// wait returns what follows prefix on its line, once there is such a line.
func (l *lines) wait(t *testing.T, prefix string) string {
	t.Helper()
	over := time.After(patience)
	for {
		l.mu.Lock()
		text, more := l.text.String(), l.more
		l.mu.Unlock()
		for line := range strings.Lines(text) {
			if rest, ok := strings.CutPrefix(line, prefix); ok {
				return strings.TrimSpace(rest)
			}
		}
		select {
		case <-more:
		case <-over:
			t.Fatalf("no line %q came, but:\n%s", prefix, text)
		}
	}
}

// process is a server that a test started.
type process struct {
	soon, now context.CancelFunc
	done      chan struct{} // closed when it has ended
	err       error         // how it did
}

func start(work func(Stop) error) *process {
	soon, finish := context.WithCancel(context.Background())
	now, cut := context.WithCancel(context.Background())
	p := &process{soon: finish, now: cut, done: make(chan struct{})}
	go func() {
		defer close(p.done)
		p.err = work(Stop{soon, now})
	}()
	return p
}

// end ends what a test that failed has left, and its runs.
func (p *process) end() {
	p.now()
	_ = p.stop()
}

// stop asks the process to end, and returns how it did.
func (p *process) stop() error {
	p.soon()
	defer p.now()
	select {
	case <-p.done:
		return p.err
	case <-time.After(patience):
		return fmt.Errorf("it did not end within %v of being asked to", patience)
	}
}
