package notify

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"lightspeed/run"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// logs collects what is logged.
type logs struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (l *logs) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelInfo}))
}

// fake is a target that keeps what it is told, and fails as it is asked to.
type fake struct {
	name string
	fail func(Telling) error // nil: never
	hold chan struct{}       // not nil: Send waits for it

	mu   sync.Mutex
	told []Telling
	seen int // calls of Send
}

func (f *fake) Name() string {
	if f.name == "" {
		return "fake"
	}
	return f.name
}

func (f *fake) Accept(n *Notice) (string, bool) { return n.Run, true }

func (f *fake) Send(ctx context.Context, t Telling, m *Memo) error {
	f.mu.Lock()
	f.seen++
	f.mu.Unlock()
	if f.hold != nil {
		select {
		case <-f.hold:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if f.fail != nil {
		if err := f.fail(t); err != nil {
			return err
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.told = append(f.told, t)
	return m.Set("message of " + t.Notice.Run)
}

func (f *fake) Try(context.Context, Notice) (string, error) { return "tried", nil }

// states lists what was told, as "run state".
func (f *fake) states() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []string
	for _, t := range f.told {
		all = append(all, t.Notice.Run+" "+string(t.Notice.State))
	}
	return all
}

func (f *fake) calls() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.seen
}

var birth = time.Date(2024, 5, 6, 7, 8, 9, 0, time.UTC)

// notice is run id as it stands in state; runs are queued in the order of their ids.
func notice(id string, state run.State) Notice {
	n := Notice{
		Listener: "site", Run: id, Attempt: 1, Cause: run.ByDelivery, State: state,
		Event:    Head{Name: "push", Repo: "acme/site", Ref: "refs/heads/main", Branch: "main"},
		QueuedAt: birth.Add(time.Duration(sum(id)) * time.Second), StartedAt: birth,
	}
	if state.Ended() {
		n.FinishedAt = birth.Add(time.Minute)
	}
	return n
}

// sum gives ids with a number at their end an order.
func sum(id string) (n int) {
	for _, c := range id {
		n = n*10 + int(c)
	}
	return n % 100000
}

func dispatcher(t *testing.T, o Options) *Dispatcher {
	t.Helper()
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	d, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// running runs d until stop is called, which waits for it.
func running(t *testing.T, d *Dispatcher) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	return sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// listing is every file under dir.
func listing(t *testing.T, dir string) string {
	t.Helper()
	var names []string
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			path, _ = filepath.Rel(dir, path)
			names = append(names, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(names, "\n")
}
