package listener

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"time"

	"lightspeed/fault"
	"lightspeed/listener/config"
	"lightspeed/listener/process"
	"lightspeed/run"
)

// cleanUpGrace is how long after SIGTERM steps get SIGKILL whose time to clean up is over.
const cleanUpGrace = time.Second

// stepping is the steps of one run, while they run.
type stepping struct {
	job
	tree *process.Tree
	env  []string // of a step without variables of its own
	end  Outcome  // the run's, as far as it is known

	begun bool // a step was started: there may be something to clean up

	last       context.Context // of steps that run always, once the run has been ended before its time
	cancelLast context.CancelFunc
}

// steps runs those whose turn comes, in order, and returns how the run ended: with the first step that did not
// pass.
func (j job) steps(ctx context.Context, tree *process.Tree) Outcome {
	s := &stepping{job: j, tree: tree, end: Outcome{Status: run.Passed, ExitCode: new(int)}, cancelLast: func() {}}
	defer func() { s.cancelLast() }()
	var leftOut []string
	s.env, leftOut = environment(j.config, j.facts)
	for _, line := range leftOut {
		tree.Say("lightspeed: " + line)
	}
	for i, step := range j.config.Exec {
		if ctx.Err() != nil && s.passed() {
			s.end = j.stopped(ctx, process.Result{ExitCode: -1})
		}
		if turn := s.turn(ctx, step); turn != nil {
			s.run(turn, i, step)
		} else {
			j.progress.skip(i)
		}
	}
	return s.end
}

func (s *stepping) passed() bool { return s.end.Status == run.Passed }

// turn returns the context in which a step runs; nil when it does not.
func (s *stepping) turn(ctx context.Context, step config.Step) context.Context {
	switch {
	case ctx.Err() != nil:
		return s.afterStop(ctx, step)
	case s.passed() && step.If != config.IfFailure, !s.passed() && step.If != config.IfPassed:
		return ctx
	}
	return nil
}

// afterStop is the context of steps that clean up after a run that was cancelled or timed out: all of them
// together have the grace. When the run may be another listener's by now, nothing more is started.
func (s *stepping) afterStop(ctx context.Context, step config.Step) context.Context {
	if step.If != config.Always || s.end.Status == run.Lost || !s.begun {
		return nil
	}
	if s.last == nil {
		over := &stop{
			status: run.TimedOut, hasty: true, grace: cleanUpGrace,
			reason: fmt.Sprintf("grace of %v for what runs after a cancel or timeout was over", s.config.Grace),
		}
		s.last, s.cancelLast = context.WithTimeoutCause(context.WithoutCancel(ctx), s.config.Grace, over)
	}
	if s.last.Err() != nil {
		return nil
	}
	return s.last
}

// run runs one step.
func (s *stepping) run(ctx context.Context, i int, step config.Step) {
	if step.Timeout > 0 {
		over := &stop{status: run.TimedOut, reason: step.Name + ": timeout of " + step.Timeout.String() + " was over"}
		limited, cancel := context.WithTimeoutCause(ctx, step.Timeout, over)
		defer cancel()
		ctx = limited
	}
	fault.Point("listener.starting")
	s.begun = true
	s.progress.begin(i, s.at())
	result := s.tree.Run(ctx, process.Command{Argv: argv(step), Dir: s.folder(step), Env: s.environment(step)})
	outcome := Outcome{Status: run.Passed, ExitCode: &result.ExitCode}
	if !result.Passed() {
		outcome = s.outcome(ctx, step.Name, result)
		s.tree.Say("lightspeed: " + outcome.Reason)
	}
	s.tree.CatchUp()
	s.progress.end(i, outcome, s.at())
	if s.passed() {
		s.end = outcome
	}
}

func argv(s config.Step) []string {
	if len(s.Argv) > 0 {
		return s.Argv
	}
	return []string{"/bin/sh", "-c", s.Run}
}

// folder is where a step runs: its own folder stands within the run's, unless it is an absolute one.
func (j job) folder(s config.Step) string {
	if filepath.IsAbs(s.Cwd) {
		return s.Cwd
	}
	return filepath.Join(j.config.Cwd, s.Cwd)
}

// environment is a step's whole environment.
func (s *stepping) environment(step config.Step) []string {
	if len(step.Env) == 0 {
		return s.env
	}
	c := s.config
	c.Env = maps.Clone(c.Env)
	if c.Env == nil {
		c.Env = map[string]string{}
	}
	maps.Copy(c.Env, step.Env)
	env, _ := environment(c, s.facts)
	return env
}

// outcome says what a step that did not pass makes of the run.
func (j job) outcome(ctx context.Context, step string, r process.Result) Outcome {
	var start *process.StartError
	switch {
	case r.Stopped:
		return j.stopped(ctx, r)
	case errors.As(r.Err, &start):
		j.log.Error("command could not be started", "step", step, "err", start.Err)
		return Outcome{Status: run.Errored, Reason: step + ": could not be started: " + start.Reason}
	}
	o := Outcome{Status: run.Failed, Reason: step + ": " + r.String()}
	if r.ExitCode >= 0 {
		o.ExitCode = &r.ExitCode
	}
	return o
}

// stopped says why the run was ended before its time.
func (j job) stopped(ctx context.Context, r process.Result) Outcome {
	o := Outcome{Status: run.Cancelled, Reason: "cancelled"}
	var why *stop
	if errors.As(context.Cause(ctx), &why) {
		o.Status, o.Reason = why.status, why.reason
	}
	if r.Err != nil {
		o.Reason += "; its command " + r.Err.Error()
	}
	if r.ExitCode >= 0 {
		o.ExitCode = &r.ExitCode
	}
	return o
}
