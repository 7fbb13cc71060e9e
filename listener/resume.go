package listener

import (
	"context"
	"fmt"
	"sync"

	"lightspeed/fault"
	"lightspeed/listener/journal"
	"lightspeed/listener/process"
	"lightspeed/run"
)

// resume settles what an earlier process of this listener has left, before any new work is taken: its
// processes are ended, admin is told what is held, and then how each of it ended.
func (l *Listener) resume(ctx, reporting context.Context) error {
	held := l.journal.Held()
	l.endLeftovers(ctx, held)
	l.workspaces.clear()
	if err := l.register(ctx); err != nil || !l.registered {
		return err
	}
	var reports sync.WaitGroup
	for _, entry := range held {
		a := l.newAttempt(entry, l.newest.Load())
		l.reports.Add(1)
		reports.Go(func() {
			defer l.reports.Done()
			a.recall()
			a.tellEnd()
			ship := newShipment(a)
			ship.resume(reporting)
			a.report(reporting, ship)
		})
	}
	reported := make(chan struct{})
	go func() {
		reports.Wait()
		close(reported)
	}()
	select {
	case <-reported:
	case <-ctx.Done():
	}
	return nil
}

// endLeftovers ends what still runs of attempts that were cut off, all at the same time.
func (l *Listener) endLeftovers(ctx context.Context, held []*journal.Entry) {
	var ends sync.WaitGroup
	for _, entry := range held {
		a := l.newAttempt(entry, l.newest.Load())
		if entry.Result() != nil {
			a.log.Info("run ended before this listener was ended; it is reported now")
			entry.Log.Close()
			continue
		}
		if ended := entry.Ended(); ended != nil {
			ends.Go(func() { a.keepOn(*ended) })
			continue
		}
		ends.Go(func() { a.cutOff(ctx) })
	}
	ends.Wait()
}

// cutOff settles an attempt whose listener was ended while it ran.
func (a *attempt) cutOff(ctx context.Context) {
	a.log.Warn("run was cut off: this listener was ended while it ran; what still runs of it is ended now")
	marks := facts{run: a.ref.Run, attempt: a.ref.Attempt}.marks()
	leader := process.ID(a.entry.Process())
	rest := process.Leftovers{Marks: marks, Cgroup: a.entry.Name(), Leader: leader}.End(ctx, a.edition.config.Grace)
	fault.Point("listener.leftovers.ended")
	line := "lightspeed: the listener was ended while this ran\n"
	if !a.entry.Log.BeginsLine() {
		line = "\n" + line
	}
	if rest.Ended > 0 {
		a.log.Warn("ended what a cut-off run had left running", "processes", rest.Ended)
		line += fmt.Sprintf("lightspeed: %s still running, and %s ended\n", processes(rest.Ended), wereOrWas(rest.Ended))
	}
	for _, pid := range rest.Stuck {
		a.log.Error("process of a cut-off run could not be ended", "pid", pid)
		line += fmt.Sprintf("lightspeed: process %d could not be ended\n", pid)
	}
	a.cutSteps(a.entry.Log.Position())
	_, _ = a.entry.Log.Write([]byte(line))
	a.settle(Outcome{Status: run.Lost, Reason: "the listener was ended while it ran; what became of it is not known"})
}

// keepOn settles an attempt whose commands had ended when its listener was: what it had not copied of what is to be kept
// may still be where the run has left it. It comes before workspaces are cleared.
func (a *attempt) keepOn(ended journal.Ended) {
	a.log.Info("run's commands had ended before this listener was ended; goes on with its artifacts")
	say := func(line string) {
		line = "lightspeed: artifacts: " + a.edition.mask.String(line) + "\n"
		if !a.entry.Log.BeginsLine() {
			line = "\n" + line
		}
		_, _ = a.entry.Log.Write([]byte(line))
	}
	if !a.entry.Collected() {
		a.collect(ended.Root, ended.Patterns, say)
	}
	a.settle(Outcome{Status: ended.Finish.Status, Reason: ended.Finish.Reason, ExitCode: ended.Finish.ExitCode})
}

// cutSteps notes where the output of the step ended that was cut off.
func (a *attempt) cutSteps(at int64) {
	steps := a.entry.Steps()
	for i := range steps {
		if steps[i].Status == run.Running {
			steps[i].LogEnd = &at
		}
	}
}
