package hooks

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"time"

	"lightspeed/api"
	"lightspeed/event"
	"lightspeed/fault"
	"lightspeed/hooks/spool"
)

const (
	firstWait = 500 * time.Millisecond // after a first failure; doubled after each that follows …
	longWait  = 30 * time.Second       // … up to this
)

// Run hands admin what waits in the spool: in order, one at a time, for ever, until ctx ends or Close is
// called. It may run once at a time.
func (s *Server) Run(ctx context.Context) error {
	done, err := s.start()
	if err != nil {
		return err
	}
	defer close(done)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.stopped, cancel)()
	if stats := s.spool.Stats(); stats.Deliveries > 0 {
		s.log.Info("deliveries wait in the spool from before", "waiting", stats.Deliveries, "oldest", stats.Oldest.UTC())
	}
	s.forwardAll(ctx)
	return nil
}

func (s *Server) start() (done chan struct{}, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped.Err() != nil {
		return nil, errors.New("hooks is closed")
	}
	if s.running != nil {
		select {
		case <-s.running:
		default:
			return nil, errors.New("hooks forwards already")
		}
	}
	s.running = make(chan struct{})
	return s.running, nil
}

func (s *Server) forwardAll(ctx context.Context) {
	trouble := trouble{log: s.log}
	failures := 0
	for ctx.Err() == nil {
		next, waiting := s.spool.Next()
		if !waiting {
			trouble.over()
			wait(ctx, nil, s.spool.Added())
			continue
		}
		err := s.forward(ctx, next, &trouble)
		if ctx.Err() != nil {
			return // what was cut short stays in the spool
		}
		if err == nil {
			failures = 0
			continue
		}
		trouble.begins(err, s.spool.Stats())
		wait(ctx, time.After(backoff(failures)), nil)
		failures++
	}
}

// forward hands over one delivery. Nil: it has left the spool, and the next may go.
func (s *Server) forward(ctx context.Context, e spool.Entry, trouble *trouble) error {
	free, err := s.roomToForward(ctx, e.Bytes)
	if err != nil {
		return err
	}
	defer free()
	d, err := s.spool.Read(e)
	if errors.Is(err, spool.ErrDamaged) {
		return nil // it was logged, and the file is kept
	}
	if err != nil {
		return err
	}
	receipt, err := s.deliver(ctx, d, forwardLimit(len(d.Body)))
	if err != nil && isFinal(err) {
		return s.setAside(e, d, err)
	}
	if err != nil {
		return err
	}
	fault.Point("hooks.forwarded")
	trouble.passed()
	s.note(d, receipt.Status, "runs", receipt.RunIDs(), "spooled_for", time.Since(d.ReceivedAt).Round(time.Millisecond).String())
	if err := s.spool.Done(e); err != nil {
		s.log.Error("a delivery that admin has cannot be removed from the spool: it will be handed in once more, and count once",
			"delivery", d.ID, "error", err)
	}
	return nil
}

func (s *Server) setAside(e spool.Entry, d event.Delivery, why error) error {
	path, err := s.spool.Refuse(e)
	if err != nil {
		return err
	}
	s.log.Error("admin refused a delivery from the spool: it is kept aside", "delivery", d.ID, "event", d.Event,
		"bytes", len(d.Body), "file", path, "error", why)
	return nil
}

// roomToForward keeps a large delivery from the spool within what all large bodies may take.
func (s *Server) roomToForward(ctx context.Context, bytes int64) (free func(), err error) {
	if bytes <= largeBody {
		return func() {}, nil
	}
	g := s.large.enter(nil)
	if err := g.take(ctx, bytes); err != nil {
		return nil, err
	}
	return g.leave, nil
}

// forwardLimit is how long admin may take for a delivery from the spool, where nobody waits for the answer: a
// large one must get through a thin line, too, of 128 KB a second.
func forwardLimit(bytes int) time.Duration {
	return 15*time.Second + time.Duration(bytes)*time.Second/(128<<10)
}

func backoff(failures int) time.Duration {
	d := min(firstWait<<min(failures, 10), longWait)
	return max(firstWait, d-rand.N(d/5))
}

// wait returns when ctx ends or one of the channels, which may be nil, yields.
func wait(ctx context.Context, timer <-chan time.Time, added <-chan struct{}) {
	select {
	case <-ctx.Done():
	case <-timer:
	case <-added:
	}
}

// trouble logs when forwarding begins to fail, when it fails for another reason, and when the spool is empty
// again: not every attempt between.
type trouble struct {
	log       *slog.Logger
	since     time.Time // zero: there is none
	kind      string
	forwarded int
}

func (t *trouble) begins(err error, stats spool.Stats) {
	kind, hint := diagnose(err)
	if t.kind == kind {
		return
	}
	if t.since.IsZero() {
		t.since = time.Now()
	}
	t.kind = kind
	t.log.Error("deliveries wait in the spool: "+kind, "waiting", stats.Deliveries, "error", err, "hint", hint)
}

func (t *trouble) passed() {
	if !t.since.IsZero() {
		t.forwarded++
	}
}

func (t *trouble) over() {
	if t.since.IsZero() {
		return
	}
	t.log.Info("the spool is empty again", "forwarded", t.forwarded, "after", time.Since(t.since).Round(time.Millisecond).String())
	*t = trouble{log: t.log}
}

// diagnose says in plain words what keeps a delivery from being taken, and what to do about it.
func diagnose(err error) (kind, hint string) {
	var refused *api.Error
	if !errors.As(err, &refused) {
		var away *api.UnreachableError
		if errors.As(err, &away) || errors.Is(err, context.DeadlineExceeded) {
			return "admin does not answer", "start admin, or set --admin to its address; they are handed in when it answers"
		}
		return "they cannot be handed on", "see the error; they are tried again"
	}
	switch {
	case refused.Status == http.StatusUnauthorized || refused.Status == http.StatusForbidden:
		return "admin does not accept hooks' token", "give hooks with --token one of admin's --hooks-token"
	case refused.Status >= 500 || refused.Status == http.StatusTooManyRequests:
		return "admin cannot take them now", "see admin's log; they are tried again"
	}
	return fmt.Sprintf("admin's address answers %d", refused.Status), "set --admin to the address of lightspeed admin, with http or https as admin serves it"
}
