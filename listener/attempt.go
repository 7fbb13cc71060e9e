package listener

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"lightspeed/api"
	"lightspeed/event"
	"lightspeed/fault"
	"lightspeed/listener/config"
	"lightspeed/listener/journal"
	"lightspeed/listener/lock"
	"lightspeed/listener/process"
	"lightspeed/notify"
	"lightspeed/run"
)

// attempt is one attempt of one run, from its journal entry to admin's answer that its end is known.
type attempt struct {
	l       *Listener
	edition *edition // that it was claimed by
	ref     run.Ref
	entry   *journal.Entry
	log     *slog.Logger
	story   notify.Notice // what people are told of it, but for how it stands
	begun   sync.Once     // they were told that it runs
	claimed time.Time     // when begin had it

	over     atomic.Bool // admin takes nothing of it any more
	ending   atomic.Bool // its end is being reported: that a renewal is refused says nothing now
	locks    *lock.Held  // of the machine, until the commands are done
	progress *progress   // nil for one that an earlier process has run

	renewed atomic.Int64 // when the last renewal that was answered was asked for, in nanoseconds of the process
	cancel  context.CancelCauseFunc
}

// begin writes a claimed run down and starts it. It reports false when it cannot be written down: then nothing
// is started, the run is given back, and no other is asked for before the journal can be written.
func (l *Listener) begin(ctx, reporting context.Context, claim *api.Claim, by *edition) bool {
	claimed := time.Now()
	d := event.Delivery{ID: claim.Delivery.ID, Event: claim.Delivery.Event, ContentType: claim.Delivery.ContentType, Body: claim.Payload}.AsJSON()
	claim.Delivery.ContentType, claim.Payload = d.ContentType, d.Body
	e, unreadable := event.Parse(d)
	files := filesList(e)
	entry, err := l.journal.Begin(*claim, files, by.config.MaxLog)
	if err != nil {
		l.log.Error("run is not started: it cannot be written down", "run", claim.Run.ID, "attempt", claim.Attempt, "delivery", claim.Delivery.ID, "err", err)
		l.giveBack(ctx, claim, "the listener could not write its journal")
		l.freeLocks()
		l.awaitDisk(ctx)
		return false
	}
	fault.Point("listener.journaled")
	a := l.newAttempt(entry, by)
	a.claimed = claimed
	a.story = l.story(entry.Claim(), e, time.Now().UTC())
	a.progress = newProgress(by.config.Exec)
	a.progress.mark = entry.Log.Mark
	a.locks, l.held = l.held, nil
	f := facts{
		run: claim.Run.ID, attempt: claim.Attempt, listener: l.name, event: e, delivery: claim.Delivery, payload: entry.PayloadFile(),
	}
	if files != nil {
		f.files = entry.FilesFile()
	}
	wrong := by.refuse(claim, e, unreadable)
	working, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	a.cancel = cancel
	l.mu.Lock()
	l.running[a.ref] = a
	l.mu.Unlock()
	l.works.Add(1)
	l.reports.Add(1)
	go a.live(working, reporting, time.Duration(max(claim.LeaseS, 1))*time.Second, f, wrong)
	return true
}

func (l *Listener) newAttempt(entry *journal.Entry, by *edition) *attempt {
	ref := entry.Ref()
	return &attempt{l: l, edition: by, ref: ref, entry: entry, log: l.log.With("run", ref.Run, "attempt", ref.Attempt, "delivery", entry.Claim().Delivery.ID)}
}

// refuse checks a run against the listener's own rules: admin does not decide what this machine runs. It
// returns why not, or nothing. Whoever triggers a listener means that one, so that only the repository counts.
func (e *edition) refuse(claim *api.Claim, what event.Event, unreadable error) string {
	if unreadable != nil {
		return "the delivery cannot be read: " + unreadable.Error()
	}
	d := e.rules.Match(what)
	byHand := claim.Run.Cause == run.ByTrigger || strings.HasPrefix(claim.Delivery.ID, api.TriggerPrefix)
	if d.Matched || byHand && d.RepoHeld() {
		return ""
	}
	return "this listener's own rules do not hold: " + d.Why
}

// awaitDisk waits until the journal can be written.
func (l *Listener) awaitDisk(ctx context.Context) {
	pause := backoff{last: lastWait}
	for pause.wait(ctx) {
		if l.journal.Probe() == nil {
			l.log.Info("journal can be written again")
			return
		}
	}
}

// live is the whole life of an attempt. It keeps its slot until admin has its end, so that a listener whose
// admin is away does not take on more than it can report.
func (a *attempt) live(working, reporting context.Context, lease time.Duration, f facts, wrong string) {
	defer a.l.reports.Done()
	defer a.l.slots.free()

	done := make(chan struct{})
	ship := newShipment(a)
	var shipping sync.WaitGroup
	a.entry.Log.Begins(func() { shipping.Go(func() { ship.follow(reporting, done) }) })
	begun := time.Now()
	stopRenewing := later(reporting, min(settleDown, lease/10), func(ctx context.Context) { a.keepLease(ctx, begun, lease) })
	defer stopRenewing()
	stopTelling := later(reporting, firstSteps, a.tellSteps)

	a.settle(a.work(working, lease, f, wrong))
	stopTelling()
	close(done)
	a.tellEnd()
	shipping.Wait()
	a.report(reporting, ship)
}

