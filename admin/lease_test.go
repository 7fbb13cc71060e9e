package admin

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"time"

	"lightspeed/admin/store"
	"lightspeed/api"
	"lightspeed/run"
)

const lostReason = "listener on box was not heard of for 30s"

func TestSilentListenerLosesItsRun(t *testing.T) {
	f := start(t)
	l := f.listener("web")
	id := f.push("d1", "main").Runs[0].ID
	c := l.mustClaim()
	f.tick(30)
	f.wantRun(id, run.Running, "")
	if _, err := f.client.Renew(t.Context(), refOf(c), 0); err != nil {
		t.Fatal(err)
	}
	f.tick(30) // the first may come at once: 29 seconds and a bit
	f.wantRun(id, run.Running, "")
	f.tick(1)
	r := f.wantRun(id, run.Lost, lostReason)
	if r.SlotHeldUntil == nil {
		t.Error("it keeps no slot")
	}
}

// A listener that was cut off and comes back need not end its run, and its late result is taken.
func TestCutOffListenerReportsLate(t *testing.T) {
	f := start(t)
	l := f.listener("web")
	id := f.push("d1", "main").Runs[0].ID
	c := l.mustClaim()
	f.tick(31)
	f.wantRun(id, run.Lost, lostReason)
	if renewal, err := f.client.Renew(t.Context(), refOf(c), 10*time.Second); err != nil || renewal.Cancel != nil {
		t.Fatalf("%+v, %v", renewal, err)
	}
	if _, err := f.client.AppendLog(t.Context(), refOf(c), 0, []byte("late\n")); err != nil {
		t.Fatal(err)
	}
	if r := f.run(id); r.LogBytes != 5 || r.Attempts[0].LogBytes != 5 {
		t.Errorf("log of a lost run: %+v", r)
	}
	if _, err := f.client.Finish(t.Context(), refOf(c), api.Finish{Status: run.Passed, LogBytes: 5}); err != nil {
		t.Fatal(err)
	}
	f.wantRun(id, run.Passed, "reported late")
	_, err := f.client.Renew(t.Context(), refOf(c), 0)
	f.wantCode(err, 409, api.AttemptOver)
	_, err = f.client.AppendLog(t.Context(), refOf(c), 5, []byte("later\n"))
	f.wantCode(err, 409, api.AttemptOver)
}

func TestRequeuedRunStartsElsewhere(t *testing.T) {
	f := start(t)
	l := f.listener("web", func(r *api.Registration) { r.Settings.OnLost = api.Requeue })
	id := f.push("d1", "main").Runs[0].ID
	first := l.mustClaim()
	f.tick(31)
	f.wantRun(id, run.Queued, lostReason)
	second := l.mustClaim()
	if second.Run.ID != id || second.Attempt != 2 {
		t.Fatalf("%+v", second)
	}
	_, err := f.client.Renew(t.Context(), refOf(first), 0)
	f.wantCode(err, 409, api.AttemptOver)
	_, err = f.client.Finish(t.Context(), refOf(first), api.Finish{Status: run.Passed})
	f.wantCode(err, 409, api.AttemptOver)
	l.finish(second, run.Passed)
}

// A lease that is over cannot be renewed while it is being taken back: the run may be about to start elsewhere.
func TestLeaseThatIsOverIsNotRenewed(t *testing.T) {
	l := newLeases(2 * time.Second)
	ref := run.Ref{Run: "r", Attempt: 1}
	l.committed([]store.Change{{Run: "r", Listener: "web", Status: run.Running, Attempt: 1}})
	l.tick()
	if _, live := l.renew(ref, time.Now()); !live {
		t.Fatal("it is over a second early")
	}
	for range 2 { // the first may come at once
		if expired, _ := l.tick(); len(expired) != 0 {
			t.Fatal("it is over within its two seconds")
		}
	}
	for range 2 { // as often as taking it back fails
		if expired, _ := l.tick(); len(expired) != 1 || expired[0].ref != ref {
			t.Fatalf("expired: %+v", expired)
		}
		if _, live := l.renew(ref, time.Now()); live {
			t.Fatal("it was renewed")
		}
	}
	l.committed([]store.Change{{Run: "r", Status: run.Lost, Attempt: 1}})
	if expired, _ := l.tick(); len(expired) != 0 {
		t.Fatalf("expired: %+v", expired)
	}
}

