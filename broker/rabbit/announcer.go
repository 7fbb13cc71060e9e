package rabbit

import (
	"context"
	"errors"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"lightspeed/broker"
)

// maxQueued is how many hints may wait to be sent. More are dropped, and Missed says so.
const maxQueued = 1024

// Announcer is admin's side: a broker.Announcer. Its one goroutine sends; nothing that admin calls waits for
// it, but Declare and Forget, which have a channel of their own.
type Announcer struct {
	link   *link
	hints  chan broker.Hint
	missed chan struct{}

	work    background    // calls of Declare and Forget that are under way
	turn    chan struct{} // holds a value while nobody declares
	control control       // belongs to who has the turn

	asked       queueSet // queues that have not answered a call
	unconfirmed queueSet // queues that have not confirmed hints in time
}

// control is the channel that declarations are made on: an error closes it.
type control struct {
	session *session
	ch      *amqp.Channel
}

// NewAnnouncer starts to connect, for ever; it fails only when the options make no sense.
func NewAnnouncer(o Options) (*Announcer, error) { return newAnnouncer(o, normal) }

func newAnnouncer(o Options, p pace) (*Announcer, error) {
	l, err := newLink(o, p)
	if err != nil {
		return nil, err
	}
	a := &Announcer{
		link: l, hints: make(chan broker.Hint, maxQueued), missed: make(chan struct{}, 1),
		turn: make(chan struct{}, 1),
	}
	a.turn <- struct{}{}
	l.start(a.serve)
	return a, nil
}

// Announce hands in a hint to be sent.
func (a *Announcer) Announce(h broker.Hint) {
	s, _, _ := a.link.now()
	if s == nil {
		a.miss()
		return
	}
	select {
	case a.hints <- h:
	default:
		a.miss()
	}
}

// Missed tells of dropped hints and of new connections.
func (a *Announcer) Missed() <-chan struct{} { return a.missed }

func (a *Announcer) miss() {
	select {
	case a.missed <- struct{}{}:
	default:
	}
}

// State says how the broker is reached.
func (a *Announcer) State() broker.State {
	_, state, _ := a.link.now()
	return state
}

// Close ends the connection. Hints that were not sent are dropped.
func (a *Announcer) Close() error {
	a.link.close()
	a.work.wait() // what was under way ended with the connection
	return nil
}

// Declare makes sure that a queue exists, and counts what waits in it.
func (a *Announcer) Declare(ctx context.Context, queue string) (waiting int, err error) {
	err = a.do(ctx, queue, func(ch *amqp.Channel) (err error) {
		waiting, err = declareQueue(ch, queue)
		return err
	})
	if err != nil {
		return 0, err
	}
	return waiting, nil
}

// Forget removes a queue.
func (a *Announcer) Forget(ctx context.Context, queue string) error {
	a.link.queueForgotten(queue)
	return a.do(ctx, queue, func(ch *amqp.Channel) error {
		_, err := ch.QueueDelete(queueName(queue), false, false, false)
		return err
	})
}

// do makes one call at a time, on the control channel, beside the caller. A call that is not answered keeps
// its channel, and its queue is silent until the answer comes or the connection ends; the next call gets
// another channel.
func (a *Announcer) do(ctx context.Context, queue string, call func(*amqp.Channel) error) error {
	select {
	case <-a.turn:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { a.turn <- struct{}{} }()
	s, state, _ := a.link.now()
	switch {
	case a.link.isClosed():
		return broker.ErrClosed
	case s == nil || !state.Up:
		return &broker.DownError{State: state}
	case a.asked.has(queue) || a.unconfirmed.has(queue):
		return a.link.downError(silentQueue(s, queue))
	}
	ch, err := a.channel(s)
	if err == nil {
		err = a.await(ctx, s, ch, queue, call)
	}
	if err == nil {
		a.link.queueUp(queue)
		return nil
	}
	return a.refused(ctx, s, queue, err)
}

// channel returns the control channel of a session.
func (a *Announcer) channel(s *session) (ch *amqp.Channel, err error) {
	if a.control.session == s && !a.control.ch.IsClosed() {
		return a.control.ch, nil
	}
	err = s.within(s.pace.handshake, func() (err error) {
		ch, err = s.conn.Channel()
		return err
	})
	if err == nil {
		a.control = control{session: s, ch: ch}
	}
	return ch, err
}

// await makes a call and waits for its answer no longer than a queue that is well takes for it.
func (a *Announcer) await(ctx context.Context, s *session, ch *amqp.Channel, queue string, call func(*amqp.Channel) error) error {
	answered := make(chan error, 1)
	a.asked.add(queue)
	a.work.run(func() {
		err := call(ch)
		a.asked.remove(queue)
		answered <- err
	})
	timer := time.NewTimer(s.pace.answer)
	defer timer.Stop()
	select {
	case err := <-answered:
		return err
	case <-timer.C:
		a.leave(ch, answered)
		return silentQueue(s, queue)
	case <-ctx.Done():
		a.leave(ch, answered)
		return ctx.Err()
	}
}

// leave gives up a channel whose call is not answered: it is closed after the answer.
func (a *Announcer) leave(ch *amqp.Channel, answered <-chan error) {
	a.control = control{}
	a.work.run(func() {
		<-answered
		_ = ch.Close()
	})
}

// queueSet is a set of queues.
type queueSet struct {
	mu     sync.Mutex
	queues map[string]bool
}

func (s *queueSet) has(queue string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.queues[queue]
}

func (s *queueSet) add(queue string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.queues == nil {
		s.queues = map[string]bool{}
	}
	s.queues[queue] = true
}

func (s *queueSet) remove(queue string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.queues, queue)
}

// refused says what is wrong with a queue; what is wrong with the connection, its own goroutine says.
func (a *Announcer) refused(ctx context.Context, s *session, queue string, err error) error {
	switch {
	case a.link.isClosed():
		return broker.ErrClosed
	case ctx.Err() != nil:
		return ctx.Err()
	}
	why := explain(err, place{target: s.target, queue: queue, admin: true})
	if aboutQueue(err) && !s.conn.IsClosed() {
		a.link.queueDown(queue, why)
	}
	var reply *amqp.Error
	if errors.As(err, &reply) && reply.Code == amqp.NotFound { // the exchange is gone: the next connection makes it anew
		_ = s.wire.Close()
	}
	return a.link.downError(why)
}
