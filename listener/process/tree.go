package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"
)

const (
	// killPatience is how long a process may take to vanish after SIGKILL: one that waits for a dead disk
	// in the kernel does not, and must not hold a run for ever.
	killPatience = 5 * time.Second

	// shortestPoll and longestPoll are the waits between two looks at what is left of a tree.
	shortestPoll = 2 * time.Millisecond
	longestPoll  = 100 * time.Millisecond
)

// Options are what a Tree needs.
type Options struct {
	// Marks are entries that the environment of each command holds ("NAME=value") and that, all together,
	// no other process of this machine holds. By them what left the process groups is found.
	Marks []string

	// Cgroup, where it is not empty and this machine lets us have cgroups, names one that the tree gets for itself; see
	// EndsBy. The name is no other tree's on this machine, and can be a file's. A tree that Leave is called for has none.
	Cgroup string

	// Output gets what the tree writes, from one goroutine at a time, until End returns. When it fails, the
	// rest is read and thrown away: a tree is never held up by it.
	Output io.Writer

	// Grace is how long after SIGTERM the SIGKILL comes, given why the context ended. End waits
	// Grace(nil) before it ends what the commands have left running.
	Grace func(cause error) time.Duration

	// OrphanGrace, when not 0, has the tree end when this process dies: SIGTERM at once, and SIGKILL after it.
	// Otherwise the tree goes on.
	OrphanGrace time.Duration

	// Started is told of each command that has been started; it may be nil.
	Started func(ID)
}

// Tree is all that one run starts. Its methods are called one after the other.
type Tree struct {
	opt    Options
	family family
	guard  *guard // nil until it is needed

	write *os.File // the commands' end of the pipe
	*pipeline
}

// New makes a tree without any process. End must be called.
func New(o Options) (*Tree, error) {
	read, write, err := pipe()
	if err != nil {
		return nil, fmt.Errorf("pipe for output: %w", err)
	}
	t := &Tree{opt: o, write: write, pipeline: newPipeline(read, o.Output)}
	t.family.marks = o.Marks
	t.family.open(o.Cgroup)
	go t.collect()
	return t, nil
}

// Say writes a line of our own into the output, behind all that the commands have written before.
func (t *Tree) Say(line string) { t.say(line) }

// CatchUp hands all that the commands have written so far to Output.
func (t *Tree) CatchUp() { t.catchUp() }

// Run starts a command and waits for it. When ctx ends, the whole tree gets SIGTERM, after the grace SIGKILL,
// and Run returns when all of it is gone.
func (t *Tree) Run(ctx context.Context, c Command) Result {
	p, id, err := t.family.start(c, t.write)
	if err != nil {
		return Result{ExitCode: -1, Err: err}
	}
	t.keepGuard(p.Pid)
	if t.opt.Started != nil {
		t.opt.Started(id)
	}
	if awaitEnd(ctx, p) {
		return t.family.reap(p)
	}
	ended := make(chan Result, 1)
	go func() { ended <- t.family.wait(p) }()
	select {
	case r := <-ended:
		return r
	case <-ctx.Done():
	}
	select {
	case r := <-ended: // of its own, at the same time
		return r
	default:
	}
	return t.stop(t.opt.Grace(context.Cause(ctx)), ended)
}

// keepGuard has the newest group guarded, when that is wanted. It comes after the start, which it must not slow.
func (t *Tree) keepGuard(group int) {
	if t.opt.OrphanGrace <= 0 {
		return
	}
	if t.guard == nil {
		var err error
		if t.guard, err = newGuard(t.family.cgroup.folder(), t.opt.Marks, t.opt.OrphanGrace); err != nil {
			t.Say("lightspeed: this run is not guarded against the listener's death: " + err.Error())
			return
		}
	}
	t.guard.follow(group)
}

// stop ends the tree while a command of it runs, and returns how that command ended.
func (t *Tree) stop(grace time.Duration, ended <-chan Result) Result {
	result := Result{ExitCode: -1, Err: errors.New("did not end within " + killPatience.String() + " after SIGKILL")}
	gone := func() bool {
		select {
		case r := <-ended:
			result, ended = r, nil
		default:
		}
		return ended == nil && t.family.gone()
	}
	t.end(grace, gone)
	result.Stopped = true
	return result
}

// end sends SIGTERM, after the grace SIGKILL, and reports whether all is gone then.
func (t *Tree) end(grace time.Duration, gone func() bool) bool {
	t.family.signal(syscall.SIGTERM)
	if poll(grace, gone) {
		return true
	}
	return poll(killPatience, func() bool {
		if gone() {
			return true
		}
		t.family.signal(syscall.SIGKILL)
		return false
	})
}

// Rest is what a tree's commands left behind.
type Rest struct {
	Ended int   // how many processes were still running after the grace, and have been ended
	Stuck []int // pids that could not be ended
	Held  bool  // someone who could not be found still held the output open
}

// End waits until all that the commands left running has ended and all output is in. What is not done after
// the grace, or when ctx ends, is ended.
func (t *Tree) End(ctx context.Context) Rest {
	defer t.family.close()
	defer t.pipeline.close()
	_ = t.write.Close()

	var rest Rest
	done := t.family.gone
	if !t.linger(ctx, t.opt.Grace(nil), done) && !done() {
		rest.Ended = len(t.family.left())
		if !t.end(t.opt.Grace(nil), done) {
			rest.Stuck = t.family.left()
			rest.Ended -= len(rest.Stuck)
		}
	}
	rest.Held = !t.drained()
	if t.guard != nil {
		t.guard.dismiss()
	}
	return rest
}

// Leave is End for a tree whose processes may go on: it takes in what they have written so far, and returns how many
// there are. Who writes more then gets SIGPIPE, for nobody reads.
func (t *Tree) Leave() (running int) {
	defer t.family.close()
	defer t.pipeline.close()
	_ = t.write.Close()

	t.CatchUp()
	t.giveUp()
	if t.guard != nil {
		t.guard.dismiss()
	}
	if t.family.gone() {
		return 0
	}
	return len(t.family.left())
}

// linger waits for the end of the output and of all processes, and reports whether both came in time.
func (t *Tree) linger(ctx context.Context, grace time.Duration, done func() bool) bool {
	ctx, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	select {
	case <-t.eof:
	case <-ctx.Done():
		return false
	}
	for wait := shortestPoll; !done(); wait = min(2*wait, longestPoll) {
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return false
		}
	}
	return true
}

// drained reports whether all output came in, now that no process of the tree can write any more. Bytes that
// are in the pipe are read at once; a pipe that stays open is held by a stranger.
func (t *Tree) drained() bool {
	select {
	case <-t.eof:
	case <-time.After(longestPoll):
		t.giveUp()
	}
	return !t.held
}

// poll looks at done, ever more seldom, until it holds or the time is over.
func poll(limit time.Duration, done func() bool) bool {
	deadline := time.Now().Add(limit)
	for wait := shortestPoll; ; wait = min(2*wait, longestPoll) {
		if done() {
			return true
		}
		if !time.Now().Before(deadline) {
			return false
		}
		time.Sleep(min(wait, max(time.Until(deadline), 0)))
	}
}
