package admin

import (
	"context"
	"errors"
	"net/http"
	"time"

	"lightspeed/admin/store"
	"lightspeed/api"
	"lightspeed/event"
	"lightspeed/run"
)

// maxReplayed bounds how many listeners a replay may name.
const maxReplayed = 1000

// postReplay runs a stored delivery again.
func (s *Server) postReplay(w http.ResponseWriter, r *http.Request) error {
	q := readQuery(r, "dry_run")
	dry := q.flag("dry_run")
	if q.err != nil {
		return q.err
	}
	var body api.Replay
	if err := readOrder(w, r, &body); err != nil {
		return err
	}
	if len(body.Listeners) > maxReplayed {
		return badRequest("listeners names %d, more than %d", len(body.Listeners), maxReplayed)
	}
	receipt, err := s.replay(r.Context(), r.PathValue("id"), body.Listeners, dry)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusAccepted, receipt)
}

// replay queues runs of a stored delivery for the listeners named, or for all, whose rules hold now.
func (s *Server) replay(ctx context.Context, id string, names []string, dry bool) (api.Receipt, error) {
	receipt := api.Receipt{Delivery: id, Status: api.Accepted, Runs: []api.RunRef{}, Skipped: []api.Skipped{}, DryRun: dry}
	d, err := s.store.Stored(ctx, id)
	if err != nil {
		return receipt, err
	}
	e, err := event.Parse(d.Delivery)
	if err != nil {
		return receipt, err
	}
	if e.Ignored != "" {
		receipt.Status, receipt.Why = api.Ignored, e.Ignored
		return receipt, nil
	}
	for {
		decided, err := s.decideAgain(ctx, id, e, names)
		if err != nil {
			return receipt, err
		}
		receipt.Skipped, receipt.SkippedMore = decided.skipped, decided.more
		if dry {
			receipt.Runs = wouldRun(decided.matched)
			return receipt, nil
		}
		receipt.Runs, err = s.store.RunAgain(ctx, store.Again{
			Delivery: id, Event: e, Generation: decided.generation, Matched: decided.matched, Cause: run.ByReplay,
		})
		if err == nil {
			s.noteAsked(ctx, "replay", "delivery", id, "runs", receipt.RunIDs())
		}
		if !errors.Is(err, store.ErrRulesChanged) {
			return receipt, err
		}
	}
}

// wouldRun names the listeners of a dry run: there are no runs, so their ids are empty.
func wouldRun(matched []store.Matched) []api.RunRef {
	refs := []api.RunRef{}
	for _, m := range matched {
		refs = append(refs, api.RunRef{Listener: m.Listener})
	}
	return refs
}

// decideAgain decides about a stored delivery by the rules of now, for the listeners named or for all.
func (s *Server) decideAgain(ctx context.Context, id string, e event.Event, names []string) (decided, error) {
	if len(names) == 0 {
		return s.rules.decide(ctx, e)
	}
	generation, err := s.rules.update(ctx)
	d := decided{generation: generation, skipped: []api.Skipped{}}
	if err != nil {
		return d, err
	}
	seen := map[string]bool{}
	for _, name := range names {
		own, ok := s.rules.listener(name)
		if !ok {
			return d, api.Errorf(http.StatusNotFound, api.NotFound, "there is no listener %q", shorten(name, 100))
		}
		if seen[name] {
			continue
		}
		seen[name] = true
		if verdict := own.verdict(id, e); verdict.Matched {
			d.matched = append(d.matched, own.matched)
		} else if len(d.skipped) < api.MaxSkipped {
			d.skipped = append(d.skipped, skippedOf(name, verdict))
		} else {
			d.more++
		}
	}
	return d, nil
}

// postRetry makes a new run of the same delivery and listener, when the listener's rules still hold.
func (s *Server) postRetry(w http.ResponseWriter, r *http.Request) error {
	if err := s.readPlain(w, r, &struct{}{}); err != nil {
		return err
	}
	id, err := s.retry(r.Context(), runID(r))
	if err != nil {
		return err
	}
	return s.answerRun(w, r, http.StatusAccepted, id)
}

