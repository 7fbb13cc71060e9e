package admin

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"lightspeed/admin/store"
	"lightspeed/broker"
)

// hints tells a broker of queues that have work: at most as many hints as runs wait and slots are free. It
// remembers how many it has sent and nobody has used yet; the reconciler sets that right from what the broker
// itself counts. A nil *hints is an admin without a broker.
type hints struct {
	announcer broker.Announcer
	log       *slog.Logger

	mu    sync.Mutex
	sent  map[string]int      // by queue: hints that nobody has used yet, as far as is known
	dirty map[string]struct{} // queues that are to be declared or removed
	bad   map[string]struct{} // queues that the broker refuses, or gives no answer about
	wake  chan struct{}
}

// reconcilePause is how often the reconciler looks at queues that have work.
const reconcilePause = 15 * time.Second

// redeclarePause is how often all queues are declared: one that someone has deleted at the broker while no run
// waits for it comes back so.
const redeclarePause = 5 * time.Minute

// missedPause keeps hints that are dropped one after the other from being counted anew each time.
const missedPause = 200 * time.Millisecond

// declarePatience is how long a registration waits for the broker to make a queue.
const declarePatience = 2 * time.Second

func newHints(a broker.Announcer, log *slog.Logger) *hints {
	return &hints{announcer: a, log: log, sent: map[string]int{}, dirty: map[string]struct{}{}, bad: map[string]struct{}{}, wake: make(chan struct{}, 1)}
}

// broker names what a queue's hints are sent through, for listeners to compare with their own; empty while none
// can be sent, so that they ask by themselves.
func (h *hints) broker(queue string) string {
	if h == nil {
		return ""
	}
	h.mu.Lock()
	_, bad := h.bad[queue]
	h.mu.Unlock()
	if state := h.announcer.State(); state.Up && !bad {
		return state.Broker
	}
	return ""
}

// check says for /readyz how the broker is reached.
func (h *hints) check() string {
	if state := h.announcer.State(); !state.Up {
		return state.String()
	}
	return "ok"
}

// work is told by the store, in the writer's goroutine, which runs could start now.
func (h *hints) work(list []store.Work) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, w := range list {
		for _, id := range w.Runs[min(h.sent[w.Queue], len(w.Runs)):] {
			h.announcer.Announce(broker.Hint{Queue: w.Queue, Run: id})
			h.sent[w.Queue]++
		}
	}
}

// used notes a claim that a hint may have led to. Whatever it is answered, that hint is gone; when work is
// left, the claim's own transaction announces it again.
func (h *hints) used(queue string) {
	if h == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.sent[queue]--; h.sent[queue] <= 0 {
		delete(h.sent, queue)
	}
}

// registered declares the queue of a listener that has just started, before that is told of the broker: it would
// not find its queue else, say so, and ask by itself for a while.
func (h *hints) registered(ctx context.Context, queue string) {
	if h == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, declarePatience)
	defer cancel()
	_, err := h.announcer.Declare(ctx, queue)
	_ = h.about(queue, err)
	h.changed(queue) // afterwards: should it be removed meanwhile, its queue is, too
}

// changed notes that a listener was registered or removed. Outdated instances may sit on hints that they may
// not use: what is sent is counted anew.
func (h *hints) changed(queue string) {
	if h == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.dirty[queue] = struct{}{}
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

// run declares queues and reconciles until ctx ends.
func (h *hints) run(ctx context.Context, s *store.Store) {
	pause := time.NewTicker(reconcilePause)
	defer pause.Stop()
	redeclare := time.NewTicker(redeclarePause)
	defer redeclare.Stop()
	link := time.Time{}
	for all := true; ; {
		h.note(h.reconcile(ctx, s, all))
		select {
		case <-ctx.Done():
			return
		case <-h.announcer.Missed():
			since := h.announcer.State().Since
			all, link = !since.Equal(link), since // behind a new link may be a new broker, without our queues
			if !rest(ctx, missedPause) {
				return
			}
		case <-h.wake:
			all = false
		case <-pause.C:
			all = false
		case <-redeclare.C:
			all = true
		}
	}
}

// rest reports false when ctx ends before the time is over.
func rest(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

// note logs what the announcer does not log itself.
func (h *hints) note(err error) {
	var down *broker.DownError
	if err == nil || errors.As(err, &down) || errors.Is(err, context.Canceled) || errors.Is(err, broker.ErrClosed) || errors.Is(err, store.ErrClosed) {
		return
	}
	h.log.Error("reconciling hints failed", "err", err)
}

// reconcile declares the queues that have changed, or all of them, and counts anew what waits in those that
// have work.
func (h *hints) reconcile(ctx context.Context, s *store.Store, all bool) error {
	changed := h.takeDirty() // first: who registers after the list was read is in the next round's
	known, err := s.Queues(ctx)
	if err != nil {
		h.giveBackDirty(changed)
		return err
	}
	listed := make(map[string]bool, len(known))
	for _, name := range known {
		listed[name] = true
	}
	if err := h.declare(ctx, known, listed, changed, all); err != nil {
		h.giveBackDirty(changed)
		return err
	}
	waiting, err := s.WaitingQueues(ctx)
	for _, name := range waiting {
		if err == nil {
			err = h.recount(ctx, s, name)
		}
	}
	return err
}

func (h *hints) declare(ctx context.Context, known []string, listed map[string]bool, changed map[string]struct{}, all bool) error {
	for name := range changed {
		if listed[name] {
			continue
		}
		if err := h.about(name, h.announcer.Forget(ctx, name)); err != nil {
			return err
		}
	}
	for _, name := range known {
		if _, own := changed[name]; !own && !all {
			continue
		}
		_, err := h.announcer.Declare(ctx, name)
		if err := h.about(name, err); err != nil {
			return err
		}
	}
	return nil
}

// about takes note of how a call about one queue ended. An error that concerns this queue alone, which the
// announcer has logged, holds up no other: the queue stays dirty, and its listeners are told of no broker.
func (h *hints) about(queue string, err error) error {
	var down *broker.DownError
	alone := errors.As(err, &down) && h.announcer.State().Up
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case alone:
		h.bad[queue], h.dirty[queue] = struct{}{}, struct{}{}
		return nil
	case err == nil:
		delete(h.bad, queue)
	}
	return err
}

// recount asks the broker how many hints wait in a queue, and sends what is missing.
func (h *hints) recount(ctx context.Context, s *store.Store, name string) error {
	waiting, err := h.announcer.Declare(ctx, name)
	if err != nil {
		return h.about(name, err)
	}
	h.mu.Lock()
	if waiting > 0 {
		h.sent[name] = waiting
	} else {
		delete(h.sent, name)
	}
	h.mu.Unlock()
	return s.Nudge(ctx, name)
}

func (h *hints) takeDirty() map[string]struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	taken := h.dirty
	h.dirty = map[string]struct{}{}
	return taken
}

// giveBackDirty keeps what could not be done, for the next time.
func (h *hints) giveBackDirty(names map[string]struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for name := range names {
		h.dirty[name] = struct{}{}
	}
}
