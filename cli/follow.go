package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"lightspeed/api"
	"lightspeed/run"
)

// logOut is where a run's output goes: raw into files and pipes, made harmless on a terminal. The caller
// ends it.
func (p *program) logOut() *terminalWriter {
	return &terminalWriter{to: p.Stdout, raw: !p.out.terminal, colour: p.out.colour}
}

// printLog prints what there is of a run's output now, with stamps when it came before each line.
func (p *program) printLog(ctx context.Context, admin *api.Client, id string, q api.LogQuery, stamps bool) error {
	out := p.logOut()
	defer out.end()
	if !stamps {
		_, err := copyLog(ctx, admin, id, q, out)
		return err
	}
	if q.Attempt == 0 { // the output and its times are of the same one
		r, err := admin.Run(ctx, id)
		if err != nil {
			return err
		}
		q.Attempt = r.Attempt
	}
	_, err := copyLog(ctx, admin, id, q, newStamper(ctx, admin, run.Ref{Run: id, Attempt: q.Attempt}, q.Offset, out))
	return err
}

// copyLog copies a part of a run's output and returns how many bytes it was.
func copyLog(ctx context.Context, admin *api.Client, id string, q api.LogQuery, out io.Writer) (int64, error) {
	body, err := admin.Log(ctx, id, q)
	if err != nil {
		return 0, err
	}
	defer body.Close()
	n, err := io.Copy(out, onlyReader{body})
	var broken *brokenOutput
	var refused *api.Error
	if err != nil && !errors.As(err, &broken) && !errors.As(err, &refused) {
		err = &api.UnreachableError{Base: admin.Base(), Err: err}
	}
	return n, err
}

// onlyReader hides a body's other methods, so that what fails while writing is told from what fails while
// reading.
type onlyReader struct{ io.Reader }

// Pauses between two questions about a run that is not there yet, or an admin that does not answer.
const (
	shortPause = 50 * time.Millisecond
	longPause  = 2 * time.Second
)

// follower shows one run's output until the run has ended.
type follower struct {
	p       *program
	admin   *api.Client
	id      string
	query   api.LogQuery // the attempt shown now, and the offset reached
	only    bool         // that attempt and no later one
	out     *terminalWriter
	stamps  bool     // lines begin with when they came
	stamper *stamper // of the attempt shown now
	pause   time.Duration
	waiting bool // it was said that the run waits
	away    bool // it was said that admin does not answer
}

// follow prints a run's output as it comes, over all attempts from the query's on, and returns the run as it
// ended. While admin is away it waits, and says so once.
func (p *program) follow(ctx context.Context, admin *api.Client, id string, q api.LogQuery, stamps bool) (run.Run, error) {
	f := &follower{p: p, admin: admin, id: id, query: q, only: q.Attempt > 0, out: p.logOut(), stamps: stamps, pause: shortPause}
	defer f.out.end()
	for {
		r, err := f.admin.Run(ctx, id)
		if err == nil {
			f.away = false
			var done bool
			if done, err = f.step(ctx, r); done {
				return r, err
			}
		}
		if err := f.endure(ctx, err); err != nil {
			return r, err
		}
	}
}

// step shows what there is of a run in the state r, and reports whether that was all.
func (f *follower) step(ctx context.Context, r run.Run) (done bool, err error) {
	f.choose(r)
	if f.query.Attempt == 0 {
		f.sayWaiting(r)
		return r.Status.Ended(), nil
	}
	if f.query.Attempt < r.Attempt || r.Status == run.Running || f.missing(r) {
		q := f.query
		q.Follow = true
		n, err := copyLog(ctx, f.admin, f.id, q, f.writer(ctx))
		f.query.Offset += n
		if n > 0 {
			f.pause = shortPause
		}
		return false, err
	}
	return r.Status.Ended() || f.only, nil
}

// writer is where the output of the attempt shown now goes.
func (f *follower) writer(ctx context.Context) io.Writer {
	if !f.stamps {
		return f.out
	}
	if f.stamper == nil {
		f.stamper = newStamper(ctx, f.admin, run.Ref{Run: f.id, Attempt: f.query.Attempt}, f.query.Offset, f.out)
	}
	return f.stamper
}

// missing reports whether admin has more of the shown attempt's output.
func (f *follower) missing(r run.Run) bool {
	for _, a := range r.Attempts {
		if a.Attempt == f.query.Attempt {
			return f.query.Offset < a.LogBytes
		}
	}
	return false
}

// choose goes on to the next attempt when the shown one is over and shown whole.
func (f *follower) choose(r run.Run) {
	if f.query.Attempt == 0 && r.Attempt > 0 {
		f.query.Attempt = r.Attempt
		return
	}
	if f.only || f.query.Attempt >= r.Attempt || f.missing(r) {
		return
	}
	f.query, f.stamper = api.LogQuery{Attempt: f.query.Attempt + 1}, nil
	f.p.note("attempt %d", f.query.Attempt)
}

func (f *follower) sayWaiting(r run.Run) {
	if f.waiting || r.Status != run.Queued || f.pause < time.Second {
		return
	}
	f.waiting = true
	why := ""
	if r.Reason != nil {
		why = " (" + visible(*r.Reason) + ")"
	}
	f.p.note("run %s waits for %s%s", visible(r.ID), visible(r.Listener), why)
}

// endure waits a while before the next question. It returns err when that will not get better.
func (f *follower) endure(ctx context.Context, err error) error {
	var unreachable *api.UnreachableError
	switch {
	case err == nil:
	case ctx.Err() != nil || !errors.As(err, &unreachable):
		return err
	case !f.away:
		f.away = true
		f.p.note("%v; goes on when it is back", err)
	}
	if err := sleep(ctx, f.pause); err != nil {
		return err
	}
	f.pause = min(f.pause*5/4, longPause)
	return nil
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// note says something beside the output, on stderr.
func (p *program) note(format string, args ...any) {
	fmt.Fprintln(p.Stderr, p.err.paint(dim, "lightspeed: "+fmt.Sprintf(format, args...)))
}

// followAll shows the output of runs, one after the other, each under a line that names it and above one
// with its result. It is an error when one of them did not pass.
func (p *program) followAll(ctx context.Context, admin *api.Client, runs []api.RunRef) error {
	passed := 0
	for _, ref := range runs {
		if err := p.say("%s %s", p.out.paint(bold, visible(ref.Listener)), p.out.paint(dim, "run "+visible(ref.ID))); err != nil {
			return err
		}
		r, err := p.follow(ctx, admin, ref.ID, api.LogQuery{}, false)
		if err != nil {
			return noRun(err, ref.ID)
		}
		if err := p.say("%s", p.result(r)); err != nil {
			return err
		}
		if r.Status == run.Passed {
			passed++
		}
	}
	switch failed := len(runs) - passed; {
	case failed == 0:
		return nil
	case len(runs) == 1:
		return errors.New("the run did not pass")
	default:
		return fmt.Errorf("%d of %s did not pass", failed, count(len(runs), "run"))
	}
}

// result is how a run ended, in a line: "passed in 0.3s", "failed in 2s: exit status 3".
func (p *program) result(r run.Run) string {
	line := p.out.paint(stateColour(r.Status), string(r.Status))
	if spent := runTook(r, time.Now()); spent != "" {
		line += " in " + spent
	}
	if r.Reason != nil && *r.Reason != "" {
		line += ": " + visible(*r.Reason)
	}
	return line
}
