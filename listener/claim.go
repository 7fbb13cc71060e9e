package listener

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"lightspeed/api"
	"lightspeed/fault"
	"lightspeed/run"
)

const (
	// claimWait is how long a claim waits at admin.
	claimWait = 30 * time.Second

	// promptly is how soon an answer that there is nothing comes too soon: asking again at once would be a storm.
	promptly = time.Second

	// leaveTimeout bounds the last calls about a claim that a stop has cut short.
	leaveTimeout = 2 * time.Second
)

// work claims runs and starts them, whenever a slot is free, until ctx ends or admin refuses the listener.
// Registering and claiming are done by this goroutine alone: while a claim is under way no registration can say
// that its run is not held.
func (l *Listener) work(ctx, reporting context.Context) error {
	for {
		if took, err := l.takeSlot(ctx); !took {
			return err
		}
		claim, by, err := l.next(ctx)
		if claim == nil {
			l.freeLocks()
			l.slots.free()
			return err
		}
		if !l.begin(ctx, reporting, claim, by) {
			l.freeLocks()
			l.slots.free()
		}
	}
}

// takeSlot waits for a free slot, and meanwhile tells admin of each changed config. It reports false when ctx ends
// or admin refuses the listener.
func (l *Listener) takeSlot(ctx context.Context) (bool, error) {
	for ctx.Err() == nil {
		if l.newest.Load() != l.known {
			if err := l.register(ctx); err != nil {
				return false, err
			}
			continue
		}
		waiting, done := l.known.within(ctx)
		took := l.slots.take(waiting)
		done()
		if took {
			return true, nil
		}
	}
	return false, nil
}

// question is what admin is asked for work by: the same key gets the same run. It belongs to an edition of the config,
// which runs what is granted for it.
type question struct {
	key string
	by  *edition

	// unanswered: an answer that was lost may have granted a run, and so the same is asked again. Once there is
	// a newer edition, admin answers such a question with that run, or that it is outdated.
	unanswered bool
}

// next returns the queue's next run, and by which edition of the config; nil when ctx ends or admin refuses the
// listener.
func (l *Listener) next(ctx context.Context) (*api.Claim, *edition, error) {
	pause, said := backoff{last: lastWait}, trouble{log: l.log, what: "asking for work"}
	q := &question{}
	for ctx.Err() == nil {
		may, err := l.mayClaim(ctx)
		if err != nil {
			return nil, nil, err
		}
		if !may {
			continue
		}
		if !q.unanswered {
			q = &question{key: rand.Text(), by: l.known}
		}
		asked := time.Now()
		claim, wait, err := l.askOnce(ctx, q)
		if ctx.Err() != nil {
			l.giveBackCut(q) // also a run that is here: a listener that is told to stop takes nothing new
			break
		}
		if claim != nil {
			fault.Point("listener.claimed")
			l.hints.use()
			l.admin.heard(nil)
			return claim, q.by, nil
		}
		if q.unanswered = err != nil; q.unanswered {
			l.hints.giveBack()
		}
		if err != nil && q.by.over.Err() != nil && errors.Is(err, context.Canceled) {
			continue // cut short for a changed config
		}
		l.admin.heard(err)
		said.heard(err)
		switch {
		case err == nil:
			l.hints.use()
			if wait == 0 || time.Since(asked) >= promptly {
				pause.reset()
				continue
			}
		case api.IsCode(err, api.Outdated):
			q.unanswered = false // nothing was granted, or that would have been the answer
			l.freeLocks()
			if q.by == l.known {
				l.setOutdated(true)
			}
			continue
		case api.IsCode(err, api.NotRegistered), !final(err):
			// Who comes back may be an admin that has never heard of us. And registering is answered at
			// once, a claim maybe not for long: so it is known, and said, that admin is back.
			l.registered = false
		case final(err):
			return nil, nil, fmt.Errorf("admin at %s refuses to give listener %s work: %w", l.admin.Base(), l.name, err)
		}
		pause.wait(ctx)
	}
	l.hints.giveBack()
	return nil, nil, nil
}

