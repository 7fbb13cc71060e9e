package rabbit

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"lightspeed/broker"
	"lightspeed/broker/brokertest"
	"lightspeed/broker/rabbit/rabbittest"
	"lightspeed/fleet"
)

// TestAllConnectionsClosed: an operator closes them; whoever waits does not notice more than a pause.
func TestAllConnectionsClosed(t *testing.T) {
	t.Parallel()
	node := rabbittest.Start(t)
	url := node.Vhost(t)
	p := connect(t, quick, url)
	p.flows(t, "q", "1")
	slot := p.c.Slot("q")
	p.a.Announce(broker.Hint{Queue: "q", Run: "2"})
	held := brokertest.Next(t, slot)
	a, c := awaitUp(t, p.a.link), awaitUp(t, p.c.link)
	node.CloseConnections(t, url, "for a test")
	awaitState(t, p.a.link, "connected anew", func(s broker.State) bool { return s.Up && s.Since != a.Since })
	awaitState(t, p.c.link, "connected anew", func(s broker.State) bool { return s.Up && s.Since != c.Since })
	p.logA.wantOnce("level=WARN", "it closed the connection: CONNECTION_FORCED - for a test")
	p.logC.wantOnce("level=WARN", "it closed the connection: CONNECTION_FORCED - for a test")
	if p.logA.again.Load() < 1 || p.logC.again.Load() < 1 {
		t.Error("a connection that came back was not counted")
	}
	again := brokertest.Next(t, slot)
	if again.Hint.Run != "2" {
		t.Fatalf("hint %+v, want the one that was in hand", again.Hint)
	}
	held.Done() // too late: this delivery is gone
	again.Done()
	p.flows(t, "q", "3")
}

// TestQueueDeleted: under a slot that waits. The Announcer is told that its hints reach no queue.
func TestQueueDeleted(t *testing.T) {
	t.Parallel()
	node := rabbittest.Start(t)
	p := connect(t, quick, node.Vhost(t))
	p.flows(t, "q", "1")
	awaitMissed(t, p.a)
	slot := p.c.Slot("q")
	waits := make(chan error, 1)
	go func() {
		_, err := slot.Next(context.Background())
		waits <- err
	}()
	awaitConsuming(t, p, "q")
	if err := p.a.Forget(t.Context(), "q"); err != nil {
		t.Fatal(err)
	}
	var down *broker.DownError
	if err := <-waits; !errors.As(err, &down) || !strings.Contains(down.State.Why, "there is no queue ls.job.q") {
		t.Fatalf("Next: %v, want a DownError that says that the queue is gone", err)
	}
	if state := slot.State(); state.Up || state.Hint == "" || state.Broker == "" {
		t.Errorf("state %+v, want down with a hint", state)
	}
	p.a.Announce(broker.Hint{Queue: "q", Run: "2"})
	awaitMissed(t, p.a)
	p.flows(t, "q", "3")
	if state := slot.State(); !state.Up {
		t.Errorf("state %+v, want up again", state)
	}
	p.logC.wantOnce("level=WARN", "there is no queue ls.job.q", "hint=")
	p.logA.wantOnce("level=WARN", "queue ls.job.q is gone", "hint=")
	p.logA.wantOnce("level=INFO", "queue works again")
}

// awaitConsuming waits until the broker has a consumer of a queue.
func awaitConsuming(t *testing.T, p both, queue string) {
	t.Helper()
	s, _, _ := p.a.link.now()
	ch, err := s.conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	defer ch.Close()
	for t.Context().Err() == nil {
		q, err := ch.QueueDeclarePassive(queueName(queue), true, false, false, false, nil)
		if err != nil {
			t.Fatal(err)
		}
		if q.Consumers > 0 {
			return
		}
	}
}

