package embedded

import (
	"context"
	"fmt"
	"sync"

	"lightspeed/broker"
)

type slot struct {
	broker *Broker
	queue  string
	ended  chan struct{} // closed by Close

	mu     sync.Mutex
	closed bool
	held   *broker.Held // the last hint, settled or not
}

// Slot makes a slot of a queue.
func (b *Broker) Slot(queue string) broker.Slot {
	return &slot{broker: b, queue: queue, ended: make(chan struct{})}
}

func (s *slot) Next(ctx context.Context) (*broker.Held, error) {
	s.broker.mu.Lock()
	hints := s.broker.queues[s.queue]
	s.broker.mu.Unlock()
	select { // select takes any case that is ready: the ends come first
	case <-s.ended:
		return nil, broker.ErrClosed
	case <-s.broker.ended:
		return nil, broker.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	default:
	}
	if hints == nil {
		return nil, s.noQueue()
	}
	select {
	case h, ok := <-hints:
		if !ok {
			return nil, s.noQueue()
		}
		return s.hold(h)
	case <-s.ended:
		return nil, broker.ErrClosed
	case <-s.broker.ended:
		return nil, broker.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// hold remembers the hint in hand, so that Close can give it back.
func (s *slot) hold(h broker.Hint) (*broker.Held, error) {
	held := broker.Hold(h, func() {}, func() { s.broker.Announce(h) })
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		held.GiveBack()
		return nil, broker.ErrClosed
	}
	s.held = held
	return held, nil
}

func (s *slot) noQueue() error {
	state := s.broker.State()
	state.Up = false
	state.Why = fmt.Sprintf("there is no queue %s", s.queue)
	return &broker.DownError{State: state}
}

func (s *slot) State() broker.State { return s.broker.State() }

func (s *slot) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	s.closed = true
	close(s.ended)
	if s.held != nil {
		s.held.GiveBack()
	}
}
