package rabbit

import (
	"context"
	"errors"

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

	turn    chan struct{} // holds a value while nobody declares
	work    background    // declarations that are under way
	control control       // belongs to who has the turn
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
		link: l, hints: make(chan broker.Hint, maxQueued), missed: make(chan struct{}, 1), turn: make(chan struct{}, 1),
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

// do runs one call at a time, on the control channel. The call goes on when ctx ends, until the broker
// answers or the connection is given up: ending it for a caller's sake would end it for all.
func (a *Announcer) do(ctx context.Context, queue string, call func(*amqp.Channel) error) error {
	select {
	case <-a.turn:
	case <-ctx.Done():
		return ctx.Err()
	}
	result := make(chan error, 1)
	a.work.run(func() {
		defer func() { a.turn <- struct{}{} }()
		result <- a.callControl(queue, call)
	})
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (a *Announcer) callControl(queue string, call func(*amqp.Channel) error) error {
	s, state, _ := a.link.now()
	if a.link.isClosed() {
		return broker.ErrClosed
	}
	if s == nil || !state.Up {
		return &broker.DownError{State: state}
	}
	err := s.within(s.pace.answer, func() error {
		if err := a.openControl(s); err != nil {
			return err
		}
		return call(a.control.ch)
	})
	if err == nil {
		a.link.queueUp(queue)
		return nil
	}
	return a.refused(s, queue, err)
}

func (a *Announcer) openControl(s *session) (err error) {
	if a.control.session == s && !a.control.ch.IsClosed() {
		return nil
	}
	a.control.session = s
	a.control.ch, err = s.conn.Channel()
	return err
}

// refused says what is wrong with a queue; what is wrong with the connection, its own goroutine says.
func (a *Announcer) refused(s *session, queue string, err error) error {
	if a.link.isClosed() {
		return broker.ErrClosed
	}
	why := explain(err, place{target: s.target, queue: queue, admin: true})
	var reply *amqp.Error
	if isReply(err) && !s.conn.IsClosed() {
		a.link.queueDown(queue, why)
	}
	if errors.As(err, &reply) && reply.Code == amqp.NotFound { // the exchange is gone: the next connection makes it anew
		_ = s.wire.Close()
	}
	state := a.State()
	state.Up, state.Why, state.Hint = false, why.why, why.hint
	return &broker.DownError{State: state}
}