// TestExchangeDeleted: the next connection makes it anew, and that comes at once.
func TestExchangeDeleted(t *testing.T) {
	t.Parallel()
	node := rabbittest.Start(t)
	p := connect(t, quick, node.Vhost(t))
	p.flows(t, "q", "1")
	s, _, _ := p.a.link.now()
	ch, err := s.conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	if err := ch.ExchangeDelete(exchange, false, false); err != nil {
		t.Fatal(err)
	}
	p.a.Announce(broker.Hint{Queue: "q", Run: "2"}) // is lost
	p.flows(t, "q", "3")
}

// TestQueueWithoutLeader: a queue that gives no answer holds up no other one, and no connection.
func TestQueueWithoutLeader(t *testing.T) {
	t.Parallel()
	node := rabbittest.Start(t)
	url := node.Vhost(t)
	p := connect(t, quick, url)
	p.flows(t, "sick", "1")
	p.flows(t, "well", "1")
	slot := p.c.Slot("sick")
	p.a.Announce(broker.Hint{Queue: "sick", Run: "2"})
	held := brokertest.Next(t, slot)
	a, c := awaitUp(t, p.a.link), awaitUp(t, p.c.link)

	node.Suspend(t, url, "ls.job.sick")
	held.Done()
	for i := range 2 * window { // more than may be on the way
		p.a.Announce(broker.Hint{Queue: "sick", Run: fmt.Sprint(i)})
	}
	var down *broker.DownError
	for _, s := range []broker.Slot{slot, p.c.Slot("sick")} {
		if _, err := s.Next(t.Context()); !errors.As(err, &down) || !strings.Contains(down.State.Why, "gives no answer") {
			t.Fatalf("Next: %v, want a DownError that says that the queue is silent", err)
		}
	}
	within(t, quick.answer+time.Second, "declaring a silent queue three times", func() {
		for range 3 {
			if _, err := p.a.Declare(t.Context(), "sick"); !errors.As(err, &down) || down.State.Hint == "" {
				t.Fatalf("Declare: %v, want a DownError with a hint", err)
			}
		}
	})
	p.flows(t, "well", "2")
	if awaitUp(t, p.a.link) != a || awaitUp(t, p.c.link) != c {
		t.Error("a silent queue ended a connection")
	}
	p.logA.wantOnce("level=WARN", "queue ls.job.sick gives no answer", "hint=")
	p.logC.wantOnce("level=WARN", "queue ls.job.sick gives no answer", "hint=")

	node.Resume(t, url, "ls.job.sick")
	for p.a.unconfirmed.has("sick") {
		awaitMissed(t, p.a)
	}
	if waiting := brokertest.Declare(t, p.a, "sick"); waiting > window {
		t.Errorf("%d hints were sent to a silent queue", waiting)
	}
	p.flows(t, "sick", "again")
	p.logA.wantOnce("level=INFO", "queue works again")
	p.logC.wantOnce("level=INFO", "queue works again")
}

// TestDeliveryLimit: the broker drops a hint that was given back too often. Nothing hangs on it.
func TestDeliveryLimit(t *testing.T) {
	t.Parallel()
	node := rabbittest.Start(t)
	url := node.Vhost(t)
	node.Eval(t, `rabbit_policy:set(<<"`+rabbittest.VhostOf(url)+`">>, <<"limit">>, <<"^ls">>, [{<<"delivery-limit">>, 1}], 0, <<"queues">>, <<"test">>)`)
	p := connect(t, quick, url)
	brokertest.Declare(t, p.a, "q")
	slot := p.c.Slot("q")
	p.a.Announce(broker.Hint{Queue: "q", Run: "1"})
	for range 2 {
		brokertest.Next(t, slot).GiveBack()
	}
	brokertest.Waiting(t, p.a, "q", 0)
	p.a.Announce(broker.Hint{Queue: "q", Run: "2"})
	if held := brokertest.Next(t, slot); held.Hint.Run != "2" {
		t.Fatalf("hint %+v, want 2", held.Hint)
	}
}

