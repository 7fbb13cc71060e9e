package admin

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"

	"lightspeed/admin/store"
	"lightspeed/api"
	"lightspeed/event"
	"lightspeed/match"
)

// rules are all listeners' newest rules, compiled. They follow the store when somebody asks, so that a
// thousand registrations in a row cost no more than one. Decisions are checked against the store's generation
// when they are used: a set that changes while it is asked does no harm.
type rules struct {
	store *store.Store
	log   *slog.Logger

	updating   sync.Mutex
	generation atomic.Int64
	set        match.Set

	mu   sync.RWMutex
	byID map[string]ruled
}

// ruled is a listener's place among the rules.
type ruled struct {
	matched store.Matched
	matcher *match.Matcher // nil: this version cannot compile its rules
}

func newRules(s *store.Store, log *slog.Logger) *rules {
	r := &rules{store: s, log: log, byID: map[string]ruled{}}
	r.generation.Store(-1)
	return r
}

// update takes over what has changed in the store, and returns the generation that then holds.
func (r *rules) update(ctx context.Context) (int64, error) {
	if g := r.generation.Load(); g == r.store.Generation() {
		return g, nil
	}
	r.updating.Lock()
	defer r.updating.Unlock()
	known := r.generation.Load()
	if known == r.store.Generation() {
		return known, nil
	}
	changes, generation, err := r.store.CurrentRules(ctx, max(0, known))
	if err != nil {
		return 0, err
	}
	for _, c := range changes {
		r.apply(c)
	}
	r.generation.Store(generation)
	return generation, nil
}

func (r *rules) apply(c store.Rules) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c.Settings == nil {
		delete(r.byID, c.Listener)
		r.set.Remove(c.Listener)
		return
	}
	own := ruled{matched: matchedOf(c)}
	matcher, err := match.Compile(c.Settings.Rules)
	if err != nil {
		r.log.Error("a listener's rules cannot be read: it matches nothing until it registers again", "listener", c.Listener, "err", err)
		r.set.Remove(c.Listener)
	} else {
		own.matcher = matcher
		r.set.Put(c.Listener, matcher)
	}
	r.byID[c.Listener] = own
}

func matchedOf(c store.Rules) store.Matched {
	return store.Matched{Listener: c.Listener, WhenBusy: c.Settings.WhenBusy, MatchID: c.MatchID, MaxWaitS: c.Settings.MaxWaitS}
}

// listener returns a listener's rules as they are since the last update.
func (r *rules) listener(name string) (ruled, bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	own, ok := r.byID[name]
	return own, ok
}

// decided is what the rules of one generation say of an event.
type decided struct {
	generation int64
	matched    []store.Matched
	skipped    []api.Skipped // at most api.MaxSkipped
	more       int
}

// decide asks all listeners. Of an event that nothing can be run by none is asked.
func (r *rules) decide(ctx context.Context, e event.Event) (decided, error) {
	generation, err := r.update(ctx)
	d := decided{generation: generation, skipped: []api.Skipped{}}
	if err != nil || e.Ignored != "" {
		return d, err
	}
	verdict := r.set.Decide(e)
	for _, name := range verdict.Matched {
		if own, ok := r.listener(name); ok {
			d.matched = append(d.matched, own.matched)
		}
	}
	for _, s := range verdict.Skipped[:min(len(verdict.Skipped), api.MaxSkipped)] {
		d.skipped = append(d.skipped, skippedOf(s.Name, s.Decision))
	}
	d.more = len(verdict.Skipped) - len(d.skipped)
	return d, nil
}

func skippedOf(name string, d match.Decision) api.Skipped {
	return api.Skipped{Listener: name, Rule: d.Rule, Saw: d.Saw, Want: d.Want, Why: d.Why}
}

// verdict asks one listener about a stored delivery: all its rules, or only the one about the repository when
// the delivery was made for it by hand.
func (own ruled) verdict(delivery string, e event.Event) match.Decision {
	if own.matcher == nil {
		return match.Decision{Rule: "rules", Why: "rules: this version of admin cannot read them"}
	}
	d := own.matcher.Match(e)
	if strings.HasPrefix(delivery, api.TriggerPrefix) && d.RepoHeld() {
		return match.Decision{Matched: true}
	}
	return d
}
