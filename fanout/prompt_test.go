package fanout

import (
	"fmt"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"lightspeed/broker/rabbit/rabbittest"
	"lightspeed/run"
)

// An idle listener takes a job within 50 ms of its being queued, in the middle of twenty; on a machine that is busy,
// within what as many bare messages through the same broker, sent in between, show it to be slower. The lease is a long
// one: what comes without a hint comes ten seconds late.
func TestIdleListenerIsPrompt(t *testing.T) {
	t.Parallel()
	url := rabbittest.Start(t).Vhost(t)
	w := newWorld(t, "30s")
	w.start(url)
	w.listener("a", 1, "job").start(url)
	w.awaitVia("job", 1, "rabbitmq")
	bare := newBareQueue(t, url)
	var waits, trips []time.Duration
	for i := range 20 {
		r := w.awaitStatus(w.push(fmt.Sprintf("main-%d", i)), run.Passed)
		waits = append(waits, r.StartedAt.Sub(r.QueuedAt))
		trips = append(trips, bare.trip())
	}
	w.settle(1)
	took, trip := median(waits), median(trips)
	t.Logf("queued → claimed by an idle listener: median %v, most %v; a bare message: median %v", took, waits[len(waits)-1], trip)
	if most := 50*time.Millisecond + hops*trip; took > most {
		t.Errorf("an idle listener takes a job %v after it was queued, and a bare message takes %v", took, trip)
	}
}

// hops is how many times as long as a bare message a job may take beyond the 50 ms: between its being queued and its
// being claimed are admin's commit and hint, the broker, the listener, and admin again.
const hops = 10

// bareQueue is a queue that one connection publishes to and another consumes from.
type bareQueue struct {
	t    *testing.T
	to   *amqp.Channel
	name string
	from <-chan amqp.Delivery
}

func newBareQueue(t *testing.T, url string) *bareQueue {
	t.Helper()
	out, in := channel(t, url), channel(t, url)
	queue, err := in.QueueDeclare("bare", false, true, true, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	from, err := in.Consume(queue.Name, "", true, true, false, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	return &bareQueue{t, out, queue.Name, from}
}

func channel(t *testing.T, url string) *amqp.Channel {
	t.Helper()
	conn, err := amqp.Dial(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	return ch
}

// trip sends a message and says how long it took to come.
func (q *bareQueue) trip() time.Duration {
	q.t.Helper()
	start := time.Now()
	if err := q.to.PublishWithContext(q.t.Context(), "", q.name, false, false, amqp.Publishing{Body: []byte("x")}); err != nil {
		q.t.Fatal(err)
	}
	select {
	case _, open := <-q.from:
		if !open {
			q.t.Fatal("the broker has closed the queue")
		}
	case <-time.After(time.Minute):
		q.t.Fatal("a bare message did not come within a minute")
	}
	return time.Since(start)
}
