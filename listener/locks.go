package listener

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"lightspeed/api"
	"lightspeed/listener/config"
	"lightspeed/listener/lock"
)

// lockPatience is how long a listener that was told of work waits for the machine's locks, before somebody else may
// have that work.
const lockPatience = time.Minute

// locks are those that each run of a config holds.
func locks(c config.Config) []lock.Lock {
	var list []lock.Lock
	if c.Lock != "" {
		list = append(list, lock.Named(c.Lock))
	}
	if c.LockFile != "" {
		list = append(list, lock.File(c.LockFile))
	}
	return list
}

// folder is the lock of the folder that runs of a config use, one at a time or all those that may share it; nil when each has
// one of its own. A listener has no two at work at once that may not share it; the lock is against another process that runs
// the same listener on this machine, and against runs that were claimed before the config was changed.
func folder(c config.Config) *lock.Lock {
	if c.Checkout != nil {
		return nil
	}
	sum := sha256.Sum256([]byte(c.Rules.Name + "\x00" + c.Cwd))
	l := lock.Named("folder-" + hex.EncodeToString(sum[:10]))
	if c.ShareCwd {
		l = l.Shared()
	}
	return &l
}

// checkLocks refuses locks that could never be taken. That of the folder is not asked for by anyone: without it the
// listener works all the same.
func checkLocks(c config.Config) error {
	for _, l := range locks(c) {
		if err := l.Check(); err != nil {
			return fmt.Errorf("%v of listener %q: %w", l, c.Rules.Name, err)
		}
	}
	return nil
}

// ask asks admin for the queue's next run, and waits for it. With machine locks it first waits for a run that could
// be claimed, then for the locks, and claims only then: meanwhile another machine may have the run. Locks are held
// from then on until admin has answered that there is nothing, since an answer that was lost may have granted a run.
func (l *Listener) ask(ctx context.Context, q *question, wait time.Duration) (*api.Claim, error) {
	if len(q.by.locks) == 0 {
		return l.claim(ctx, q, wait)
	}
	if l.held == nil {
		if l.hints.held == nil {
			if work, err := l.admin.Look(ctx, l.name, l.claimRequest(q), wait); err != nil || !work {
				return nil, err
			}
		}
		if err := l.takeLocks(ctx, q.by.locks); l.held == nil {
			l.hints.giveBack()
			return nil, err
		}
	}
	claim, err := l.claim(ctx, q, 0)
	if claim == nil && err == nil {
		l.freeLocks()
	}
	return claim, err
}

// takeLocks waits for the machine's locks, at most for lockPatience. It registers meanwhile: that is how admin knows
// that the listener is there. Neither locks nor an error: they were not to be had in time.
func (l *Listener) takeLocks(ctx context.Context, locks []lock.Lock) error {
	begun := time.Now()
	defer func() { l.waiting = nil }()
	for ctx.Err() == nil && !l.outdated && time.Since(begun) < lockPatience {
		short, cancel := context.WithTimeout(ctx, l.lease/3)
		held, err := lock.Take(short, locks, l.sayBusy)
		cancel()
		switch {
		case err == nil:
			l.held = held
			if l.saidBusy {
				l.log.Info("has the machine's locks", "waited", time.Since(begun).Round(time.Millisecond))
			}
			l.saidBusy = false
			return nil
		case !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled):
			l.log.Error("machine's lock cannot be taken", "err", err)
			sleep(ctx, l.lease/3)
		}
		if err := l.register(ctx); err != nil {
			return err
		}
	}
	return nil
}

// sayBusy says once that a run waits for a lock; the next registration says it, too.
func (l *Listener) sayBusy(busy lock.Lock, pid int) {
	if !l.saidBusy {
		l.log.Info("there is work, and it waits for "+busy.String(), heldBy(pid))
	}
	l.saidBusy = true
	if l.waiting == nil || l.waiting.Lock != busy.Kind() {
		l.waiting = &api.LockWait{Lock: busy.Kind(), Since: time.Now().UTC()}
	}
	l.waiting.HeldBy = pid
}

func heldBy(pid int) slog.Attr {
	if pid == 0 {
		return slog.String("held_by", "another process")
	}
	return slog.String("held_by", fmt.Sprintf("process %d", pid))
}

// freeLocks lets go of the locks that were taken for a claim.
func (l *Listener) freeLocks() {
	l.held.Release()
	l.held = nil
}

// takeFolder waits until nobody runs this listener in the same folder who does not share it, and says in the log that it does.
// Without a lock it goes on.
func (e *edition) takeFolder(ctx context.Context, out io.Writer, log *slog.Logger) *lock.Held {
	if e.folder == nil {
		return nil
	}
	held, err := lock.Take(ctx, []lock.Lock{*e.folder}, func(_ lock.Lock, pid int) {
		log.Info("run waits for another one of this listener in the same folder", heldBy(pid))
		fmt.Fprintln(out, "lightspeed: waits for another run of this listener in the same folder")
	})
	if err != nil && ctx.Err() == nil {
		log.Warn("run's folder cannot be locked: it is not known whether another process runs this listener there", "err", err)
	}
	return held
}

// takeAll waits for all locks of a config, and says so.
func takeAll(ctx context.Context, c config.Config, log *slog.Logger) (*lock.Held, error) {
	all := locks(c)
	if l := folder(c); l != nil {
		all = append(all, *l)
	}
	return lock.Take(ctx, all, func(busy lock.Lock, pid int) {
		log.Warn("waits for "+busy.String(), heldBy(pid))
	})
}
