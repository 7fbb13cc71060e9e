package rabbit

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"lightspeed/broker"
	"lightspeed/broker/brokertest"
	"lightspeed/broker/rabbit/rabbittest"
)

// The tests of this file break the whole node. They are not parallel: these run before those that are.

// TestKilled: kill -9 of the broker, with hints on their way, waiting, and in hand.
func TestKilled(t *testing.T) {
	node := rabbittest.Start(t)
	p := connect(t, quick, node.Vhost(t))
	brokertest.Declare(t, p.a, "q")
	awaitMissed(t, p.a)
	for i := range 5 {
		p.a.Announce(broker.Hint{Queue: "q", Run: fmt.Sprint(i)})
	}
	slot := p.c.Slot("q")
	held := brokertest.Next(t, slot)
	brokertest.Waiting(t, p.a, "q", 4)
	node.Sync(t)

	node.Kill(t)
	awaitWhy(t, p.a.link, "nothing listens there")
	awaitWhy(t, p.c.link, "nothing listens there")
	p.a.Announce(broker.Hint{Queue: "q", Run: "lost"})
	awaitMissed(t, p.a)
	within(t, time.Second, "announcing to a broker that is gone", func() {
		for range 5000 {
			p.a.Announce(broker.Hint{Queue: "q", Run: "lost"})
		}
	})
	held.Done() // nobody hears of it
	var down *broker.DownError
	if _, err := slot.Next(t.Context()); !errors.As(err, &down) || down.State.Hint == "" {
		t.Fatalf("Next without a broker: %v, want a DownError with a hint", err)
	}
	if _, err := p.a.Declare(t.Context(), "q"); !errors.As(err, &down) {
		t.Fatalf("Declare without a broker: %v, want a DownError", err)
	}

	node.Boot(t)
	awaitUp(t, p.a.link)
	awaitMissed(t, p.a) // of the new connection, if not of before
	got := map[string]bool{}
	for len(got) < 5 { // also what was in hand
		held := brokertest.Next(t, slot)
		got[held.Hint.Run] = true
		held.Done()
	}
	if got["lost"] {
		t.Error("a hint from while the broker was down was sent")
	}
	p.logA.wantOnce("level=WARN", "nothing listens there", "hint=")
	p.logA.wantOnce("level=INFO", "is connected", "after=")
	p.logC.wantOnce("level=WARN", "nothing listens there", "hint=")
	p.logC.wantOnce("level=INFO", "is connected", "after=")
}

// TestWiped: the broker comes back without vhosts and queues.
func TestWiped(t *testing.T) {
	node := rabbittest.Start(t)
	url := node.Vhost(t)
	p := connect(t, quick, url)
	slot := p.c.Slot("q")
	p.flows(t, "q", "1")
	p.a.Announce(broker.Hint{Queue: "q", Run: "wiped"})
	brokertest.Waiting(t, p.a, "q", 1)
	node.Kill(t)
	node.Wipe(t)
	node.Boot(t)
	state := awaitWhy(t, p.a.link, "there is no vhost "+rabbittest.VhostOf(url))
	if want := "rabbitmqctl add_vhost " + rabbittest.VhostOf(url); state.Hint[:len(want)] != want {
		t.Errorf("hint %q, want %q", state.Hint, want)
	}
	node.Shell(t, state.Hint[:len("rabbitmqctl add_vhost ")+len(rabbittest.VhostOf(url))])
	node.Grant(t, "guest", rabbittest.VhostOf(url), ".*", ".*", ".*")
	awaitUp(t, p.c.link)
	var down *broker.DownError
	if _, err := slot.Next(t.Context()); !errors.As(err, &down) || down.State.Why == "" {
		t.Fatalf("Next of a queue that was wiped: %v", err)
	}
	p.logC.wantOnce("level=WARN", "there is no queue ls.job.q", "hint=")
	if waiting := brokertest.Declare(t, p.a, "q"); waiting != 0 {
		t.Fatalf("%d hints wait in a wiped queue", waiting)
	}
	p.a.Announce(broker.Hint{Queue: "q", Run: "again"})
	if held := brokertest.Next(t, slot); held.Hint.Run != "again" {
		t.Fatalf("hint %+v", held.Hint)
	}
	p.logC.wantOnce("level=INFO", "queue works again")
}