// All leases begin anew when admin starts, and the instance that registers with what it holds keeps it.
func TestLeasesAfterARestart(t *testing.T) {
	f := start(t)
	l := f.listener("web", func(r *api.Registration) { r.Settings.Concurrency = 2 })
	f.push("d1", "main")
	f.push("d2", "main")
	held, forgotten := l.mustClaim(), l.mustClaim()
	f.tick(20)
	f.end()
	g := startIn(t, f.state)
	g.tick(30)
	g.wantRun(held.Run.ID, run.Running, "")
	l.f, l.reg.Start, l.reg.Holds = g, "s2", []run.Ref{refOf(held)}
	l.register()
	g.wantRun(forgotten.Run.ID, run.Queued, "not started")
	g.tick(30)
	g.wantRun(held.Run.ID, run.Running, "")
	g.tick(1)
	g.wantRun(held.Run.ID, run.Lost, lostReason)
}

func TestRenewComesBackEarlyWithACancel(t *testing.T) {
	f := start(t)
	l := f.listener("web")
	id := f.push("d1", "main").Runs[0].ID
	c := l.mustClaim()
	renewed := make(chan api.Renewal, 1)
	go func() {
		r, err := f.client.Renew(context.Background(), refOf(c), time.Minute)
		if err != nil {
			t.Error(err)
		}
		renewed <- r
	}()
	f.waitForWaiter(id)
	if _, err := f.client.Cancel(t.Context(), id, api.Cancel{By: "ann", Why: "wrong branch"}); err != nil {
		t.Fatal(err)
	}
	if r := <-renewed; r.Cancel == nil || *r.Cancel != (api.Cancel{By: "ann", Why: "wrong branch"}) || r.LeaseS != 30 {
		t.Fatalf("%+v", r)
	}
	if r, err := f.client.Renew(t.Context(), refOf(c), time.Minute); err != nil || r.Cancel == nil {
		t.Errorf("a cancel that stands: %+v, %v", r, err)
	}
	l.finish(c, run.Cancelled)
	f.wantRun(id, run.Cancelled, "cancelled by ann: wrong branch")
}

// waitForWaiter returns once somebody waits for something to happen to a run.
func (f *fixture) waitForWaiter(id string) {
	for {
		f.server.hub.mu.Lock()
		n := len(f.server.hub.waits[id])
		f.server.hub.mu.Unlock()
		if n > 0 {
			return
		}
		runtime.Gosched()
	}
}

// A wait is cut to a third of the lease: a connection that stands is no sign of life.
func TestRenewWaitsNoLongerThanAThirdOfTheLease(t *testing.T) {
	f := start(t, func(o *Options) { o.Lease = 2 * time.Second })
	l := f.listener("web")
	f.push("d1", "main")
	c := l.mustClaim()
	began := time.Now()
	if r, err := f.client.Renew(t.Context(), refOf(c), time.Minute); err != nil || r.LeaseS != 2 {
		t.Fatal(r, err)
	}
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("it took %s", took)
	}
}

