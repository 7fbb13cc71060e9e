package admin

import (
	"context"
	"net/http"
	"slices"
	"time"

	"lightspeed/admin/store"
	"lightspeed/api"
	"lightspeed/event"
	"lightspeed/fault"
	"lightspeed/redelivery"
)

// Sender is one of GitHub's webhooks.
type Sender interface {
	Name() string
	Kept() time.Duration // for so long GitHub knows what it has sent
	Sent(ctx context.Context, since time.Time) ([]redelivery.Attempt, error)
	Resend(ctx context.Context, attempt int64) error
}

const (
	recoverOverlap = 10 * time.Minute // that a list may be behind what was sent
	recoverAgain   = 10 * time.Minute // without a sign that GitHub has tried
	recoverTries   = 10               // times that GitHub is asked for one delivery
	arrivalLimit   = 30 * time.Second // for what was asked for to come in
	arrivalLook    = 50 * time.Millisecond
	recoverLimit   = 15 * time.Minute // of one round
)

// recoverLoop asks GitHub for what was missed, from time to time.
func (s *Server) recoverLoop(ctx context.Context) {
	ticker := time.NewTicker(s.opt.RecoverEvery)
	defer ticker.Stop()
	for {
		found, err := s.recover(ctx, false)
		s.report(err, "recovering deliveries")
		for _, h := range found.Hooks {
			if h.Error != nil {
				s.log.Warn("deliveries could not all be recovered; it is tried again", "hook", h.Hook, "missing", len(h.Missing), "asked", h.Asked, "err", *h.Error)
			} else if h.Asked > 0 {
				s.log.Info("deliveries were recovered", "hook", h.Hook, "asked", h.Asked)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// recover looks at what each hook has sent since the last round, and asks for what admin has not, the oldest first.
func (s *Server) recover(ctx context.Context, dry bool) (api.Gaps, error) {
	out := api.Gaps{DryRun: dry, Hooks: []api.HookGaps{}, Unsent: []string{}}
	select {
	case s.recovering <- struct{}{}:
		defer func() { <-s.recovering }()
	case <-ctx.Done():
		return out, ctx.Err()
	}
	ctx, cancel := context.WithTimeout(ctx, recoverLimit)
	defer cancel()
	for _, hook := range s.opt.Senders {
		found, err := s.recoverHook(ctx, hook, dry)
		if err != nil {
			return out, err
		}
		out.Hooks = append(out.Hooks, found)
	}
	return out, nil
}

// recoverHook is a round for one hook. What goes wrong at GitHub is in the answer; the next round begins where
// everything was settled.
func (s *Server) recoverHook(ctx context.Context, hook Sender, dry bool) (api.HookGaps, error) {
	begun := time.Now().UTC()
	since, err := s.store.RecoveredUntil(ctx, hook.Name())
	if err != nil {
		return api.HookGaps{}, err
	}
	if oldest := begun.Add(-hook.Kept()); since.Before(oldest) {
		since = oldest
	}
	found, lost, err := s.gapsOf(ctx, hook, since)
	if err != nil || dry || found.Error != nil {
		return found, err
	}
	settled := true
	for i, one := range lost {
		now, later := due(one.Attempt, one.asked)
		if settled = settled && !later; !now {
			continue
		}
		if err := s.askAgain(ctx, hook, one.Attempt); err != nil {
			text := err.Error()
			found.Error = &text
			return found, nil
		}
		found.Missing[i].Asked = true
		found.Asked++
	}
	if !settled {
		return found, nil
	}
	return found, s.store.SetRecovered(ctx, hook.Name(), begun.Add(-recoverOverlap))
}

// lostDelivery is the newest attempt at a delivery that admin has not, and when it was asked for.
type lostDelivery struct {
	redelivery.Attempt
	asked store.Asked
}

// gapsOf lists what a hook sent since a moment and admin has not, the oldest first: the newest attempt of each.
func (s *Server) gapsOf(ctx context.Context, hook Sender, since time.Time) (api.HookGaps, []lostDelivery, error) {
	found := api.HookGaps{Hook: hook.Name(), Since: since, Missing: []api.Missing{}}
	sent, err := hook.Sent(ctx, since)
	if err != nil {
		text := err.Error()
		found.Error = &text
		return found, nil, nil
	}
	newest := newestAttempts(sent)
	found.Sent = len(newest)
	var lost []lostDelivery
	for _, one := range newest {
		known, err := s.store.Knows(ctx, one.GUID)
		if err != nil {
			return found, nil, err
		}
		if known {
			continue
		}
		asked, err := s.store.AskedFor(ctx, one.GUID)
		if err != nil {
			return found, nil, err
		}
		lost = append(lost, lostDelivery{one, asked})
		found.Missing = append(found.Missing, api.Missing{Delivery: one.GUID, Event: one.Event, Action: one.Action, SentAt: one.At,
			Status: one.Status, Code: one.Code, Asked: asked.Times > 0})
	}
	return found, lost, nil
}

// newestAttempts groups attempts by delivery, and leaves the newest of each, the delivery that was sent first at the
// front. Pings are never stored, so that none is missed.
func newestAttempts(sent []redelivery.Attempt) []redelivery.Attempt {
	type delivery struct {
		first  time.Time
		newest redelivery.Attempt
	}
	by := map[string]*delivery{}
	var order []*delivery
	for _, one := range sent {
		if one.Event == event.Ping {
			continue
		}
		known := by[one.GUID]
		if known == nil {
			known = &delivery{first: one.At, newest: one}
			by[one.GUID], order = known, append(order, known)
		}
		if one.At.Before(known.first) {
			known.first = one.At
		}
		if one.At.After(known.newest.At) {
			known.newest = one
		}
	}
	slices.Reverse(order) // GitHub lists the newest first: of those of one second the order is kept
	slices.SortStableFunc(order, func(a, b *delivery) int { return a.first.Compare(b.first) })
	list := make([]redelivery.Attempt, len(order))
	for i, one := range order {
		list[i] = one.newest
	}
	return list
}

// askAgain asks for one delivery and waits until it has come in, so that the next does not overtake it. It is noted
// after GitHub has agreed: a crash between the two asks twice, and what comes twice counts once.
func (s *Server) askAgain(ctx context.Context, hook Sender, one redelivery.Attempt) error {
	at := time.Now().UTC()
	if err := hook.Resend(ctx, one.ID); err != nil {
		return err
	}
	fault.Point("admin.recovering")
	if err := s.store.Ask(ctx, hook.Name(), one.GUID, at); err != nil {
		return err
	}
	s.log.Info("GitHub was asked for a delivery again", "delivery", one.GUID, "event", one.Event, "hook", hook.Name(), "sent_at", one.At)
	return s.awaitDelivery(ctx, one)
}

// due says whether a delivery that is missing is to be asked for now, and whether it may still be later. What was
// answered with 2xx may wait in the spool of hooks, or be known by its body: it is asked for once. What was asked for
// before is asked for again when GitHub has tried since and failed, or has not tried for long.
func due(one redelivery.Attempt, asked store.Asked) (now, later bool) {
	switch {
	case asked.Times == 0:
		return true, false
	case one.OK || asked.Times >= recoverTries:
		return false, false
	case one.At.After(asked.At) || time.Since(asked.At) > recoverAgain:
		return true, false
	}
	return false, true
}

// awaitDelivery waits for a delivery that was asked for. One whose body admin has under another id never comes.
func (s *Server) awaitDelivery(ctx context.Context, one redelivery.Attempt) error {
	ctx, cancel := context.WithTimeoutCause(ctx, s.arrival, errNotArrived)
	defer cancel()
	ticker := time.NewTicker(arrivalLook)
	defer ticker.Stop()
	for {
		known, err := s.store.Knows(ctx, one.GUID)
		if known || (err != nil && ctx.Err() == nil) {
			return err
		}
		select {
		case <-ctx.Done():
			if one.OK {
				return nil
			}
			return context.Cause(ctx)
		case <-ticker.C:
		}
	}
}

// errNotArrived ends a round: hooks is away, or GitHub is slow, and what comes later must not be asked for first.
var errNotArrived = unavailable("what GitHub was asked for has not come in: is hooks reachable?")

// postRecover has a round done now, or with dry_run=1 says what it would ask for.
func (s *Server) postRecover(w http.ResponseWriter, r *http.Request) error {
	q := readQuery(r, "dry_run")
	dry := q.flag("dry_run")
	if q.err != nil {
		return q.err
	}
	if err := s.haveSenders(); err != nil {
		return err
	}
	ctx, done := s.longCall(w, r)
	defer done()
	found, err := s.recover(ctx, dry)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, found)
}

// getGaps compares all that GitHub still knows with what admin has, in both directions.
func (s *Server) getGaps(w http.ResponseWriter, r *http.Request) error {
	if q := readQuery(r); q.err != nil {
		return q.err
	}
	if err := s.haveSenders(); err != nil {
		return err
	}
	ctx, done := s.longCall(w, r)
	defer done()
	found, err := s.gaps(ctx)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, found)
}

func (s *Server) gaps(ctx context.Context) (api.Gaps, error) {
	now := time.Now().UTC()
	var known time.Duration // for so long all of them know what they sent
	out := api.Gaps{Hooks: []api.HookGaps{}, Unsent: []string{}}
	sent := map[string]bool{}
	for i, hook := range s.opt.Senders {
		if known = min(known, hook.Kept()); i == 0 {
			known = hook.Kept()
		}
		found, _, err := s.gapsOf(ctx, noting{hook, sent}, now.Add(-hook.Kept()))
		if err != nil {
			return out, err
		}
		out.Hooks = append(out.Hooks, found)
	}
	if slices.ContainsFunc(out.Hooks, func(h api.HookGaps) bool { return h.Error != nil }) {
		return out, nil // what was not listed cannot be said to be missing there
	}
	received, err := s.store.ReceivedSince(ctx, now.Add(recoverOverlap-known), maxCompared)
	for _, id := range received {
		if !sent[id] && len(out.Unsent) < api.MaxLimit {
			out.Unsent = append(out.Unsent, id)
		}
	}
	return out, err
}

// maxCompared bounds how many of admin's deliveries are compared with what GitHub sent.
const maxCompared = 100_000

// noting is a Sender whose list is remembered.
type noting struct {
	Sender
	sent map[string]bool
}

func (n noting) Sent(ctx context.Context, since time.Time) ([]redelivery.Attempt, error) {
	list, err := n.Sender.Sent(ctx, since)
	for _, one := range list {
		n.sent[one.GUID] = true
	}
	return list, err
}

// longCall is the context of a call that takes longer than a server's limit for reading requests, whose end would
// otherwise look as if the caller had gone.
func (s *Server) longCall(w http.ResponseWriter, r *http.Request) (context.Context, func()) {
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
	return s.untilStop(r.Context())
}

func (s *Server) haveSenders() error {
	if len(s.opt.Senders) == 0 {
		return conflict("admin knows no hook of GitHub's: start it with --recover")
	}
	return nil
}
