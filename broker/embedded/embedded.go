// Package embedded is a broker inside one process.
package embedded

import (
	"context"
	"sync"
	"time"

	"lightspeed/broker"
)

// maxWaiting is how many hints a queue keeps; more are dropped. A hint says only that there is work.
const maxWaiting = 1024

// Broker is both sides. The zero value is not usable: call New.
type Broker struct {
	started time.Time
	missed  chan struct{}
	ended   chan struct{} // closed by Close

	mu     sync.Mutex
	closed bool
	queues map[string]chan broker.Hint
}

// New makes a Broker without queues.
func New() *Broker {
	return &Broker{
		started: time.Now().UTC(),
		missed:  make(chan struct{}, 1),
		ended:   make(chan struct{}),
		queues:  map[string]chan broker.Hint{},
	}
}

// Announce puts a hint into its queue.
func (b *Broker) Announce(h broker.Hint) {
	b.mu.Lock()
	defer b.mu.Unlock()
	select {
	case b.queues[h.Queue] <- h: // a queue that is not declared is a nil channel
	default:
		b.miss()
	}
}

func (b *Broker) miss() {
	select {
	case b.missed <- struct{}{}:
	default:
	}
}

// Missed tells of dropped hints.
func (b *Broker) Missed() <-chan struct{} { return b.missed }

// Declare makes sure that a queue exists, and counts what waits in it.
func (b *Broker) Declare(_ context.Context, queue string) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return 0, broker.ErrClosed
	}
	if b.queues[queue] == nil {
		b.queues[queue] = make(chan broker.Hint, maxWaiting)
	}
	return len(b.queues[queue]), nil
}

// Forget removes a queue.
func (b *Broker) Forget(_ context.Context, queue string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return broker.ErrClosed
	}
	if hints := b.queues[queue]; hints != nil {
		delete(b.queues, queue)
		close(hints)
	}
	return nil
}

// State is always Up, until Close.
func (b *Broker) State() broker.State {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := broker.State{Up: !b.closed, Since: b.started, Broker: "embedded"}
	if b.closed {
		s.Why = broker.ErrClosed.Error()
	}
	return s
}

// Close ends every Next. The hints are gone.
func (b *Broker) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.closed {
		b.closed = true
		close(b.ended)
	}
	return nil
}
