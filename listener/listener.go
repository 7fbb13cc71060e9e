// Package listener runs what a machine's configs say, for the events that admin hands out.
//
// A Listener claims one run at a time from its queue, writes it into its journal, runs the commands, hands in
// their output while they run, and reports how they ended. Everything that admin must know is said again until
// admin has it; what a killed listener owes is found in the journal at its next start.
package listener

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"lightspeed/api"
	"lightspeed/broker"
	"lightspeed/listener/config"
	"lightspeed/listener/journal"
	"lightspeed/listener/lock"
	"lightspeed/notify"
	"lightspeed/run"
)

// leavePatience is how long a listener that was told to stop, and whose runs have ended, goes on trying to
// report them. What admin has not taken by then stays in the journal for the next start.
const leavePatience = 10 * time.Second

// Options are what a Listener needs.
type Options struct {
	Config    config.Config // the first; Change brings another
	Admin     *api.Client
	Broker    broker.Consumer // tells of work; nil: there is none, and claims wait at admin
	State     string          // folder of this listener alone; it is made when it is not there
	Mirrors   string          // folder of repositories, shared by all listeners; needed for a config with a checkout
	Temporary bool            // admin forgets the listener when it leaves
	Log       *slog.Logger    // required
	Ready     func()          // called once, when it is registered and listening; may be nil
	Changed   func(error)     // called when admin has taken what Change brought, or why it has not: then the config before holds on; may be nil

	Metrics *Metrics // shared by all listeners of the process; nil: nobody reads numbers

	Lanes      *notify.Lanes // shared by all listeners of the process that tell people of runs; nil: none shares them
	DiscordAPI string        // in place of discord.DefaultAPI
}

// Listener works for one config at a time on one machine.
type Listener struct {
	opt     Options
	name    string
	journal *journal.Journal
	teller  *teller
	admin   *link
	log     *slog.Logger
	start   string // names this process to admin
	host    string
	slots   *slots // of all editions together

	newest    atomic.Pointer[edition]
	changing  sync.Mutex // held while newest changes
	revisions int        // how many editions there have been

	patience time.Duration // leavePatience

	// What admin said last, for the goroutine that claims alone.
	known      *edition // that was registered last; nil: none yet
	registered bool
	outdated   bool
	lease      time.Duration
	page       string // where people find admin's page; empty: not known
	hints      *hints
	held       *lock.Held // for the claim that is under way
	saidBusy   bool
	waiting    *api.LockWait // for one of the machine's locks; nil: it does not

	workspaces *workspaces

	mu      sync.Mutex
	running map[run.Ref]*attempt
	works   sync.WaitGroup // commands that run
	reports sync.WaitGroup // attempts that admin has not been told of
}

// New checks the options, and opens and locks the state folder. Run or Close must follow.
func New(o Options) (*Listener, error) {
	first, err := newEdition(o.Config, 1)
	if err != nil {
		return nil, err
	}
	held, err := journal.Open(o.State, o.Log)
	if err != nil {
		return nil, err
	}
	if o.Lanes == nil {
		o.Lanes = &notify.Lanes{}
	}
	teller, err := newTeller(o)
	if err != nil {
		return nil, errors.Join(err, held.Close())
	}
	if first.forge, err = newForge(o.Config, o.Lanes); err != nil {
		return nil, errors.Join(err, held.Close())
	}
	first.audience = teller.Audience()
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	l := &Listener{
		opt: o, name: o.Config.Rules.Name, journal: held, teller: teller, log: o.Log, revisions: 1,
		admin: newLink(o.Admin, o.Log, o.Metrics), start: rand.Text(), host: host,
		patience: leavePatience, slots: newSlots(o.Config.AtOnceHere()),
		hints: newHints(o.Broker, o.Config.Rules.Name, o.Log), running: map[run.Ref]*attempt{},
		workspaces: newWorkspaces(o.State, o.Mirrors, o.Log),
	}
	l.newest.Store(first)
	return l, nil
}

// Close frees the state folder of a listener that is not run. Run does it itself.
func (l *Listener) Close() error {
	l.hints.close()
	return l.journal.Close()
}

// Run reports what the journal holds, and then works, until ctx ends: from then on it takes nothing new, lets
// its runs finish, and reports them. It returns an error when admin refuses the listener.
func (l *Listener) Run(ctx context.Context) error {
	defer l.journal.Close()
	defer l.hints.close()
	defer l.workspaces.wait()
	defer l.teller.run()()
	reporting, stopReporting := context.WithCancel(context.WithoutCancel(ctx))
	defer stopReporting()

	refused := l.resume(ctx, reporting)
	if refused == nil && ctx.Err() == nil {
		if l.opt.Ready != nil {
			l.opt.Ready()
		}
		looking, stopPolling := context.WithCancel(ctx)
		var polling sync.WaitGroup
		polling.Go(func() { l.poll(looking) })
		stop := l.tellForOthers()
		refused = l.work(ctx, reporting)
		stop()
		stopPolling()
		polling.Wait()
	}
	l.sayWhatRuns()
	l.works.Wait()
	l.awaitReports(stopReporting)
	if refused == nil {
		l.leave(reporting)
	}
	return refused
}

// awaitReports waits until admin has been told how all runs ended, or patience is over.
func (l *Listener) awaitReports(stop context.CancelFunc) {
	told := make(chan struct{})
	go func() {
		l.reports.Wait()
		close(told)
	}()
	select {
	case <-told:
		return
	case <-time.After(l.patience / 10):
		l.log.Info("waits for admin to take how the runs ended", "at_most", l.patience)
	}
	select {
	case <-told:
		return
	case <-time.After(l.patience):
	}
	stop()
	<-told
}

// sayWhatRuns names the runs that a stop waits for.
func (l *Listener) sayWhatRuns() {
	for _, a := range l.current() {
		l.log.Info("takes nothing new; finishes a run", "run", a.ref.Run, "attempt", a.ref.Attempt, "delivery", a.entry.Claim().Delivery.ID)
	}
}

// leave has admin forget a temporary listener. When admin cannot be told it forgets it by itself, later.
func (l *Listener) leave(ctx context.Context) {
	if !l.opt.Temporary {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	if err := l.opt.Admin.RemoveListener(ctx, l.name, true); err != nil && !api.IsCode(err, api.NotFound) {
		l.log.Info("admin could not be told that this listener leaves", "err", err)
	}
}

// Running returns how many runs have commands that run.
func (l *Listener) Running() int { return len(l.current()) }

// CancelRuns ends what runs now; the runs are reported as cancelled, with that reason.
func (l *Listener) CancelRuns(why string) {
	for _, a := range l.current() {
		a.stop(&stop{status: run.Cancelled, reason: "cancelled: " + why})
	}
}

func (l *Listener) current() []*attempt {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := make([]*attempt, 0, len(l.running))
	for _, a := range l.running {
		all = append(all, a)
	}
	return all
}
