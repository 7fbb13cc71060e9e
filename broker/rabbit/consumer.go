package rabbit

import (
	"context"
	"errors"
	"sync/atomic"

	amqp "github.com/rabbitmq/amqp091-go"

	"lightspeed/broker"
)

// Consumer is a listener process's side: a broker.Consumer with one connection for all its slots.
type Consumer struct {
	link *link
	work background // what slots do beside their callers
	tags atomic.Uint64
}

// NewConsumer starts to connect, for ever; it fails only when the options make no sense.
func NewConsumer(o Options) (*Consumer, error) { return newConsumer(o, normal) }

func newConsumer(o Options, p pace) (*Consumer, error) {
	l, err := newLink(o, p)
	if err != nil {
		return nil, err
	}
	c := &Consumer{link: l}
	l.start(c.serve)
	return c, nil
}

// serve offers the session to the slots until it ends.
func (c *Consumer) serve(ctx context.Context, s *session) error {
	c.link.up(s)
	select {
	case err := <-s.closed:
		return s.why(err)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// State says how the broker is reached, whatever is wrong with single queues.
func (c *Consumer) State() broker.State {
	_, state, _ := c.link.now()
	return state
}

// Close ends the connection and every Next. Hints in hand go back to their queues.
func (c *Consumer) Close() error {
	c.link.close()
	c.work.wait() // what was under way ended with the connection
	return nil
}

// Slot makes a slot of a queue.
func (c *Consumer) Slot(queue string) broker.Slot {
	s := &slot{consumer: c, queue: queue, turn: make(chan struct{}, 1), ended: make(chan struct{})}
	s.turn <- struct{}{}
	return s
}

// subscription is a channel that takes one message at a time from a queue.
type subscription struct {
	session    *session
	ch         *amqp.Channel
	tag        string // of the consumer
	deliveries <-chan amqp.Delivery
	closed     chan *amqp.Error // why the channel ended
	cancelled  chan string      // the broker took the consumer away: the queue is gone
}

// subscribe opens a channel on a session.
func subscribe(s *session) (*subscription, error) {
	sub := &subscription{session: s}
	err := s.within(s.pace.answer, func() (err error) {
		if sub.ch, err = s.conn.Channel(); err != nil {
			return err
		}
		sub.closed = sub.ch.NotifyClose(make(chan *amqp.Error, 1))
		sub.cancelled = sub.ch.NotifyCancel(make(chan string, 1))
		return sub.ch.Qos(1, 0, false)
	})
	return sub, err
}

// usable reports whether the subscription can go on on this session.
func (sub *subscription) usable(s *session) bool {
	return sub != nil && sub.session == s && !sub.ch.IsClosed()
}

// start begins to consume.
func (sub *subscription) start(queue, tag string) error {
	sub.tag = tag
	return sub.session.within(sub.session.pace.answer, func() (err error) {
		sub.deliveries, err = sub.ch.Consume(queueName(queue), tag, false, false, false, false, nil)
		return err
	})
}

// stop ends consuming, and reports whether a message came meanwhile, or the channel is of no more use.
func (sub *subscription) stop() (spoiled bool) {
	err := sub.session.within(sub.session.pace.answer, func() error { return sub.ch.Cancel(sub.tag, false) })
	if err != nil {
		return true
	}
	for range sub.deliveries {
		spoiled = true
	}
	return spoiled
}

// close gives back what the channel holds.
func (sub *subscription) close() {
	_ = sub.session.within(sub.session.pace.answer, sub.ch.Close)
}

// isReply reports whether an error is what the broker said, and not the end of the connection.
func isReply(err error) bool {
	var reply *amqp.Error
	return errors.As(err, &reply) && reply.Server
}

// why says why deliveries ended. The library says so before it ends them.
func (sub *subscription) why() error {
	select {
	case err := <-sub.closed:
		if sub.session.conn.IsClosed() {
			return sub.session.why(err)
		}
		if err != nil {
			return err
		}
	case <-sub.cancelled:
		return &amqp.Error{Code: amqp.NotFound, Reason: "the queue was deleted", Server: true}
	default:
	}
	return amqp.ErrClosed
}
