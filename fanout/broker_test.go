package fanout

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"testing"
	"time"

	"lightspeed/broker/rabbit"
	"lightspeed/broker/rabbit/rabbittest"
	"lightspeed/run"
	"lightspeed/secret"
)

// The tests of this file break the whole node. They are not parallel: these run before those that are.

const backAgain = "is told of work by the broker again"

// kill -9 of the broker in mid flow, with a run that goes on, others that wait, and more that come: nothing is
// lost or run twice, and the listeners do without it until it is back.
func TestBrokerIsKilled(t *testing.T) {
	node := rabbittest.Start(t)
	url := node.Vhost(t)
	w := newWorld(t, "3s")
	w.start(url)
	for _, machine := range []string{"a", "b"} {
		w.listener(machine, 3, "job").start(url)
	}
	w.awaitVia("job", 2, "rabbitmq")
	gate := w.push("gate")
	w.awaitMark("started", w.runOf(gate))
	for i := range 10 {
		w.push(fmt.Sprintf("nap-before-%d", i))
	}
	node.Sync(t)
	node.Kill(t)
	for i := range 10 {
		w.push(fmt.Sprintf("nap-after-%d", i))
	}
	last := w.push("main")
	w.awaitStatus(last, run.Passed) // without a broker
	for _, l := range w.listeners {
		l.saysOnce(fellBack, "hint=")
	}
	w.awaitVia("job", 2, "claim")
	if broker := w.readyz(); broker == "ok" || broker == "" {
		t.Errorf("admin says of a broker that is down: %q", broker)
	}
	node.Boot(t)
	for _, l := range w.listeners {
		l.saysOnce(backAgain)
	}
	w.awaitVia("job", 2, "rabbitmq")
	w.awaitStatus(gate, run.Running)
	w.open("gate")
	w.push("main")
	w.settle(1)
	w.admin.saysOnce("level=WARN", "RabbitMQ", "hint=")
	for _, l := range w.listeners {
		l.saysOnce(fellBack)
	}
	if broker := w.readyz(); broker != "ok" {
		t.Errorf("admin says of a broker that is back: %q", broker)
	}
}

// A broker that comes back without its data is filled again: with queues, and with hints for what waits.
func TestBrokerIsWiped(t *testing.T) {
	node := rabbittest.Start(t)
	url := node.URL("guest", "guest", "/") // which a new broker has
	w := newWorld(t, "3s")
	w.start(url)
	away := w.listener("away", 1, "away")
	away.start(url)
	stays := w.listener("stays", 1, "stays")
	stays.start(url)
	w.awaitVia("stays", 1, "rabbitmq")
	w.awaitVia("away", 1, "rabbitmq")
	away.stop()
	w.push("main")
	w.push("main")
	node.Kill(t)
	node.Wipe(t)
	node.Boot(t)
	stays.saysOnce(backAgain)
	if queue := hinted(t, url, "away"); queue != "away" {
		t.Errorf("a hint about %q", queue)
	}
	away.start(url)
	w.push("main")
	w.settle(2)
	w.awaitVia("away", 1, "rabbitmq")
}

// hinted waits for a hint in a queue, and gives it back.
func hinted(t *testing.T, url, queue string) string {
	t.Helper()
	c, err := rabbit.NewConsumer(rabbit.Options{URLs: []secret.Value{secret.New(url)}, Name: "test", Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	slot := c.Slot(queue)
	defer slot.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		held, err := slot.Next(ctx)
		if err == nil {
			held.GiveBack()
			return held.Hint.Queue
		}
		if ctx.Err() != nil {
			t.Fatalf("no hint in queue %s: %v", queue, err)
		}
		rest(ctx, 100*time.Millisecond)
	}
}

// rest keeps a loop from being a storm.
func rest(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// A broker that takes no messages: accepting and running go on.
func TestMemoryAlarm(t *testing.T) {
	node := rabbittest.Start(t)
	url := node.Vhost(t)
	w := newWorld(t, "3s")
	w.start(url)
	l := w.listener("a", 1, "job")
	l.start(url)
	w.awaitVia("job", 1, "rabbitmq")
	node.Alarm(t)
	for range 5 {
		w.push("main")
	}
	w.settle(1)
	w.admin.saysOnce("level=WARN", "takes no messages", "memory", "rabbitmq-diagnostics alarms")
	l.saysOnce(fellBack, "admin announces through no broker now")
	if broker := w.readyz(); broker == "ok" || broker == "" {
		t.Errorf("admin says of a broker that takes nothing: %q", broker)
	}
	node.Calm(t)
	l.saysOnce(backAgain)
	w.push("main")
	w.settle(1)
}

// A broker that is frozen, with all its connections: accepting and running go on.
func TestBrokerIsFrozen(t *testing.T) {
	node := rabbittest.Start(t)
	url := node.Vhost(t)
	w := newWorld(t, "3s")
	w.start(url)
	l := w.listener("a", 2, "job")
	l.start(url)
	w.awaitVia("job", 1, "rabbitmq")
	gate := w.push("gate")
	w.awaitMark("started", w.runOf(gate))
	node.Freeze(t)
	for range 3 {
		w.awaitStatus(w.push("main"), run.Passed)
	}
	l.saysOnce(fellBack, "hint=")
	w.awaitStatus(w.push("main"), run.Passed)
	node.Thaw(t)
	l.saysOnce(backAgain)
	w.open("gate")
	w.push("main")
	w.settle(1)
	if broker := w.readyz(); broker != "ok" {
		t.Errorf("admin says of a broker that goes on: %q", broker)
	}
}