// TestMemoryAlarm: the broker takes nothing of publishers. The library would hang in Publish and Close.
func TestMemoryAlarm(t *testing.T) {
	node := rabbittest.Start(t)
	url := node.Vhost(t)
	p := connect(t, quick, url)
	p.flows(t, "q", "1")
	awaitMissed(t, p.a)
	node.Alarm(t)
	// The broker says that it is blocked once something comes after the alarm has reached the connection.
	again, over := time.NewTicker(100*time.Millisecond), time.After(time.Minute)
	defer again.Stop()
	_, state, _ := p.a.link.now()
	for ; !strings.Contains(state.Why, "takes no messages"); _, state, _ = p.a.link.now() {
		p.a.Announce(broker.Hint{Queue: "q", Run: "2"})
		select {
		case <-again.C:
		case <-over:
			t.Fatalf("state %+v, want that the broker takes no messages", state)
		}
	}
	if state.Hint == "" {
		t.Error("nothing says what to do")
	}
	within(t, time.Second, "announcing to a blocked broker", func() {
		for range 5000 {
			p.a.Announce(broker.Hint{Queue: "q", Run: "more"})
		}
	})
	awaitMissed(t, p.a) // 1024 wait, the others are dropped
	within(t, time.Second, "declaring at a blocked broker", func() {
		if _, err := p.a.Declare(t.Context(), "q"); err == nil {
			t.Error("a blocked broker declared a queue")
		}
	})
	if !p.c.State().Up {
		t.Error("consuming is down: it is not blocked")
	}
	other := connect(t, quick, url) // comes while the alarm is on
	awaitUp(t, other.a.link)
	other.a.Announce(broker.Hint{Queue: "q", Run: "3"})
	awaitWhy(t, other.a.link, "takes no messages")
	within(t, 2*quick.goodbye, "closing while blocked", func() { _ = other.close() })

	node.CloseConnections(t, url, "test") // those that wait to be sent go with the connection
	awaitUp(t, p.a.link)
	node.Calm(t)
	awaitUp(t, p.a.link)
	if waiting := brokertest.Declare(t, p.a, "q"); waiting > window {
		t.Errorf("%d hints from before the connection wait", waiting)
	}
	p.flows(t, "q", "4")
	p.logA.wantOnce("level=WARN", "takes no messages", "hint=")
}

// TestFrozen: the broker's process is stopped: connections stand, and nothing answers.
func TestFrozen(t *testing.T) {
	node := rabbittest.Start(t)
	url := node.Vhost(t)
	p, leaver := connect(t, quick, url), connect(t, quick, url)
	p.flows(t, "q", "1")
	slot := p.c.Slot("q")
	waits := make(chan error, 1)
	go func() {
		_, err := slot.Next(context.Background())
		waits <- err
	}()
	awaitUp(t, leaver.a.link)
	awaitUp(t, leaver.c.link)

	node.Freeze(t)
	within(t, time.Second, "announcing to a frozen broker", func() {
		for range 5000 {
			p.a.Announce(broker.Hint{Queue: "q", Run: "2"})
		}
	})
	within(t, 3*quick.goodbye, "closing while the broker is frozen", func() { _ = leaver.close() })
	awaitWhy(t, p.a.link, "no answer within")
	var down *broker.DownError
	if err := <-waits; !errors.As(err, &down) {
		t.Fatalf("a Next that waited: %v, want a DownError", err)
	}
	awaitWhy(t, p.c.link, "no answer within")

	node.Thaw(t)
	awaitUp(t, p.a.link)
	awaitUp(t, p.c.link)
	p.flows(t, "q", "3")
	p.logA.wantOnce("level=WARN", "no answer within", "hint=")
	p.logC.wantOnce("level=WARN", "no answer within", "hint=")
}

// TestConsumerTimeout: a hint that is held too long goes to another slot, and settling it then does no harm.
func TestConsumerTimeout(t *testing.T) {
	node := rabbittest.Start(t)
	node.ConsumerTimeout(t, "3000")
	p := connect(t, normal, node.Vhost(t))
	brokertest.Declare(t, p.a, "q")
	sleepy, other := p.c.Slot("q"), p.c.Slot("q")
	p.a.Announce(broker.Hint{Queue: "q", Run: "1"})
	held := brokertest.Next(t, sleepy)
	again := brokertest.Next(t, other)
	if again.Hint != held.Hint {
		t.Fatalf("hint %+v, want %+v", again.Hint, held.Hint)
	}
	held.Done()
	p.a.Announce(broker.Hint{Queue: "q", Run: "2"})
	if next := brokertest.Next(t, sleepy); next.Hint.Run != "2" { // and not 1: it is not acknowledged for other
		t.Fatalf("hint %+v, want 2", next.Hint)
	}
	again.Done()
}

// TestGoroutines: lost connections leave nothing behind.
func TestGoroutines(t *testing.T) {
	node := rabbittest.Start(t)
	url := node.Vhost(t)
	p := connect(t, quick, url)
	brokertest.Declare(t, p.a, "q")
	var slots []broker.Slot
	for range 20 {
		slots = append(slots, p.c.Slot("q"))
	}
	lose := func() {
		since := awaitUp(t, p.c.link).Since
		for _, s := range slots {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
			_, _ = s.Next(ctx)
			cancel()
		}
		node.CloseConnections(t, url, "test")
		awaitState(t, p.c.link, "another connection", func(s broker.State) bool { return s.Up && s.Since != since })
	}
	lose()
	before := runtime.NumGoroutine()
	for range 8 {
		lose()
	}
	for deadline := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > before+5; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines, %d after the first loss", runtime.NumGoroutine(), before)
		}
	}
}
