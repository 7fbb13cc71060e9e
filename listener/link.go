package listener

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"lightspeed/api"
)

// Waits between two tries, doubled from the first to the last.
const (
	firstWait = 200 * time.Millisecond
	lastWait  = 5 * time.Second
)

// link is the way to admin. All calls share it, so that "waits for admin" is said once and not by each.
type link struct {
	*api.Client
	log     *slog.Logger
	metrics *Metrics

	mu    sync.Mutex
	since time.Time // when admin went away; zero while it is there
}

func newLink(c *api.Client, log *slog.Logger, m *Metrics) *link {
	return &link{Client: c, log: log, metrics: m}
}

// heard notes how a call ended.
func (l *link) heard(err error) {
	var unreachable *api.UnreachableError
	away := errors.As(err, &unreachable)
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case away && l.since.IsZero():
		l.since = time.Now()
		l.log.Warn("waits for admin at "+l.Base(), "err", unreachable.Err)
	case !away && !l.since.IsZero():
		l.log.Info("admin is back at "+l.Base(), "away", time.Since(l.since).Round(time.Millisecond))
		l.since = time.Time{}
		l.metrics.reconnected()
	}
}

// final reports whether admin itself has refused, for good. Something else that answers at its address, such as
// a proxy whose admin is away, cannot.
func final(err error) bool {
	return err != nil && (!api.Temporary(err) || api.IsCode(err, api.Full)) && !api.IsCode(err, api.Unavailable)
}

// trouble says once that admin refuses something for now, and once that it goes well again. That admin does not
// answer at all is said by the link.
type trouble struct {
	log  *slog.Logger
	what string
	bad  bool
}

func (t *trouble) heard(err error) {
	var answer *api.Error
	switch {
	case err == nil && t.bad:
		t.bad = false
		t.log.Info(t.what + " goes well again")
	case errors.As(err, &answer) && !final(err) && !t.bad:
		t.bad = true
		t.log.Warn(t.what+" is refused by admin; it is tried again and again", "code", answer.Code, "err", answer)
	}
}

// try makes one call after the other until one is answered for good, and returns that answer's error; or the
// context's cause, when it ends first.
func (l *link) try(ctx context.Context, log *slog.Logger, what string, call func(context.Context) error) error {
	pause, said := backoff{last: lastWait}, trouble{log: log, what: what}
	for {
		err := call(ctx)
		if ctx.Err() != nil && err != nil {
			return context.Cause(ctx)
		}
		l.heard(err)
		said.heard(err)
		if err == nil || final(err) {
			return err
		}
		if !pause.wait(ctx) {
			return context.Cause(ctx)
		}
	}
}

// backoff paces tries.
type backoff struct {
	last time.Duration // the longest wait
	next time.Duration
}

// wait waits before the next try, and reports false when ctx ends first.
func (b *backoff) wait(ctx context.Context) bool {
	b.next = min(max(2*b.next, firstWait), b.last)
	// Spread, so that many listeners do not all come back at once.
	return sleep(ctx, b.next-time.Duration(rand.Int64N(int64(b.next)/5+1)))
}

func (b *backoff) reset() { b.next = 0 }

// sleep reports false when ctx ends before the time is over.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
