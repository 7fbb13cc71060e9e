package listener

import (
	"context"
	"fmt"
	"sync"
	"time"

	"lightspeed/api"
	"lightspeed/fault"
	"lightspeed/listener/config"
	"lightspeed/run"
)

// settleDown is how long the first renewal is put off: the lease has just begun, the commands come first, and
// many runs need none.
const settleDown = 100 * time.Millisecond

// keepLease renews the lease of an attempt that has begun then, until ctx ends, and ends the commands when admin asks
// for it, or when admin may start the run elsewhere.
func (a *attempt) keepLease(ctx context.Context, begun time.Time, lease time.Duration) {
	requeue := a.edition.config.OnLost == config.Requeue
	if requeue {
		watching, stop := context.WithCancel(ctx)
		var watch sync.WaitGroup
		watch.Go(func() { a.watch(watching, begun, lease) })
		defer watch.Wait()
		defer stop()
	}
	pause, said := backoff{last: lease / 10}, trouble{log: a.log, what: "renewing the lease"}
	wait := lease / 3
	for ctx.Err() == nil && !a.over.Load() {
		asked := time.Now()
		cancel, err := a.renew(ctx, wait, lease)
		switch {
		case ctx.Err() != nil:
			return
		case final(err):
			if !a.ending.Load() {
				a.giveUp(err)
			}
			return
		}
		a.l.admin.heard(err)
		said.heard(err)
		if err != nil {
			pause.wait(ctx)
			continue
		}
		pause.reset()
		fault.Point("listener.renewed")
		if requeue && a.silent(begun) >= patience(lease) {
			a.yield(lease) // too late, as after a machine's sleep: another may have the run by now
			return
		}
		a.renewed.Store(int64(asked.Sub(begun)))
		if cancel != nil {
			a.stop(&stop{status: run.Cancelled, reason: cancelled(*cancel)})
			wait = 0 // that there is a cancel is known
		}
		sleep(ctx, lease/3-time.Since(asked))
	}
}

// renew asks once. An answer that does not come must not take so long that the lease runs out.
func (a *attempt) renew(ctx context.Context, wait, lease time.Duration) (*api.Cancel, error) {
	ctx, stop := context.WithTimeout(ctx, wait+lease/6)
	defer stop()
	answer, err := a.l.opt.Admin.Renew(ctx, a.ref, wait)
	return answer.Cancel, err
}

// stillOurs asks admin once more for an attempt that may be started elsewhere, before it is started here: the
// answer to its claim may have come after its lease was over. An error says that it must not be started.
func (a *attempt) stillOurs(ctx context.Context, lease time.Duration) error {
	if a.edition.config.OnLost != config.Requeue {
		return nil
	}
	ctx, stop := context.WithTimeout(ctx, lease/3)
	defer stop()
	return a.l.admin.try(ctx, a.log, "asking whether the run is still this listener's", func(ctx context.Context) error {
		_, err := a.renew(ctx, 0, lease)
		return err
	})
}

func cancelled(c api.Cancel) string {
	reason := "cancelled"
	if c.By != "" {
		reason += " by " + c.By
	}
	if c.Why != "" {
		reason += ": " + c.Why
	}
	return reason
}

// patience is how long an attempt that may be started elsewhere goes on without an answer: 25/30 of the lease.
func patience(lease time.Duration) time.Duration { return lease * 25 / 30 }

// silent is how long ago the last renewal was asked for that was answered.
func (a *attempt) silent(begun time.Time) time.Duration {
	return time.Since(begun) - time.Duration(a.renewed.Load())
}

// watch ends the commands when renewals are not answered.
func (a *attempt) watch(ctx context.Context, begun time.Time, lease time.Duration) {
	for {
		left := patience(lease) - a.silent(begun)
		if left <= 0 {
			a.yield(lease)
			return
		}
		if !sleep(ctx, left) {
			return
		}
	}
}

// yield ends the commands: after 30/30 of the lease admin may start the run elsewhere, and it must not run
// twice. SIGKILL comes within the time that is left, whatever the grace.
func (a *attempt) yield(lease time.Duration) {
	a.stop(&stop{
		status: run.Lost, grace: lease * 2 / 30, hasty: true,
		reason: fmt.Sprintf("no renewal was answered for %v, and on_lost is requeue: ended here, since it may be started elsewhere", patience(lease)),
	})
}
