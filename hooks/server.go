// Package hooks is the public role: it takes deliveries from GitHub, checks that they are signed, and sees them
// to admin, or onto its own disk until admin takes them. It knows the webhook secret and one token that can
// only hand in deliveries; there is nothing else to steal here.
//
// # What an answer promises
//
// A 2xx to a delivery is given only for what outlives kill -9 and a power loss:
//
//   - 202 accepted, duplicate, ignored: admin has committed it to its database.
//   - 202 spooled: it is on this machine's disk, file and folder synced, and is handed to admin in order,
//     for ever, until admin takes it. What admin refuses then stays in spool/refused.
//   - 200 pong: a ping. Nothing is stored, and nothing is lost.
//
// Any other answer means that nothing was kept: GitHub shows the delivery as failed, and it can be redelivered.
// When an answer was 503, or never came because hooks was killed, the delivery may still be there: redelivered, it
// has the same id, and admin counts it once.
//
// # Order
//
// A delivery that comes after another was answered is never handed in before it: while the spool holds
// anything, new deliveries go through it too.
package hooks

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

	"lightspeed/api"
	"lightspeed/event"
	"lightspeed/hooks/spool"
	"lightspeed/metric"
	"lightspeed/secret"
)

// DefaultSpoolMax is the spool's size when none is set, in bytes.
const DefaultSpoolMax = 1 << 30

// Errors of New: settings that make no sense.
var (
	ErrNoSecret   = errors.New("hooks has no webhook secret: anyone could start runs")
	ErrTwoMinds   = errors.New("hooks has a webhook secret and is told to do without one")
	ErrEmptyValue = errors.New("a webhook secret is empty: anyone could sign with it")
)

// Deliverer hands deliveries to admin. *api.Client is one. A nil error means that admin has stored it. It
// must be safe for use by many goroutines. When it also has Healthy(context.Context) error, /readyz asks
// it whether admin answers.
type Deliverer interface {
	Deliver(context.Context, event.Delivery) (api.Receipt, error)
}

// Options are what a Server needs.
type Options struct {
	Secrets          []secret.Value // a delivery must be signed with one of them
	InsecureNoSecret bool           // no signature is asked for; only without Secrets
	Admin            Deliverer
	State            string // hooks' own folder; made when missing, and locked
	SpoolMax         int64  // bytes on disk; 0: DefaultSpoolMax
	Log              *slog.Logger
	// Signed is told of each request that has shown that it is signed, by its context; nil: nobody is.
	Signed  func(context.Context)
	Metrics *metric.Set // nil: nobody reads numbers
}

// Server is the public role. Handler takes deliveries, and Run hands on what had to wait.
type Server struct {
	secrets []secret.Value
	admin   Deliverer
	log     *slog.Logger
	lock    *os.File
	spool   *spool.Spool
	small   *room // of bodies in flight
	large   *room // the same, of bodies over largeBody and of unknown length
	signal  func(context.Context)
	refused refusals
	checks  checks
	metrics *metrics

	stopped context.Context // ends with Close
	stop    context.CancelFunc
	mu      sync.Mutex    // guards running
	running chan struct{} // closed when Run has returned; nil before Run
}

// New checks the options, locks the state folder and opens the spool in it. The caller closes the Server.
func New(o Options) (*Server, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	lock, err := lockFolder(o.State)
	if err != nil {
		return nil, err
	}
	if o.SpoolMax == 0 {
		o.SpoolMax = DefaultSpoolMax
	}
	waiting, err := spool.Open(filepath.Join(o.State, "spool"), o.SpoolMax, o.Log)
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	s := &Server{
		secrets: o.Secrets, admin: o.Admin, log: o.Log, lock: lock, spool: waiting,
		small: newRoom(smallRoom), large: newRoom(largeRoom), signal: o.Signed, refused: refusals{log: o.Log},
	}
	if s.signal == nil {
		s.signal = func(context.Context) {}
	}
	s.checks.admin, _ = o.Admin.(healthy)
	s.stopped, s.stop = context.WithCancel(context.Background())
	if o.Metrics == nil {
		o.Metrics = &metric.Set{}
	}
	s.metrics = newMetrics(o.Metrics, s)
	return s, nil
}

func (o Options) validate() error {
	switch {
	case len(o.Secrets) == 0 && !o.InsecureNoSecret:
		return ErrNoSecret
	case len(o.Secrets) > 0 && o.InsecureNoSecret:
		return ErrTwoMinds
	case o.Admin == nil || o.State == "" || o.Log == nil:
		return errors.New("hooks needs an admin, a state folder and a log")
	case o.SpoolMax < 0:
		return fmt.Errorf("spool size %d is negative", o.SpoolMax)
	}
	for _, value := range o.Secrets {
		if value.IsZero() {
			return ErrEmptyValue
		}
	}
	return nil
}

// Close ends Run, waits for deliveries that are just being stored, and lets go of the state folder. Close it
// after the HTTP server: deliveries that come later get 503. Closing twice is fine.
func (s *Server) Close() error {
	s.stop()
	s.mu.Lock()
	running := s.running
	s.mu.Unlock()
	if running != nil {
		<-running
	}
	s.refused.close()
	err := s.spool.Close()
	if closing := s.lock.Close(); !errors.Is(closing, os.ErrClosed) {
		err = errors.Join(err, closing)
	}
	return err
}

// Handler serves POST /receive_hook, GET /healthz and GET /readyz. Its http.Server wants time-outs for reading:
// 5 s for the head and 30 s for the whole request let GitHub's largest delivery in, which gives up after 10 s
// (Enterprise Server after 30 s). The number of connections is the caller's to bound, who learns by Options.Signed
// which of them are not to be given up; of bodies no more than 34 MiB are in memory at once, however many there are.
func (s *Server) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/receive_hook":
			if allowed(w, r, http.MethodPost) {
				s.receive(w, r)
			}
		case "/healthz":
			if allowed(w, r, http.MethodGet, http.MethodHead) {
				health(w)
			}
		case "/readyz":
			if allowed(w, r, http.MethodGet, http.MethodHead) {
				s.ready(w, r)
			}
		default:
			refuse(w, api.Errorf(http.StatusNotFound, api.NotFound, "no such path: deliveries go to /receive_hook"))
		}
	})
}

// adminLimit is how long a delivery waits for admin's answer before it goes to the spool: GitHub waits 10 s.
const adminLimit = 2 * time.Second