func (s *Server) retry(ctx context.Context, id string) (string, error) {
	old, err := s.store.Run(ctx, id)
	if err != nil {
		return "", err
	}
	d, err := s.store.Stored(ctx, old.Delivery)
	if err != nil {
		return "", err
	}
	e, err := event.Parse(d.Delivery)
	if err != nil {
		return "", err
	}
	for {
		decided, err := s.decideAgain(ctx, old.Delivery, e, []string{old.Listener})
		if err != nil {
			return "", err
		}
		if len(decided.matched) == 0 {
			return "", api.Errorf(http.StatusConflict, api.Conflict, "listener %q no longer matches: %s", old.Listener, decided.skipped[0].Why)
		}
		refs, err := s.store.RunAgain(ctx, store.Again{
			Delivery: old.Delivery, Event: e, Generation: decided.generation, Matched: decided.matched, Cause: run.ByRetry, RetryOf: id,
		})
		if err == nil {
			s.noteAsked(ctx, "retry", "run", refs[0].ID, "retry_of", id, "delivery", old.Delivery, "listener", old.Listener)
			return refs[0].ID, nil
		}
		if !errors.Is(err, store.ErrRulesChanged) {
			return "", err
		}
	}
}

// postTrigger starts a listener by hand. Its other rules are not asked: whoever does so means this listener,
// on this ref. That it is about the repository is asked, here and by the listener itself.
func (s *Server) postTrigger(w http.ResponseWriter, r *http.Request) error {
	if q := readQuery(r); q.err != nil {
		return q.err
	}
	name, err := listenerName(r)
	if err != nil {
		return err
	}
	var t api.Trigger
	if err := readOrder(w, r, &t); err != nil {
		return err
	}
	receipt, err := s.trigger(r.Context(), name, t)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusAccepted, receipt)
}

func (s *Server) trigger(ctx context.Context, name string, t api.Trigger) (api.Receipt, error) {
	a, err := triggerOf(t)
	if err != nil {
		return api.Receipt{}, err
	}
	receipt, err := s.acceptFor(ctx, name, a, "is not about this repository")
	if err == nil {
		s.noteAsked(ctx, "trigger", "delivery", receipt.Delivery, "listener", name)
	}
	return receipt, err
}

// acceptFor stores a delivery that was made for one listener, and queues its run. When that one's rules do not hold,
// refused says of it what that means, and nothing is stored.
func (s *Server) acceptFor(ctx context.Context, name string, a store.Acceptance, refused string) (receipt api.Receipt, err error) {
	for {
		if a.Generation, err = s.rules.update(ctx); err != nil {
			return receipt, err
		}
		own, ok := s.rules.listener(name)
		if !ok {
			return receipt, api.Errorf(http.StatusNotFound, api.NotFound, "there is no listener %q", name)
		}
		if d := own.verdict(a.Delivery.ID, a.Event); !d.Matched {
			return receipt, api.Errorf(http.StatusConflict, api.Conflict, "listener %q %s: %s", name, refused, d.Why)
		}
		a.Matched = []store.Matched{own.matched}
		receipt, err = s.store.Accept(ctx, a)
		if err == nil {
			s.noteAccepted(a, receipt)
		}
		if !errors.Is(err, store.ErrRulesChanged) {
			return receipt, err
		}
	}
}

// triggerOf makes the delivery that a trigger stands for.
func triggerOf(t api.Trigger) (store.Acceptance, error) {
	id := store.NewID()
	body, err := event.MakePush(event.PushSpec{Repo: t.Repo, Branch: t.Branch, Tag: t.Tag, SHA: t.SHA, Message: "started by hand", Nonce: id})
	if err != nil {
		return store.Acceptance{}, badRequest("%v", err)
	}
	d := event.Delivery{ID: api.TriggerPrefix + id, Event: event.Push, ContentType: "application/json", ReceivedAt: time.Now().UTC(), Body: body}
	e, err := event.Parse(d)
	if err != nil {
		return store.Acceptance{}, badRequest("%v", err)
	}
	if e.Deleted {
		return store.Acceptance{}, badRequest("sha is all zeros: there is no commit to run")
	}
	return store.Acceptance{Delivery: d, Event: e, Status: api.Accepted, Trigger: true}, nil
}
