package admin

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"lightspeed/api"
	"lightspeed/fault"
	"lightspeed/match"
	"lightspeed/run"
)

// Defaults of Settings that were left out, and their limits.
const (
	defaultMaxWaitS = int64(7 * 24 * 3600)
	defaultTimeoutS = int64(3600)
	maxSeconds      = int64(10 * 365 * 24 * 3600)
	maxConcurrency  = 10000
	maxHolds        = 100000
)

func (s *Server) putListener(w http.ResponseWriter, r *http.Request) error {
	name, err := listenerName(r)
	if err != nil {
		return err
	}
	if q := readQuery(r); q.err != nil {
		return q.err
	}
	var reg api.Registration
	if err := readJSON(w, r, maxRegistration, &reg); err != nil {
		return err
	}
	if err := checkRegistration(name, &reg); err != nil {
		return err
	}
	done, err := s.store.Register(r.Context(), name, reg)
	if err != nil {
		return err
	}
	fault.Point("admin.registered")
	s.leases.registered(name, reg.Instance, reg.Temporary, reg.Waiting, time.Now().UTC())
	if done.New {
		s.hints.registered(r.Context(), name)
		s.log.Info("listener registered", "listener", name, "host", reg.Host, "instance", reg.Instance, "revision", done.Revision)
	}
	for _, ref := range done.Renewed {
		s.leases.renew(ref, time.Now().UTC())
	}
	return writeJSON(w, http.StatusOK, api.Registered{
		Listener: name, Revision: done.Revision, Outdated: done.Outdated, LeaseS: s.leases.seconds(), Broker: s.hints.broker(name), Page: s.opt.PublicURL,
	})
}

// checkRegistration refuses what cannot be kept, and fills in defaults.
func checkRegistration(name string, r *api.Registration) error {
	for _, id := range []struct{ key, value string }{{"instance", r.Instance}, {"start", r.Start}} {
		if err := checkID(id.key, id.value); err != nil {
			return err
		}
	}
	if len(r.Host) > 255 {
		return badRequest("host is longer than 255 bytes")
	}
	if r.Waiting != nil && len(r.Waiting.Lock) > 255 {
		return badRequest("waiting.lock is longer than 255 bytes")
	}
	if r.Revision < 1 {
		return badRequest("revision %d is less than 1", r.Revision)
	}
	if len(r.Holds) > maxHolds {
		return badRequest("holds names %d attempts, more than %d", len(r.Holds), maxHolds)
	}
	if r.Settings.Rules.Name == "" {
		r.Settings.Rules.Name = name
	}
	if r.Settings.Rules.Name != name {
		return badRequest("settings.rules.name %q is not the listener's %q", r.Settings.Rules.Name, name)
	}
	if _, err := match.Compile(r.Settings.Rules); err != nil {
		return badRequest("settings.rules: %v", err)
	}
	return checkSettings(&r.Settings)
}

// checkID wants a short text of visible ASCII.
func checkID(key, value string) error {
	if value == "" || len(value) > 100 {
		return badRequest("%s must have 1 to 100 characters", key)
	}
	for _, c := range []byte(value) {
		if c <= ' ' || c > '~' {
			return badRequest("%s may hold visible ASCII only", key)
		}
	}
	return nil
}

func checkSettings(s *api.Settings) error {
	if s.Concurrency == 0 {
		s.Concurrency = 1
	}
	if s.WhenBusy == "" {
		s.WhenBusy = api.Queue
	}
	if s.OnLost == "" {
		s.OnLost = api.Fail
	}
	if s.MaxWaitS == 0 {
		s.MaxWaitS = defaultMaxWaitS
	}
	if s.TimeoutS == 0 {
		s.TimeoutS = defaultTimeoutS
	}
	switch {
	case s.Concurrency < 1 || s.Concurrency > maxConcurrency:
		return badRequest("settings.concurrency %d is not between 1 and %d", s.Concurrency, maxConcurrency)
	case s.WhenBusy != api.Queue && s.WhenBusy != api.Supersede && s.WhenBusy != api.Latest:
		return badRequest("settings.when_busy %q is none of queue, supersede, latest", shorten(s.WhenBusy, 50))
	case s.OnLost != api.Fail && s.OnLost != api.Requeue:
		return badRequest("settings.on_lost %q is neither fail nor requeue", shorten(s.OnLost, 50))
	}
	for _, t := range []struct {
		key   string
		value int64
	}{{"max_wait_s", s.MaxWaitS}, {"timeout_s", s.TimeoutS}, {"grace_s", s.GraceS}} {
		if t.value < 0 || t.value > maxSeconds {
			return badRequest("settings.%s %d is not between 0 and %d", t.key, t.value, maxSeconds)
		}
	}
	return nil
}

func (s *Server) getListeners(w http.ResponseWriter, r *http.Request) error {
	q := readQuery(r, "limit", "before")
	limit, before := q.limit(), q.text("before")
	if q.err != nil {
		return q.err
	}
	list, err := s.findListeners(r.Context(), limit, before)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, list)
}

func (s *Server) findListeners(ctx context.Context, limit int, before string) (api.List[api.Listener], error) {
	list, err := s.store.Listeners(ctx, limit, before)
	for i := range list.Items {
		s.showListener(&list.Items[i])
	}
	return list, err
}

func (s *Server) getListener(w http.ResponseWriter, r *http.Request) error {
	if q := readQuery(r); q.err != nil {
		return q.err
	}
	return s.answerListener(w, r, r.PathValue("name"))
}

func (s *Server) answerListener(w http.ResponseWriter, r *http.Request, name string) error {
	l, err := s.findListener(r.Context(), name)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, l)
}

