package admin

import (
	"context"
	"errors"
	"testing"
	"time"

	"lightspeed/api"
	"lightspeed/broker"
	"lightspeed/broker/embedded"
	"lightspeed/run"
)

// hinted starts an admin with a broker, and a slot of a listener's queue.
func hinted(t *testing.T, concurrency int) (*fixture, *listener, broker.Slot) {
	b := embedded.New()
	t.Cleanup(func() { _ = b.Close() })
	f := start(t, func(o *Options) { o.Announcer = b })
	l := f.listener("web", func(r *api.Registration) { r.Settings.Concurrency = concurrency })
	slot := b.Slot("web")
	t.Cleanup(slot.Close)
	return f, l, slot
}

// next takes a hint, which must come. There is a queue from the registration's answer on.
func next(t *testing.T, slot broker.Slot) broker.Hint {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	held, err := slot.Next(ctx)
	if err != nil {
		t.Fatal(err)
	}
	held.Done()
	return held.Hint
}

// nothing checks that no hint waits.
func nothing(t *testing.T, f *fixture) {
	t.Helper()
	if n, err := f.server.opt.Announcer.Declare(t.Context(), "web"); err != nil || n != 0 {
		t.Fatalf("%d hints wait, %v", n, err)
	}
}

func TestHintsAreSentOnQueueingAndAtEnds(t *testing.T) {
	f, l, slot := hinted(t, 1)
	if done := l.register(); done.Broker == "" {
		t.Error("the broker is not named")
	}
	first := f.push("d1", "main").Runs[0].ID
	if h := next(t, slot); h.Queue != "web" || h.Run != first {
		t.Errorf("%+v", h)
	}
	c := l.mustClaim()
	f.push("d2", "main")
	nothing(t, f) // no slot is free
	l.finish(c, run.Passed)
	next(t, slot)
	l.finish(l.mustClaim(), run.Passed)
	nothing(t, f)
}

func TestNoMoreHintsThanSlots(t *testing.T) {
	f, l, slot := hinted(t, 2)
	next0 := func() int {
		n, err := f.server.opt.Announcer.Declare(t.Context(), "web")
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	f.push("d0", "main")
	next(t, slot) // the queue is there from now on
	l.finish(l.mustClaim(), run.Passed)
	for i := range 10 {
		f.push("d"+string(rune('1'+i)), "main")
		if n := next0(); n > 2 {
			t.Fatalf("%d hints wait for two slots", n)
		}
	}
	for range 10 {
		next(t, slot)
		l.finish(l.mustClaim(), run.Passed)
		if n := next0(); n > 2 {
			t.Fatalf("%d hints wait for two slots", n)
		}
	}
	nothing(t, f)
}

// What an outdated instance was hinted is announced again.
func TestHintOfAnOutdatedInstanceComesAgain(t *testing.T) {
	f, l, slot := hinted(t, 1)
	f.push("d1", "main")
	next(t, slot)
	newer := f.listener("web", func(r *api.Registration) { r.Instance = "i2"; r.Settings.Concurrency = 2 })
	_, err := f.client.Claim(t.Context(), "web", l.request(), 0)
	f.wantCode(err, 409, api.Outdated)
	next(t, slot)
	if c := newer.claim(); c == nil {
		t.Error("nothing to claim")
	}
}

// A broker that has lost everything is filled again.
func TestLostHintsComeAgain(t *testing.T) {
	f, _, slot := hinted(t, 1)
	f.push("d1", "main")
	next(t, slot) // taken, and its taker died
	if err := f.server.hints.reconcile(t.Context(), f.server.store, true); err != nil {
		t.Fatal(err)
	}
	next(t, slot)
}

func TestRemovedListenersQueueIsForgotten(t *testing.T) {
	f, _, slot := hinted(t, 1)
	f.push("d1", "main")
	next(t, slot)
	if err := f.client.RemoveListener(t.Context(), "web", true); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for ctx.Err() == nil { // until there is no such queue
		_, err := slot.Next(ctx)
		var down *broker.DownError
		if errors.As(err, &down) {
			return
		}
	}
	t.Error("the queue is still there")
}

func TestHowAnInstanceIsTold(t *testing.T) {
	f, l, slot := hinted(t, 1)
	via := func() string {
		t.Helper()
		found, err := f.client.Listener(t.Context(), "web")
		if err != nil {
			t.Fatal(err)
		}
		return found.Instances[0].Via
	}
	if got := via(); got != "rabbitmq" {
		t.Errorf("at first %s", got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	waits := l.stand(ctx)
	if got := via(); got != "claim" {
		t.Errorf("while its claim stands %s", got)
	}
	cancel()
	<-waits
	l.awaitGone()
	f.push("d1", "main")
	next(t, slot)
	l.mustClaim()
	if got := via(); got != "rabbitmq" {
		t.Errorf("after a claim that a hint led to %s", got)
	}
	if status, body := f.call("GET", "/readyz", ""); status != 200 || body != `{"ready":true,"checks":{"broker":"ok","database":"ok"}}` {
		t.Errorf("%d %s", status, body)
	}
}
