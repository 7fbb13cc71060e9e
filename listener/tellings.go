package listener

import (
	"context"
	"sync"
	"time"

	"lightspeed/api"
	"lightspeed/event"
	"lightspeed/notify"
)

// tellingWait is how long a call waits at admin for a run that is to be told.
const tellingWait = 30 * time.Second

// tellForOthers tells of runs whose own listener is gone, of this listener's name, while the newest config names
// somebody to tell, until stop is called. Where admin does not know of such, it ends by itself.
func (l *Listener) tellForOthers() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	page := l.page // it belongs to the goroutine that claims
	var telling sync.WaitGroup
	telling.Go(func() {
		pause := backoff{last: lastWait}
		for ctx.Err() == nil {
			err := l.tellNext(ctx, page)
			switch {
			case final(err):
				l.log.Debug("does not tell of runs whose listener is gone", "err", err)
				return
			case err != nil:
				pause.wait(ctx)
			default:
				pause.reset()
			}
		}
	})
	return func() {
		cancel()
		telling.Wait()
	}
}

// tellNext waits for one such run and tells of it. That it cannot be asked for now is said by others, who have more
// to ask.
func (l *Listener) tellNext(ctx context.Context, page string) error {
	newest := l.newest.Load()
	asking, done := newest.within(ctx)
	defer done()
	if !newest.config.Tells() {
		<-asking.Done()
		return nil
	}
	t, err := l.opt.Admin.NextTelling(asking, l.name, l.journal.Instance(), tellingWait)
	if asking.Err() != nil && t == nil {
		return nil // there is another config
	}
	if err != nil || t == nil {
		return err
	}
	newest.audience.Tell(l.storyOf(*t, page))
	l.log.Info("tells of a run whose listener is gone", "run", t.Run.ID, "attempt", t.Run.Attempt, "delivery", t.Run.Delivery, "status", t.Run.Status)
	return l.opt.Admin.Told(ctx, t.Run.ID) // else it comes again, which does no harm
}

// storyOf is what is told of a run that has ended without its listener.
func (l *Listener) storyOf(t api.Telling, page string) notify.Notice {
	e, _ := event.Parse(event.Delivery{ID: t.Delivery.ID, Event: t.Delivery.Event, ContentType: t.Delivery.ContentType, Body: t.Payload})
	r := t.Run
	n := about(l.name, page, r, r.Attempt, e, t.Memos)
	n.State, n.ExitCode = r.Status, r.ExitCode
	if r.Reason != nil {
		n.Reason = *r.Reason
	}
	if r.StartedAt != nil {
		n.StartedAt = *r.StartedAt
	}
	if r.FinishedAt != nil {
		n.FinishedAt = *r.FinishedAt
	}
	if len(r.Attempts) > 0 {
		last := r.Attempts[len(r.Attempts)-1]
		n.Host, n.Step = last.Host, failedStep(last.Steps)
	}
	return n
}
