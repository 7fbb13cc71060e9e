package notify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"regexp"
	"sync"
	"sync/atomic"
	"time"
)

// Defaults of Options.
const (
	DefaultMost   = 1000
	DefaultLinger = 5 * time.Second
)

// Options are what a Dispatcher is made of.
type Options struct {
	// Dir is the folder for what waits and what was noted. It is made, mode 0700; the caller sees to it that
	// no other process has it.
	Dir    string
	Routes []Route // of the first audience

	// Report is called with what is worth knowing of each notice, one at a time. What it does not take, it is
	// given again later, also after a restart; an *Error that is Final says that it never will. Nil: nobody is told.
	Report func(context.Context, Result) error

	Log    *slog.Logger
	Most   int           // notices that wait for one target; default DefaultMost
	Linger time.Duration // how long Run goes on after its context ended, to tell what is left; default DefaultLinger
}

// Route is one target, and when it is told.
type Route struct {
	Target Target
	When   When // empty: Always
}

// Dispatcher keeps what is to be told and tells it. Its methods may be called by several at once.
type Dispatcher struct {
	dir     string
	most    int
	reports *queue[Result]
	report  func(context.Context, Result) error
	log     *slog.Logger
	linger  time.Duration
	running atomic.Bool

	mu      sync.Mutex // one notice is put at a time, for what the rules compare
	last    endings
	senders []*sender     // also of targets that no audience has any more
	newest  *Audience     // who is told now
	begin   func(*sender) // starts one; nil while nothing is told
}

var targetName = regexp.MustCompile(`^[a-z][a-z-]{0,30}$`)

// New opens the folder and reads what waits from before. Nothing is told until Run.
func New(o Options) (*Dispatcher, error) {
	if o.Most <= 0 {
		o.Most = DefaultMost
	}
	if o.Linger <= 0 {
		o.Linger = DefaultLinger
	}
	d := &Dispatcher{dir: o.Dir, most: o.Most, report: o.Report, log: o.Log, linger: o.Linger}
	last, err := openRecords(filepath.Join(o.Dir, "last"), maxRefs)
	if err != nil {
		return nil, fmt.Errorf("notices: %w", err)
	}
	d.last = endings{last}
	var damaged error
	d.reports, damaged, err = openQueue(filepath.Join(o.Dir, "reports"), o.Most, rankResult, worthResult)
	if err != nil {
		return nil, fmt.Errorf("notices: %w", err)
	}
	d.logDamage(damaged)
	if err := d.Change(o.Routes); err != nil {
		return nil, err
	}
	return d, nil
}

func (d *Dispatcher) logDamage(damaged error) {
	if damaged != nil {
		d.log.Error("some of what was to be told is damaged, and dropped", "error", damaged)
	}
}

// Waiting says how many notices wait, by target. Targets for which none waits are not in it.
func (d *Dispatcher) Waiting() map[string]int {
	d.mu.Lock()
	defer d.mu.Unlock()
	waiting := map[string]int{}
	for _, s := range d.senders {
		if n := s.queue.len(); n > 0 {
			waiting[s.name] = n
		}
	}
	return waiting
}

// Run tells what waits and what comes, until ctx ends. Then it tells what is left as long as that works, at most
// for Options.Linger; the rest stays on disk. It may run once at a time.
func (d *Dispatcher) Run(ctx context.Context) error {
	if !d.running.CompareAndSwap(false, true) {
		return errors.New("notices are being told already")
	}
	defer d.running.Store(false)
	hard, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() {
		_ = sleep(hard, d.linger)
		cancel()
	})()
	sending, sent := context.WithCancel(hard)
	var senders, reporter sync.WaitGroup
	d.start(func(s *sender) {
		senders.Go(func() { work(ctx, hard, s.queue, s.log, s.send) })
	})
	reporter.Go(func() { d.reportAll(sending, hard) })
	<-ctx.Done()
	d.start(nil)
	senders.Wait()
	sent()
	reporter.Wait()
	if n := d.Waiting(); len(n) > 0 {
		d.log.Info("what could not be told yet stays for the next start", "waiting", n)
	}
	return nil
}

// start starts the senders that there are, and those that come; nil: none that comes is started any more.
func (d *Dispatcher) start(begin func(*sender)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.begin = begin
	if begin == nil {
		return
	}
	for _, s := range d.senders {
		begin(s)
	}
}
