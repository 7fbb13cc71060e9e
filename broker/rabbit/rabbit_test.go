package rabbit

import (
	"bytes"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"lightspeed/broker"
	"lightspeed/broker/brokertest"
	"lightspeed/broker/rabbit/rabbittest"
	"lightspeed/secret"
)

var (
	_ broker.Announcer = (*Announcer)(nil)
	_ broker.Consumer  = (*Consumer)(nil)
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		rabbittest.Stop()
		os.Exit(code)
	}))
}

func TestConformance(t *testing.T) {
	t.Parallel()
	node := rabbittest.Start(t)
	brokertest.Run(t, func(t *testing.T) brokertest.Sides {
		p := connect(t, normal, node.Vhost(t))
		return brokertest.Sides{Announcer: p.a, Consumer: p.c, Close: p.close}
	})
}

// quick is normal, but for what a test would wait for.
var quick = pace{
	dial: 2 * time.Second, handshake: 10 * time.Second, heartbeat: 2 * time.Second,
	write: time.Second, answer: 2 * time.Second, confirm: 3 * time.Second,
	patience: 200 * time.Millisecond, goodbye: time.Second,
	retryMin: 20 * time.Millisecond, retryMax: 500 * time.Millisecond, steady: time.Second,
}

// password is part of every account that a test makes; no log line may hold it.
const password = "geheim/1@:%"

// both are the two sides on one broker, with what they logged.
type both struct {
	a    *Announcer
	c    *Consumer
	logA *journal
	logC *journal
}

func (p both) close() error {
	_ = p.c.Close()
	return p.a.Close()
}

func connect(t testing.TB, pace pace, urls ...string) both {
	t.Helper()
	p := both{logA: &journal{t: t}, logC: &journal{t: t}}
	var err error
	if p.a, err = newAnnouncer(p.logA.options(urls...), pace); err != nil {
		t.Fatal(err)
	}
	if p.c, err = newConsumer(p.logC.options(urls...), pace); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.close() })
	return p
}

// flows sees a hint through from one side to the other.
func (p both) flows(t testing.TB, queue, run string) {
	t.Helper()
	brokertest.Declare(t, p.a, queue)
	p.a.Announce(broker.Hint{Queue: queue, Run: run})
	slot := p.c.Slot(queue)
	defer slot.Close()
	for {
		held := brokertest.Next(t, slot)
		held.Done()
		if held.Hint.Run == run { // and not one from before
			return
		}
	}
}

// journal keeps a log's lines, and fails the test when one shows a password.
type journal struct {
	t     testing.TB
	mu    sync.Mutex
	lines []string

	again atomic.Int64 // connections after the first
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if bytes.Contains(p, []byte("geheim")) {
		j.t.Errorf("a log line shows a password: %s", p)
	}
	j.lines = append(j.lines, string(p))
	return j.t.Output().Write(p)
}

func (j *journal) options(urls ...string) Options {
	o := Options{Name: j.t.Name(), Log: slog.New(slog.NewTextHandler(j, nil))}
	o.Connected = func(again bool) {
		if again {
			j.again.Add(1)
		}
	}
	for _, url := range urls {
		o.URLs = append(o.URLs, secret.New(url))
	}
	return o
}

// count returns how many lines hold all words.
func (j *journal) count(words ...string) int {
	j.mu.Lock()
	defer j.mu.Unlock()
	n := 0
	for _, line := range j.lines {
		all := true
		for _, w := range words {
			all = all && strings.Contains(line, w)
		}
		if all {
			n++
		}
	}
	return n
}

// wantOnce fails the test unless exactly one line holds all words.
func (j *journal) wantOnce(words ...string) {
	j.t.Helper()
	if n := j.count(words...); n != 1 {
		j.t.Errorf("%d log lines say %q, want one", n, words)
	}
}

// awaitState waits until a link's state is as wanted.
func awaitState(t testing.TB, l *link, what string, want func(broker.State) bool) broker.State {
	t.Helper()
	timeout := time.After(30 * time.Second)
	for {
		_, state, changed := l.now()
		if want(state) {
			return state
		}
		select {
		case <-changed:
		case <-timeout:
			t.Fatalf("state %+v, want %s", state, what)
		}
	}
}

func awaitUp(t testing.TB, l *link) broker.State {
	t.Helper()
	return awaitState(t, l, "up", func(s broker.State) bool { return s.Up })
}

func awaitWhy(t testing.TB, l *link, why string) broker.State {
	t.Helper()
	return awaitState(t, l, why, func(s broker.State) bool { return !s.Up && strings.Contains(s.Why, why) })
}

// within fails the test when f takes longer.
func within(t testing.TB, limit time.Duration, what string, f func()) {
	t.Helper()
	began := time.Now()
	f()
	if took := time.Since(began); took > limit {
		t.Errorf("%s took %s, want at most %s", what, took, limit)
	}
}

// awaitMissed waits until the Announcer tells of dropped hints or of a new connection.
func awaitMissed(t testing.TB, a *Announcer) {
	t.Helper()
	select {
	case <-a.Missed():
	case <-time.After(30 * time.Second):
		t.Fatalf("nothing was missed: %s", a.State())
	}
}
