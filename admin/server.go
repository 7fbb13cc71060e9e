// Package admin is the private role: it owns the truth about deliveries, listeners and runs, decides what
// runs when, and answers for it over HTTP.
package admin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"lightspeed/admin/store"
	"lightspeed/api"
	"lightspeed/broker"
	"lightspeed/fault"
	"lightspeed/metric"
	"lightspeed/secret"
)

// Defaults and limits of Options.Lease.
const (
	DefaultLease = 30 * time.Second
	MinLease     = 2 * time.Second
)

// Options say how admin is to be run.
type Options struct {
	State string // admin's own folder; it is made, and locked while the Server lives

	// Tokens by the kind of caller: admin's may do everything, hooks' only hand in deliveries, listeners'
	// only what listeners do. With none at all, here and in the database, every caller may do everything, but its
	// Host must then be localhost or a loopback address, unless InsecureNoAuth.
	AdminTokens, HooksTokens, ListenerTokens []secret.Value
	InsecureNoAuth                           bool
	// Tokens of roles in the same process. They do not have tokens asked for by themselves.
	OwnHooksToken, OwnListenerToken secret.Value

	Lease                time.Duration    // in whole seconds, at least MinLease; 0: DefaultLease
	Keep                 store.Retention  // how much is kept; its zero value keeps everything
	Senders              []Sender         // GitHub's hooks, whose missed deliveries are asked for again …
	RecoverEvery         time.Duration    // … so often; 0: only by POST recover
	AllowIdenticalBodies bool             // do not take a body that was stored before for a duplicate
	PublicURL            string           // address under which people find the page, without a slash at its end; empty: not known
	Announcer            broker.Announcer // nil: there is no broker, and claims wait
	Metrics              *metric.Set      // of the process; nil: admin makes its own
	Log                  *slog.Logger
	// Known is told of each request that has shown a token which admin knows, by its context; nil: nobody is.
	Known func(context.Context)
}

// Server is admin. Its Handler serves while Run runs; Close ends it.
type Server struct {
	opt     Options
	log     *slog.Logger
	store   *store.Store
	logs    *logs
	leases  *leases
	hub     *hub
	history history
	rules   *rules
	probe   probe
	disk    fullDisk
	hints   *hints // nil without a broker
	auth    *auth
	handler http.Handler
	version string
	wall    wallWatch
	metrics *metrics

	artifacts *artifacts

	bodies     *semaphore.Weighted // memory for payloads, in bytes
	recovering chan struct{}       // holds one token while GitHub is asked for deliveries
	arrival    time.Duration       // arrivalLimit
	pruning    chan struct{}       // holds one token while things are pruned
	chunks     *slots              // for log chunks in memory
	ticks      <-chan time.Time
	stopping   context.Context // ends when calls that wait are to be answered
	endWaits   context.CancelFunc
	unlock     func() error
}

// New opens admin's state, migrates it and locks it. The lease of every attempt that runs begins anew.
func New(opt Options) (*Server, error) {
	if opt.Lease == 0 {
		opt.Lease = DefaultLease
	}
	if opt.Lease < MinLease || opt.Lease%time.Second != 0 {
		return nil, fmt.Errorf("lease %s must be whole seconds and at least %s", opt.Lease, MinLease)
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	if opt.Known == nil {
		opt.Known = func(context.Context) {}
	}
	if opt.Metrics == nil {
		opt.Metrics = &metric.Set{}
	}
	unlock, err := lockState(opt.State)
	if err != nil {
		return nil, err
	}
	s := &Server{
		opt: opt, log: opt.Log, disk: fullDisk{log: opt.Log}, unlock: unlock, version: api.Version, hub: newHub(), leases: newLeases(opt.Lease),
		bodies: semaphore.NewWeighted(bodyBudget), chunks: newSlots(maxChunks), pruning: make(chan struct{}, 1), recovering: make(chan struct{}, 1), arrival: arrivalLimit,
	}
	s.stopping, s.endWaits = context.WithCancel(context.Background())
	s.metrics = newMetrics(opt.Metrics, s)
	if err := s.open(); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	s.handler = s.routes()
	return s, nil
}

func (s *Server) open() error {
	var err error
	if s.logs, err = openLogs(filepath.Join(s.opt.State, "logs"), s.untimed); err != nil {
		return err
	}
	if s.artifacts, err = openArtifacts(filepath.Join(s.opt.State, "artifacts")); err != nil {
		return err
	}
	opt := store.Options{Path: filepath.Join(s.opt.State, "admin.db"), Log: s.log, Committed: s.committed}
	if s.opt.Announcer != nil {
		s.hints = newHints(s.opt.Announcer, s.log)
		opt.Work = s.hints.work
	}
	if s.store, err = store.Open(opt); err != nil {
		return err
	}
	s.rules = newRules(s.store, s.log)
	ctx := context.Background()
	kept, err := loadTokens(ctx, s.store)
	if err != nil {
		return err
	}
	s.auth = newAuth(s.opt, kept)
	running, err := s.store.Running(ctx)
	if err != nil {
		return err
	}
	instances, err := s.store.Instances(ctx)
	if err != nil {
		return err
	}
	s.leases.load(running, instances)
	return nil
}

// committed passes on what a commit changed, in the writer's goroutine.
func (s *Server) committed(changes []store.Change) {
	s.leases.committed(changes)
	s.history.add(changes)
	s.metrics.ended(changes)
	s.noteSteps(changes)
	for _, c := range changes {
		s.hub.wake(c.Run)
		if c.Status.Ended() && c.Attempt > 0 {
			s.hub.wake(tellingsOf(c.Listener))
		}
	}
	s.hub.wake(anyRun)
}

// Guarded reports whether callers need a token.
func (s *Server) Guarded() bool { return s.auth.guarded.Load() }

// Handler serves the API, /healthz and /readyz.
func (s *Server) Handler() http.Handler { return s.handler }

// Close stops what waits and closes the state. Requests that are still served are answered with 503.
func (s *Server) Close() error {
	s.endWaits()
	var errs []error
	if s.store != nil {
		errs = append(errs, s.store.Close())
	}
	return errors.Join(append(errs, s.unlock())...)
}

// Run does what time brings: leases that end, waits and slots that are over, runs to be matched again. It
// returns when ctx ends; calls that wait are answered then.
func (s *Server) Run(ctx context.Context) error {
	var group sync.WaitGroup
	defer group.Wait()
	defer s.endWaits()
	group.Go(func() { s.recheckLoop(ctx) })
	group.Go(func() { s.pruneLoop(ctx) })
	if len(s.opt.Senders) > 0 && s.opt.RecoverEvery > 0 {
		group.Go(func() { s.recoverLoop(ctx) })
	}
	if s.hints != nil {
		group.Go(func() { s.hints.run(ctx, s.store) })
	}
	ticks, restart := s.ticks, func() {}
	if ticks == nil {
		ticker := time.NewTicker(time.Second)
		defer ticker.Stop()
		ticks, restart = ticker.C, func() { ticker.Reset(time.Second) }
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticks:
			restart()
			s.tick(ctx)
		}
	}
}