func TestWhoIsConnected(t *testing.T) {
	f := start(t)
	connected := func(name string) bool {
		t.Helper()
		l, err := f.client.Listener(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		return l.Connected
	}
	l := f.listener("web")
	if !connected("web") {
		t.Error("not connected after registering")
	}
	f.wantCode(f.client.RemoveListener(t.Context(), "web", false), 409, api.Conflict)
	f.push("d1", "main")
	c := l.mustClaim()
	f.tick(20)
	if _, err := f.client.Renew(t.Context(), refOf(c), 0); err != nil {
		t.Fatal(err)
	}
	f.tick(20)
	if !connected("web") {
		t.Error("not connected though it renews")
	}
	f.tick(11)
	if connected("web") {
		t.Error("connected though silent")
	}
	ctx, cancel := context.WithCancel(t.Context())
	waits := l.stand(ctx)
	f.tick(40)
	if !connected("web") {
		t.Error("not connected though its claim stands")
	}
	cancel()
	<-waits
	l.awaitGone()
	f.tick(31)
	if connected("web") {
		t.Error("connected after its claim has gone")
	}
	if err := f.client.RemoveListener(t.Context(), "web", false); err != nil {
		t.Error(err)
	}
}

// awaitGone returns once the server has seen that the caller of a standing claim has gone.
func (l *listener) awaitGone() {
	for l.f.server.leases.presence(l.name, l.reg.Instance).waiting > 0 {
		runtime.Gosched()
	}
}

// stand sends a claim that waits, and returns once it stands. The channel gets its end.
func (l *listener) stand(ctx context.Context) <-chan *api.Claim {
	l.f.Helper()
	answer := make(chan *api.Claim, 1)
	request := l.request()
	go func() {
		c, _ := l.f.client.Claim(ctx, l.name, request, time.Minute)
		answer <- c
	}()
	for l.f.server.leases.presence(l.name, l.reg.Instance).waiting == 0 {
		select {
		case c := <-answer:
			answer <- c
			return answer
		default:
			runtime.Gosched()
		}
	}
	return answer
}

func TestStandingClaimIsServed(t *testing.T) {
	f := start(t)
	l := f.listener("web")
	waits := l.stand(t.Context())
	id := f.push("d1", "main").Runs[0].ID
	if c := <-waits; c == nil || c.Run.ID != id {
		t.Fatalf("%+v", c)
	}
}

// A machine that goes takes all of its listeners along: that costs a few commits, and time goes on.
func TestManyListenersLeaveAtOnce(t *testing.T) {
	f := start(t)
	const many = 60
	for i := range many {
		f.listener(fmt.Sprint("l", i))
	}
	before := f.server.store.Commits()
	f.tick(31)
	if commits := f.server.store.Commits() - before; commits > many/2 {
		t.Errorf("%d commits", commits)
	}
	if l, err := f.client.Listener(t.Context(), "l0"); err != nil || l.Connected {
		t.Errorf("%+v, %v", l, err)
	}
}

func TestTemporaryListenerIsForgotten(t *testing.T) {
	f := start(t)
	temporary := func(r *api.Registration) { r.Temporary = true }
	l := f.listener("test", temporary)
	id := f.push("d1", "main").Runs[0].ID
	f.tick(31)
	if _, err := f.client.Listener(t.Context(), "test"); !api.IsCode(err, api.NotFound) {
		t.Fatalf("it is still there: %v", err)
	}
	f.waitForState(id, run.Cancelled)
	f.wantRun(id, run.Cancelled, "listener test was removed")
	l.register()
	f.end()
	g := startIn(t, f.state)
	g.tick(31)
	if _, err := g.client.Listener(t.Context(), "test"); !api.IsCode(err, api.NotFound) {
		t.Fatalf("it is still there after a restart: %v", err)
	}
}

// waitForState returns once a run is in a state.
func (f *fixture) waitForState(id string, status run.State) {
	f.Helper()
	woken, done := f.server.hub.subscribe(id)
	defer done()
	for f.run(id).Status != status {
		select {
		case <-woken:
		case <-time.After(20 * time.Second):
			f.Fatalf("run %s is still %s", id, f.run(id).Status)
		}
	}
}

func TestChangedRulesCancelWhatWaits(t *testing.T) {
	f := start(t)
	l := f.listener("web")
	main, dev := f.push("d1", "main").Runs[0].ID, f.push("d2", "dev").Runs[0].ID
	byHand, err := f.client.Trigger(t.Context(), "web", api.Trigger{Repo: "acme/web", Branch: "dev"})
	if err != nil {
		t.Fatal(err)
	}
	l.reg.Revision, l.reg.Settings.Rules.Branches = 2, []string{"main"}
	l.register()
	f.waitForState(dev, run.Cancelled)
	f.wantRun(dev, run.Cancelled, "the listener's rules have changed and no longer match: branches: saw dev, want main")
	if c := l.waitClaim(); c.Run.ID != main {
		t.Errorf("next is %s", c.Run.ID)
	}
	f.wantRun(byHand.Runs[0].ID, run.Queued, "")
}

// waitClaim claims, and waits for a run that is still to be checked.
func (l *listener) waitClaim() *api.Claim {
	l.f.Helper()
	c, err := l.f.client.Claim(l.f.Context(), l.name, l.request(), 20*time.Second)
	if err != nil || c == nil {
		l.f.Fatal(c, err)
	}
	return c
}

func TestMaxWaitIsCounted(t *testing.T) {
	f := start(t)
	f.listener("web", func(r *api.Registration) { r.Settings.MaxWaitS = 5 })
	id := f.push("d1", "main").Runs[0].ID
	f.tick(4)
	f.wantRun(id, run.Queued, "")
	f.tick(2)
	f.wantRun(id, run.Cancelled, "no listener took it within max_wait, 5s")
}

func TestStopAnswersWhatWaits(t *testing.T) {
	f := start(t)
	l := f.listener("web")
	id := f.push("d1", "main").Runs[0].ID
	c := l.mustClaim()
	errs := make(chan error, 2)
	go func() {
		_, err := f.client.Claim(context.Background(), "web", l.request(), time.Minute)
		errs <- err
	}()
	go func() {
		_, err := f.client.Renew(context.Background(), refOf(c), time.Minute)
		errs <- err
	}()
	f.waitForWaiter(id)
	for f.server.leases.presence("web", "i1").waiting == 0 {
		runtime.Gosched()
	}
	f.end() // waits for both, since the http.Server does
	var refused int
	for range 2 {
		if err := <-errs; api.IsCode(err, api.Unavailable) {
			refused++
		} else if err != nil {
			t.Error(err)
		}
	}
	if refused != 1 {
		t.Errorf("%d calls were told that admin stops, want the claim", refused)
	}
}
