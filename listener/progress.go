package listener

import (
	"context"
	"slices"
	"sync"
	"time"

	"lightspeed/listener/config"
	"lightspeed/run"
)

// progress is how far the steps of a run have come, for whoever wants to know while they run. Places in the log
// are what the run's `at` says.
type progress struct {
	changed chan struct{}                  // gets a value when there is something new to list
	mark    func(position int64, step int) // is told where in the output a step, or none, begins; may be nil

	mu   sync.Mutex
	list []run.Step
}

func newProgress(steps []config.Step) *progress {
	p := &progress{changed: make(chan struct{}, 1)}
	for i, s := range steps {
		p.list = append(p.list, run.Step{Step: i + 1, Name: s.Name, Status: run.Queued})
	}
	return p
}

// change edits one step.
func (p *progress) change(i int, edit func(*run.Step)) {
	p.mu.Lock()
	edit(&p.list[i])
	p.mu.Unlock()
	p.again()
}

// again has the steps listed once more.
func (p *progress) again() {
	select {
	case p.changed <- struct{}{}:
	default:
	}
}

// begin notes that a step starts, and where its output will begin.
func (p *progress) begin(i int, at int64) {
	now := time.Now().UTC()
	p.enter(at, i+1)
	p.change(i, func(s *run.Step) { s.Status, s.StartedAt, s.LogOffset = run.Running, &now, &at })
}

// end notes how a step ended, and where its output ends.
func (p *progress) end(i int, o Outcome, at int64) {
	now := time.Now().UTC()
	p.enter(at, 0)
	p.change(i, func(s *run.Step) { s.Status, s.ExitCode, s.FinishedAt, s.LogEnd = o.Status, o.ExitCode, &now, &at })
}

// enter says to which step the output belongs from now on.
func (p *progress) enter(at int64, step int) {
	if p.mark != nil {
		p.mark(at, step)
	}
}

func (p *progress) skip(i int) { p.change(i, func(s *run.Step) { s.Status = run.Skipped }) }

// steps returns the steps as they stand now.
func (p *progress) steps() []run.Step {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.list)
}

// placed returns steps with their places in the log turned by offset.
func placed(steps []run.Step, offset func(int64) int64) []run.Step {
	turned := slices.Clone(steps)
	for i := range turned {
		for _, place := range []**int64{&turned[i].LogOffset, &turned[i].LogEnd} {
			if *place != nil {
				at := offset(**place)
				*place = &at
			}
		}
	}
	return turned
}

// steps is how far the steps have come, or had when an earlier process was ended.
func (a *attempt) steps() []run.Step {
	if a.progress == nil {
		return a.entry.Steps()
	}
	return a.progress.steps()
}

// Steps are told to admin while they run: the first time when a run is not over at once, and then as they change,
// but not more often than this. A run that is shorter costs no call: the report of its end tells them.
const (
	firstSteps  = 300 * time.Millisecond
	stepsPeriod = time.Second
)

// tellSteps tells admin how far the steps have come, until ctx ends.
func (a *attempt) tellSteps(ctx context.Context) {
	said := trouble{log: a.log, what: "telling the steps"}
	for ; ctx.Err() == nil; sleep(ctx, stepsPeriod) {
		select {
		case <-a.progress.changed:
		case <-ctx.Done():
			return
		}
		err := a.l.opt.Admin.Steps(ctx, a.ref, placed(a.progress.steps(), a.entry.Log.Offset))
		if ctx.Err() != nil || final(err) || a.over.Load() {
			return // what else must be known of a refusal, the log's and the lease's calls learn too
		}
		a.l.admin.heard(err)
		if said.heard(err); err != nil {
			a.progress.again()
		}
	}
}
