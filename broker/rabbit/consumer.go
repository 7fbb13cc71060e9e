package rabbit

import (
	"context"
	"sync/atomic"

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
