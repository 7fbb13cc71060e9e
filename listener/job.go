package listener

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"lightspeed/api"
	"lightspeed/listener/config"
	"lightspeed/listener/process"
	"lightspeed/run"
	"lightspeed/secret"
)

// stop is why a run is ended before its commands are done. It is the cause of their context's end.
type stop struct {
	status run.State
	reason string
	grace  time.Duration // less than the config's, when hasty
	hasty  bool
}

func (s *stop) Error() string { return s.reason }

// Outcome is how a run ended.
type Outcome struct {
	Status   run.State
	Reason   string // plain words; empty when it passed
	ExitCode *int   // of the command that decided; nil when it was ended by a signal or never started

	// Of Here: each step, with its place in the output, and the files that are kept, without their hashes.
	Steps     []run.Step
	Artifacts []api.Artifact
}

// job is the work of one run on this machine. It names no command in what it writes or returns: that may leave
// the machine, and commands do not.
type job struct {
	config  config.Config
	facts   facts
	out     io.Writer
	started func(process.ID) // may be nil

	mask *secret.Mask // of what must not be seen in the output; nil: nothing

	progress *progress    // of config.Exec
	at       func() int64 // where in the output what is written next will stand

	keep       func(o Outcome, root string, patterns []string, say func(string)) // keeps artifacts; nil: nothing is kept
	workspaces *workspaces                                                       // of runs that get a tree of their own

	cgroup string // names that of the run's processes; see process.Options

	// orphanGrace, when not 0, ends what runs when this process dies; see process.Options.
	orphanGrace time.Duration

	log *slog.Logger
}

// run makes the run's workspace, runs the steps, and ends what they leave running.
func (j job) run(ctx context.Context) Outcome {
	ctx, cancel := j.limit(ctx)
	defer cancel()
	flush := func() {}
	if j.mask != nil {
		hiding := j.mask.Writer(j.out)
		flush = func() { _ = hiding.Flush() } // as with all output, a failure is the business of who is behind it
		defer flush()
		written := j.at
		j.out, j.at = hiding, func() int64 { return written() + int64(hiding.Held()) }
	}
	leave, wrong := j.enter(ctx)
	if wrong != nil {
		return *wrong
	}
	defer leave()
	tree, err := j.tree()
	if err != nil {
		j.log.Error("run cannot be started", "err", err)
		return Outcome{Status: run.Errored, Reason: "the listener has no pipe left for its output"}
	}
	outcome := j.steps(ctx, tree)
	if j.config.LeaveBackground && ctx.Err() == nil {
		if n := tree.Leave(); n > 0 {
			tree.Say("lightspeed: " + processes(n) + " left running")
		}
	} else {
		j.sayRest(tree, tree.End(ctx))
	}
	outcome.Reason = j.mask.String(outcome.Reason)
	if j.keep != nil && len(j.config.Artifacts) > 0 {
		flush()
		j.keep(outcome, j.config.Cwd, j.config.Artifacts, func(line string) { tree.Say("lightspeed: artifacts: " + line) })
	}
	return outcome
}

// tree is what the run's processes will be. Those that may stay when it is done have no cgroup: nobody would remove it.
func (j job) tree() (*process.Tree, error) {
	o := process.Options{Marks: j.facts.marks(), Cgroup: j.cgroup, Output: j.out, Started: j.started, OrphanGrace: j.orphanGrace, Grace: j.grace}
	if j.config.LeaveBackground {
		o.Cgroup = ""
	}
	return process.New(o)
}

// EndsBy says by what the processes of runs are found and ended on this machine; see process.EndsBy.
func EndsBy() (way, detail string) { return process.EndsBy() }

// grace is how long after SIGTERM the SIGKILL comes.
func (j job) grace(cause error) time.Duration {
	var s *stop
	if errors.As(cause, &s) && s.hasty {
		return min(s.grace, j.config.Grace)
	}
	return j.config.Grace
}

func (j job) limit(ctx context.Context) (context.Context, context.CancelFunc) {
	if j.config.Timeout <= 0 {
		return ctx, func() {}
	}
	over := &stop{status: run.TimedOut, reason: "timeout of " + j.config.Timeout.String() + " was over"}
	return context.WithTimeoutCause(ctx, j.config.Timeout, over)
}

// sayRest says what the commands had left running.
func (j job) sayRest(tree *process.Tree, rest process.Rest) {
	if rest.Ended > 0 {
		tree.Say(fmt.Sprintf("lightspeed: %s still running %v after the commands were done, and %s ended",
			processes(rest.Ended), j.config.Grace, wereOrWas(rest.Ended)))
	}
	for _, pid := range rest.Stuck {
		tree.Say(fmt.Sprintf("lightspeed: process %d could not be ended", pid))
		j.log.Error("process of a run could not be ended", "pid", pid)
	}
	if rest.Held {
		tree.Say("lightspeed: the output was still held open by another process; what that writes now is not kept")
	}
}

func processes(n int) string {
	if n == 1 {
		return "1 process was"
	}
	return fmt.Sprintf("%d processes were", n)
}

func wereOrWas(n int) string {
	if n == 1 {
		return "was"
	}
	return "were"
}
