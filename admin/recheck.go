package admin

import (
	"context"
	"errors"
	"time"

	"lightspeed/admin/store"
	"lightspeed/event"
	"lightspeed/fault"
)

// recheckLoop matches runs that wait again after their listener's rules have changed.
func (s *Server) recheckLoop(ctx context.Context) {
	var retry <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.store.Rechecks():
		case <-retry:
		}
		retry = nil
		if err := s.recheckAll(ctx); err != nil {
			s.report(err, "matching runs again")
			retry = time.After(recheckPause)
		}
	}
}

func (s *Server) recheckAll(ctx context.Context) error {
	names, err := s.store.StaleListeners(ctx)
	for _, name := range names {
		if err != nil {
			break
		}
		err = s.recheck(ctx, name)
	}
	return err
}

// recheckPause is how long a failed check waits before it is tried again.
const recheckPause = 5 * time.Second

// recheckBatch is how many runs one transaction judges.
const recheckBatch = 100

// recheck matches the runs that wait for a listener by its newest rules. When those change again, or a run
// comes back to the queue, it begins anew.
func (s *Server) recheck(ctx context.Context, name string) error {
	for ctx.Err() == nil {
		if _, err := s.rules.update(ctx); err != nil {
			return err
		}
		own, known := s.rules.listener(name)
		err := s.recheckBy(ctx, name, own, known)
		if err != nil && !errors.Is(err, store.ErrRulesChanged) {
			return err
		}
		if err != nil {
			continue
		}
		done, err := s.store.Judged(ctx, name, own.matched.MatchID)
		if done || (err != nil && !errors.Is(err, store.ErrRulesChanged)) {
			return err
		}
	}
	return ctx.Err()
}

func (s *Server) recheckBy(ctx context.Context, name string, own ruled, known bool) error {
	var last *store.StaleRun
	for ctx.Err() == nil {
		batch, err := s.store.Stale(ctx, name, own.matched.MatchID, last, recheckBatch)
		if err != nil || len(batch) == 0 {
			return err
		}
		verdicts := make([]store.Verdict, len(batch))
		for i, r := range batch {
			verdicts[i].Run = r
			if verdicts[i].Reason, err = s.whyNoMore(ctx, r, name, own, known); err != nil {
				return err
			}
		}
		if err := s.store.Judge(ctx, name, own.matched.MatchID, verdicts); err != nil {
			return err
		}
		fault.Point("admin.judged")
		last = &batch[len(batch)-1]
	}
	return ctx.Err()
}

// whyNoMore returns why a run that waits is not to be started any more, or nothing.
func (s *Server) whyNoMore(ctx context.Context, r store.StaleRun, name string, own ruled, known bool) (string, error) {
	if !known {
		return "listener " + name + " was removed", nil
	}
	d, err := s.store.Stored(ctx, r.Delivery)
	if err != nil {
		return "", err
	}
	e, err := event.Parse(d.Delivery)
	if err != nil {
		return "its delivery cannot be read: " + err.Error(), nil
	}
	if verdict := own.verdict(r.Delivery, e); !verdict.Matched {
		return "the listener's rules have changed and no longer match: " + verdict.Why, nil
	}
	return "", nil
}