// later does something in a while, until ctx ends or stop is called, which returns when it is not done any more. Most
// runs are over before.
func later(ctx context.Context, while time.Duration, do func(context.Context)) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	timer := time.AfterFunc(while, func() {
		defer close(done)
		do(ctx)
	})
	return func() {
		cancel()
		if !timer.Stop() {
			<-done
		}
	}
}

// work runs the commands, and returns when nothing of them is left.
func (a *attempt) work(ctx context.Context, lease time.Duration, f facts, wrong string) Outcome {
	defer a.l.works.Done()
	defer a.locks.Release()
	defer func() {
		a.l.mu.Lock()
		delete(a.l.running, a.ref)
		a.l.mu.Unlock()
		a.cancel(nil)
	}()
	if wrong != "" {
		return Outcome{Status: run.Errored, Reason: wrong}
	}
	if err := a.stillOurs(ctx, lease); err != nil {
		a.log.Warn("run is not started: admin does not say that it is still this listener's", "err", err)
		return Outcome{Status: run.NotStarted, Reason: "admin did not say in time that it was still this listener's"}
	}
	if why := a.learnFiles(ctx, &f); why != "" {
		return Outcome{Status: run.Cancelled, Reason: "not for this listener, as what the pull request changes shows: " + why}
	}
	defer a.edition.takeFolder(ctx, a.entry.Log, a.log).Release()
	a.log.Info("run started", "event", f.delivery.Event, "repo", f.event.Repo, "ref", f.event.Ref)
	return job{
		config: a.edition.config, facts: f, out: a.entry.Log, log: a.log, orphanGrace: a.orphanGrace(lease), cgroup: a.entry.Name(),
		mask: a.edition.mask, keep: a.keep, workspaces: a.l.workspaces, progress: a.progress, at: a.entry.Log.Position,
		started: func(id process.ID) {
			fault.Point("listener.started")
			a.l.opt.Metrics.started(a.l.name, a.claimed)
			if err := a.entry.SetStarted(journal.Process(id), a.progress.steps()); err != nil {
				a.log.Warn("journal could not note the run's process", "err", err)
			}
			a.tellStart()
		},
	}.run(ctx)
}

// orphanGrace is how long the commands get after SIGTERM when this listener is killed, and another may be given
// the run when the lease is over; 0 when they just go on. At the kill two thirds of the lease may be left.
func (a *attempt) orphanGrace(lease time.Duration) time.Duration {
	if a.edition.config.OnLost != config.Requeue {
		return 0
	}
	return max(min(a.edition.config.Grace, lease/3), time.Millisecond)
}

// stop ends the commands. Only the first reason counts.
func (a *attempt) stop(why *stop) { a.cancel(why) }

// settle closes the log, and writes down how the attempt ended.
func (a *attempt) settle(o Outcome) {
	fault.Point("listener.ended")
	a.entry.Log.Close()
	size, _ := a.entry.Log.Size()
	f := api.Finish{
		Status: o.Status, Reason: o.Reason, ExitCode: o.ExitCode, LogBytes: size, LogCut: a.entry.Log.Cut(),
		Steps: placed(run.CutOff(a.steps()), a.entry.Log.Offset),
	}
	if err := a.entry.SetResult(f); err != nil {
		a.log.Error("journal could not note how the run ended; it is reported all the same", "err", err)
	}
	fault.Point("listener.settled")
	a.l.opt.Metrics.ended(a.l.name, o)
	a.log.Info("run ended", "status", o.Status, "reason", o.Reason, "log_bytes", size)
}

// report hands in what is missing of the log and how the attempt ended, until admin has it. The log may
// have to be handed in anew: an admin that lost power may have less than it had.
func (a *attempt) report(ctx context.Context, ship *shipment) {
	a.ending.Store(true)
	a.handIn(ctx, func(string) {}) // the log has ended
	for !a.over.Load() {
		f := *a.entry.Result()
		f.LogBytes = min(f.LogBytes, ship.limit)
		fault.Point("listener.finishing")
		var done api.Finished
		err := a.l.admin.try(ctx, a.log, "reporting the run's end", func(ctx context.Context) (err error) {
			done, err = a.l.opt.Admin.Finish(ctx, a.ref, f)
			return err
		})
		var refused *api.Error
		switch {
		case err == nil:
			fault.Point("listener.finished")
			a.tellLost(done)
			a.l.journal.Remove(a.entry)
			return
		case errors.As(err, &refused) && refused.Code == api.LogIncomplete && refused.Offset < ship.limit:
			ship.offset = refused.Offset
			ship.rest(ctx)
		case final(err):
			a.giveUp(err)
		default:
			a.log.Warn("run's result stays in the journal; it is reported when this listener starts again", "status", f.Status)
			return
		}
	}
	a.l.journal.Remove(a.entry)
}

// giveUp notes that admin takes nothing more of the attempt. When that is because another has begun, or may,
// the commands are ended.
func (a *attempt) giveUp(err error) {
	if !a.over.Swap(true) {
		a.log.Warn("admin takes nothing more of this attempt; what it did is dropped", "err", err)
	}
	if a.cancel != nil && api.IsCode(err, api.AttemptOver) {
		a.stop(&stop{status: run.Lost, reason: "admin has given this attempt up"})
	}
}