// TestForeignMessages: what is not a hint is dropped, and said.
func TestForeignMessages(t *testing.T) {
	t.Parallel()
	node := rabbittest.Start(t)
	p := connect(t, quick, node.Vhost(t))
	brokertest.Declare(t, p.a, "q")
	s, _, _ := p.a.link.now()
	ch, err := s.conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	foreign := []amqp.Publishing{
		{Body: []byte("hello")},
		{Type: "other", Body: []byte(`{"v":1,"queue":"q","run":"1"}`)},
		{Type: messageType, Body: []byte("{")},
		{Type: messageType, Body: []byte(`{"v":2,"queue":"q"}`)},
		{Type: messageType, Body: []byte(`{"v":1,"queue":"other"}`)},
		{Type: messageType, Body: []byte(`{"v":1,"queue":"q","run":"` + strings.Repeat("x", maxMessage) + `"}`)},
	}
	for _, m := range foreign {
		if err := ch.PublishWithContext(t.Context(), exchange, "q", true, false, m); err != nil {
			t.Fatal(err)
		}
	}
	brokertest.Waiting(t, p.a, "q", len(foreign))
	p.a.Announce(broker.Hint{Queue: "q", Run: "1"})
	if held := brokertest.Next(t, p.c.Slot("q")); held.Hint.Run != "1" {
		t.Fatalf("hint %+v, want 1", held.Hint)
	}
	if n := p.logC.count("level=WARN", "not a hint"); n != len(foreign) {
		t.Errorf("%d log lines about messages that are no hints, want %d", n, len(foreign))
	}
}

// TestTooLarge: a hint that no message can hold is refused on our side, and said.
func TestTooLarge(t *testing.T) {
	t.Parallel()
	node := rabbittest.Start(t)
	p := connect(t, quick, node.Vhost(t))
	brokertest.Declare(t, p.a, "q")
	p.a.Announce(broker.Hint{Queue: "q", Run: strings.Repeat("x", maxMessage)})
	p.flows(t, "q", "1")
	p.logA.wantOnce("level=ERROR", "cannot be sent", "more than 1024")
}

// linkTo is a link to a node that can be cut, stalled and slowed; it ends with the test.
func linkTo(t *testing.T, node *rabbittest.Node) *fleet.Proxy {
	t.Helper()
	p, err := fleet.NewProxy(node.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// TestLink: what a network does. Each fault ends with hints that flow.
func TestLink(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		fault func(*fleet.Proxy)
		why   string
	}{
		{"cut", (*fleet.Proxy).Cut, "the connection was lost"},
		{"stalled", (*fleet.Proxy).Stall, "no answer within"},
		{"half open", (*fleet.Proxy).HalfOpen, "no answer within"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			node := rabbittest.Start(t)
			proxy := linkTo(t, node)
			url := strings.Replace(node.Vhost(t), node.Addr(), proxy.Addr(), 1)
			p := connect(t, quick, url)
			p.flows(t, "q", "1")
			tt.fault(proxy)
			within(t, time.Second, "announcing over a broken link", func() {
				for range 5000 {
					p.a.Announce(broker.Hint{Queue: "q", Run: "lost"})
				}
			})
			awaitWhy(t, p.a.link, "RabbitMQ at ")
			awaitWhy(t, p.c.link, "RabbitMQ at ")
			var down *broker.DownError
			if _, err := p.c.Slot("q").Next(t.Context()); !errors.As(err, &down) {
				t.Fatalf("Next over a broken link: %v, want a DownError", err)
			}
			proxy.Mend()
			p.flows(t, "q", "2")
			p.logA.wantOnce("level=WARN", tt.why)
			p.logC.wantOnce("level=WARN", tt.why)
			p.logA.wantOnce("level=INFO", "is connected", "after=")
			p.logC.wantOnce("level=INFO", "is connected", "after=")
		})
	}
}