func (s *Server) findListener(ctx context.Context, name string) (api.Listener, error) {
	l, err := s.store.Listener(ctx, name)
	if err == nil {
		s.showListener(&l)
	}
	return l, err
}

// Values of api.Instance.Via.
const (
	viaClaim  = "claim"
	viaBroker = "rabbitmq"
)

// showListener adds what is known of a listener beside the store: its sentence, and who is there.
func (s *Server) showListener(l *api.Listener) {
	l.Says = l.Settings.Rules.Sentence()
	for i := range l.Instances {
		own := &l.Instances[i]
		known := s.leases.presence(l.Name, own.Instance)
		own.Connected = known.connected
		if known.connected {
			own.Waiting = known.lock
		}
		if known.seen.After(own.LastSeen) {
			own.LastSeen = known.seen
		}
		if own.Via = viaClaim; s.hints != nil && !known.waits {
			own.Via = viaBroker
		}
		l.Connected = l.Connected || (own.Connected && !own.Outdated)
	}
}

// deleteListener forgets a listener. One that is connected is kept, unless forced or temporary: a temporary
// one says so itself when it leaves.
func (s *Server) deleteListener(w http.ResponseWriter, r *http.Request) error {
	q := readQuery(r, "force")
	force := q.flag("force")
	if q.err != nil {
		return q.err
	}
	name := r.PathValue("name")
	l, err := s.store.Listener(r.Context(), name)
	if err != nil {
		return err
	}
	if !l.Temporary && !s.auth.isPeople(r) {
		return api.Errorf(http.StatusForbidden, api.Forbidden, "this token may only remove temporary listeners")
	}
	if err := s.removeListener(r.Context(), l, force); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (s *Server) removeListener(ctx context.Context, l api.Listener, force bool) error {
	if !force && !l.Temporary && s.leases.connected(l.Name) {
		return api.Errorf(http.StatusConflict, api.Conflict, "listener %q is connected: end it first, or force its removal", l.Name)
	}
	return s.forget(ctx, l.Name)
}

func (s *Server) forget(ctx context.Context, name string) error {
	err := s.store.Remove(ctx, name)
	if err == nil || api.IsCode(err, api.NotFound) {
		s.leases.forget(name)
	}
	if err != nil {
		return err
	}
	s.hints.changed(name)
	s.log.Info("listener removed", "listener", name, "asked_by", askedBy(ctx))
	return nil
}

// postClaim hands out the next run of a queue, and waits for one.
func (s *Server) postClaim(w http.ResponseWriter, r *http.Request) error {
	name, claim, wait, err := readClaim(w, r)
	if err != nil {
		return err
	}
	ref, err := s.claim(r.Context(), name, claim, wait)
	if err != nil {
		return err
	}
	if ref.Run == "" {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	fault.Point("admin.claimed")
	return s.answerClaim(w, r, ref)
}

// postLook says whether there is a run to claim, and waits for one.
func (s *Server) postLook(w http.ResponseWriter, r *http.Request) error {
	name, claim, wait, err := readClaim(w, r)
	if err != nil {
		return err
	}
	ctx, done := s.untilStop(r.Context())
	defer done()
	defer s.leases.claims(name, claim.Instance, wait > 0)()
	work, err := s.store.Look(ctx, name, claim, wait)
	if err == nil && !work && s.stopping.Err() != nil {
		err = unavailable("admin is stopping")
	}
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, api.Looked{Work: work})
}

func readClaim(w http.ResponseWriter, r *http.Request) (name string, claim api.ClaimRequest, wait time.Duration, err error) {
	q := readQuery(r, "wait")
	wait = q.wait()
	if err = q.err; err != nil {
		return
	}
	if name, err = listenerName(r); err != nil {
		return
	}
	if err = readJSON(w, r, maxSmallBody, &claim); err != nil {
		return
	}
	for _, id := range []struct{ key, value string }{{"instance", claim.Instance}, {"start", claim.Start}, {"key", claim.Key}} {
		if err = checkID(id.key, id.value); err != nil {
			return
		}
	}
	return
}

// claim waits for a run until wait is over, the caller has gone, or admin stops.
func (s *Server) claim(ctx context.Context, name string, claim api.ClaimRequest, wait time.Duration) (run.Ref, error) {
	ctx, done := s.untilStop(ctx)
	defer done()
	defer s.leases.claims(name, claim.Instance, wait > 0)()
	if wait == 0 {
		s.hints.used(name)
	}
	ref, err := s.store.Claim(ctx, name, claim, wait)
	if err == nil && ref.Run == "" && s.stopping.Err() != nil {
		return ref, unavailable("admin is stopping")
	}
	return ref, err
}

// untilStop ends a call's wait when admin stops.
func (s *Server) untilStop(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(s.stopping, cancel)
	return ctx, func() { stop(); cancel() }
}

func (s *Server) answerClaim(w http.ResponseWriter, r *http.Request, ref run.Ref) error {
	// A caller that has gone meanwhile still needs no error: its key gets the same answer again.
	c, length, err := s.store.Claimed(r.Context(), ref, leastShare)
	if err != nil {
		return fmt.Errorf("reading what was claimed: %w", err)
	}
	done, err := s.share(r.Context(), length)
	if err != nil {
		return err
	}
	defer done()
	if length > leastShare {
		d, err := s.store.Stored(r.Context(), c.Delivery.ID)
		if err != nil {
			return err
		}
		c.Payload = d.Delivery.Body
	}
	c.LeaseS = s.leases.seconds()
	s.metrics.claimed(c.Run, c.Attempt)
	return writeJSON(w, http.StatusOK, c)
}