// tick is one second of admin's time. A ticker drops ticks that nobody took: after a pause, however long, it is
// one, and the next comes a whole second later, in which listeners can be heard.
func (s *Server) tick(ctx context.Context) {
	s.disk.tick(ctx, s.store.Probe)
	s.report(s.store.Tick(ctx), "saving the clock")
	expired, gone := s.leases.tick()
	s.giveUp(ctx, expired)
	s.allLeft(ctx, gone)
	s.endWaitsOf(ctx)
}

// expiries bounds how many transactions of one tick end waits that are over: leases, too, are to be looked at each second, however
// many runs have waited for too long all at once. The rest comes with the next tick.
const expiries = 10

func (s *Server) endWaitsOf(ctx context.Context) {
	for range expiries {
		more, err := s.store.Expire(ctx)
		s.report(err, "ending waits")
		if err != nil || !more {
			return
		}
	}
}

// giveUp ends attempts whose lease is over. What fails is tried again at the next tick.
func (s *Server) giveUp(ctx context.Context, expired []lease) {
	var group sync.WaitGroup
	for _, l := range expired {
		group.Go(func() {
			reason := fmt.Sprintf("listener on %s was not heard of for %s", l.host, store.Plain(s.opt.Lease))
			s.metrics.leases.Inc()
			s.log.Warn("attempt given up", "run", l.ref.Run, "attempt", l.ref.Attempt, "delivery", l.delivery, "listener", l.listener, "reason", reason)
			fault.Point("admin.giving-up")
			s.report(s.store.GiveUp(ctx, l.ref, reason), "giving up run "+l.ref.Run)
			fault.Point("admin.gave-up")
		})
	}
	group.Wait()
}

// allLeft notes that instances have gone, together: a machine takes all of its listeners along, and one commit after the
// other would hold time up.
func (s *Server) allLeft(ctx context.Context, gone []presence) {
	var group sync.WaitGroup
	for _, p := range gone {
		group.Go(func() { s.left(ctx, p) })
	}
	group.Wait()
}

// left notes that an instance has gone, and forgets a temporary listener with its last one.
func (s *Server) left(ctx context.Context, p presence) {
	s.log.Info("listener is away", "listener", p.listener, "instance", p.instance)
	s.report(s.store.Left(ctx, p.listener, p.instance, p.seen, s.leases.there(p.listener)), "noting that a listener left")
	if p.temporary && !s.leases.connected(p.listener) {
		s.report(s.forget(ctx, p.listener), "forgetting a temporary listener")
		return
	}
	s.leases.drop(p, time.Now().Add(-store.KeptAway))
}

// report logs a failure of work that nobody waits for.
func (s *Server) report(err error, doing string) {
	switch {
	case err == nil || errors.Is(err, context.Canceled) || errors.Is(err, store.ErrClosed):
	case isFull(err):
		s.disk.failed(err)
	default:
		s.log.Error(doing+" failed", "err", err)
	}
}

// lockState makes a state folder and takes its lock.
func lockState(state string) (unlock func() error, err error) {
	if state == "" {
		return nil, errors.New("admin needs a state folder")
	}
	if err := os.MkdirAll(state, 0o700); err != nil {
		return nil, err
	}
	return lockFile(state)
}