// TestSlowLink: bytes trickle. That is no fault, and no connection is lost over it.
func TestSlowLink(t *testing.T) {
	t.Parallel()
	node := rabbittest.Start(t)
	proxy := linkTo(t, node)
	proxy.Slow(10 * time.Millisecond)
	p := connect(t, normal, strings.Replace(node.Vhost(t), node.Addr(), proxy.Addr(), 1))
	for i := range 3 {
		p.flows(t, "q", fmt.Sprint(i))
	}
	if n := p.logA.count("level=WARN") + p.logC.count("level=WARN"); n != 0 {
		t.Errorf("%d warnings over a slow link", n)
	}
}

// TestCloseOverDeadLink: the end is bounded while nothing comes through, also in the middle of a login.
func TestCloseOverDeadLink(t *testing.T) {
	t.Parallel()
	node := rabbittest.Start(t)
	proxy := linkTo(t, node)
	url := strings.Replace(node.Vhost(t), node.Addr(), proxy.Addr(), 1)
	p := connect(t, normal, url)
	p.flows(t, "q", "1")
	proxy.Stall()
	logsIn := connect(t, normal, url)
	within(t, 4*normal.goodbye, "closing over a link that is stalled", func() {
		_ = p.close()
		_ = logsIn.close()
	})
}

// TestCloseInMidCall: the end is bounded while a session waits for an answer that does not come.
func TestCloseInMidCall(t *testing.T) {
	t.Parallel()
	node := rabbittest.Start(t)
	proxy := linkTo(t, node)
	j := &journal{t: t}
	l, err := newLink(j.options(strings.Replace(node.Vhost(t), node.Addr(), proxy.Addr(), 1)), normal)
	if err != nil {
		t.Fatal(err)
	}
	stalled := make(chan struct{})
	l.start(func(_ context.Context, s *session) error {
		proxy.Stall()
		close(stalled)
		_, err := s.conn.Channel()
		return err
	})
	<-stalled
	within(t, 3*normal.goodbye, "closing", l.close)
}

// TestGoodbye: a session ends in time though nobody answers its goodbye.
func TestGoodbye(t *testing.T) {
	t.Parallel()
	node := rabbittest.Start(t)
	proxy := linkTo(t, node)
	o := (&journal{t: t}).options(strings.Replace(node.Vhost(t), node.Addr(), proxy.Addr(), 1))
	targets, err := o.targets()
	if err != nil {
		t.Fatal(err)
	}
	s, err := dial(t.Context(), targets[0], o, normal)
	if err != nil {
		t.Fatal(err)
	}
	proxy.Stall()
	within(t, 2*normal.goodbye, "closing a session", s.close)
}

// TestWriteDeadline: a write that nobody takes ends.
func TestWriteDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		defer far.Close()
		w := &wire{Conn: near, limit: normal.write}
		defer w.Close()
		began := time.Now()
		if _, err := w.Write([]byte("x")); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(began) != normal.write {
			t.Errorf("a write ended after %s: %v", time.Since(began), err)
		}
	})
}

// TestSeveralURLs: nodes are tried in turn, the next one when one is gone.
func TestSeveralURLs(t *testing.T) {
	t.Parallel()
	node := rabbittest.Start(t)
	url := node.Vhost(t)
	first, second := linkTo(t, node), linkTo(t, node)
	second.Cut()
	via := func(p *fleet.Proxy) string { return strings.Replace(url, node.Addr(), p.Addr(), 1) }
	p := connect(t, quick, via(first), via(second))
	p.flows(t, "q", "1")
	second.Mend()
	first.Cut()
	p.flows(t, "q", "2")
	second.Cut()
	state := awaitState(t, p.a.link, "down at both", func(s broker.State) bool {
		return !s.Up && strings.Contains(s.Why, first.Addr()) && strings.Contains(s.Why, second.Addr())
	})
	if strings.Contains(state.Why+state.Hint, "guest:guest") {
		t.Errorf("state %+v shows a password", state)
	}
	first.Mend()
	p.flows(t, "q", "3")
}