// askOnce asks, when that is due, and returns how long the question was to wait at admin. It is cut short when a newer
// config is there.
func (l *Listener) askOnce(ctx context.Context, q *question) (*api.Claim, time.Duration, error) {
	if q.by != l.known {
		claim, err := l.ask(ctx, q, 0)
		return claim, 0, err
	}
	ctx, done := q.by.within(ctx)
	defer done()
	wait := l.longestClaim()
	if !q.unanswered {
		wait = l.await(ctx)
	}
	if ctx.Err() != nil { // nothing was asked
		l.hints.giveBack()
		return nil, 0, nil
	}
	claim, err := l.ask(ctx, q, wait)
	return claim, wait, err
}

// mayClaim registers where that is due. While this config is not the newest it waits, and reports false.
func (l *Listener) mayClaim(ctx context.Context) (bool, error) {
	if !l.registered || l.newest.Load() != l.known {
		if err := l.register(ctx); err != nil {
			return false, err
		}
	}
	if l.outdated {
		waiting, done := l.known.within(ctx)
		sleep(waiting, l.lease/3)
		done()
		l.registered = false // the next answer says whether it still is
	}
	return l.registered, nil
}

// longestClaim is how long a claim may wait at admin that no hint led to: not at all where there is a broker, since
// nobody would listen to that meanwhile.
func (l *Listener) longestClaim() time.Duration {
	if l.hints.slot == nil {
		return claimWait
	}
	return 0
}

// await waits until a claim is due, and returns how long that may wait at admin: not at all where hints come.
// Where hints come, or should, the registration is repeated now and then: it is how admin knows that the
// listener is there, and how the listener knows admin's broker. A claim without a hint follows, for one that was lost.
func (l *Listener) await(ctx context.Context) time.Duration {
	if l.hints.slot == nil {
		return claimWait
	}
	if !l.hints.await(ctx, l.lease/3) {
		l.registered = false
		return l.lease / 3
	}
	if l.hints.held == nil {
		l.registered = false
	}
	return 0
}

func (l *Listener) claim(ctx context.Context, q *question, wait time.Duration) (*api.Claim, error) {
	return l.admin.Claim(ctx, l.name, l.claimRequest(q), wait)
}

func (l *Listener) claimRequest(q *question) api.ClaimRequest {
	return api.ClaimRequest{Instance: l.journal.Instance(), Start: l.start, Revision: q.by.revision, Key: q.key}
}

// giveBackCut asks once more about a claim that a stop has cut short: admin may have granted it just then, and
// the run would count as ours until its lease is over.
func (l *Listener) giveBackCut(q *question) {
	ctx, cancel := context.WithTimeout(context.Background(), leaveTimeout)
	defer cancel()
	claim, err := l.claim(ctx, q, 0)
	if err == nil && claim != nil {
		l.giveBack(ctx, claim, "the listener was stopped before it started")
	}
}

// giveBack puts a run back into the queue that has not been started here. When admin cannot be told, the next
// registration does not name it, to the same end.
func (l *Listener) giveBack(ctx context.Context, claim *api.Claim, why string) {
	ref := run.Ref{Run: claim.Run.ID, Attempt: claim.Attempt}
	log := l.log.With("run", ref.Run, "attempt", ref.Attempt, "delivery", claim.Delivery.ID)
	err := l.admin.try(ctx, log, "giving a run back", func(ctx context.Context) error {
		_, err := l.opt.Admin.Finish(ctx, ref, api.Finish{Status: run.NotStarted, Reason: why})
		return err
	})
	if err != nil {
		log.Warn("run was not started, and admin could not be told", "why", why, "err", err)
		return
	}
	log.Info("run was given back: " + why)
}
