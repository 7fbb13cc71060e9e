package fanout

import (
	"testing"
	"time"

	"lightspeed/broker/rabbit/rabbittest"
	"lightspeed/run"
)

// From no broker to RabbitMQ and back, with a run that goes on and others that wait, by setting a URL and
// restarting one after the other: nothing is lost, nothing is run twice.
func TestMoving(t *testing.T) {
	t.Parallel()
	url := rabbittest.Start(t).Vhost(t)
	w := newWorld(t, "3s")
	w.start("")
	busy, idle := w.listener("busy", 1, "job"), w.listener("idle", 1, "job")
	busy.start("")
	w.awaitVia("job", 1, "claim")
	there := w.push("gate")
	w.awaitMark("started", w.runOf(there))
	waiting := w.push("main")

	idle.start(url) // the listener first
	idle.saysOnce(fellBack, "admin announces through no broker now")
	w.admin.stop()
	w.admin.start(url)
	began := time.Now()
	idle.saysOnce(backAgain)
	if took := time.Since(began); took > 20*time.Second { // no claim waits for so long at admin meanwhile
		t.Errorf("a listener was told by the broker again %v after admin had one", took)
	}
	w.awaitStatus(there, run.Running)
	w.awaitStatus(waiting, run.Queued)
	w.open("gate")
	w.awaitStatus(there, run.Passed)
	w.awaitStatus(waiting, run.Passed)
	busy.stop()
	busy.start(url)
	w.awaitVia("job", 2, "rabbitmq")
	for range 5 {
		w.push("main")
	}

	back := w.push("gate2")
	w.awaitMark("started", w.runOf(back))
	waiting = w.push("main")
	w.admin.stop() // admin first
	w.admin.start("")
	idle.saysOnce(fellBack)
	w.awaitStatus(back, run.Running)
	w.awaitStatus(waiting, run.Queued)
	w.open("gate2")
	w.awaitStatus(waiting, run.Passed)
	for _, l := range w.listeners {
		l.stop()
		l.start("")
	}
	w.awaitVia("job", 2, "claim")
	w.push("main")
	w.settle(1)
	if n := idle.said(fellBack); n != 0 {
		t.Errorf("a listener without a broker says %d times that it does without", n)
	}
}
