// Package broker carries hints from admin to listeners: "queue Q has work". A hint decides nothing: admin's
// database says what is to be done, and whoever gets a hint asks admin for the next run of that queue. So a
// hint may come twice, late or never, and no fault of a broker can lose a run or run it twice.
//
// Two implementations are held to one suite (broker/brokertest): broker/rabbit and broker/embedded.
package broker

import (
	"context"
	"errors"
)

// Hint says that a queue has work.
type Hint struct {
	Queue string // the listener's name, which is also its queue's
	Run   string // the run that it was announced for, for people who look at the broker; nobody claims by it
}

// ErrClosed is returned once the broker's client, or the slot itself, has been closed.
var ErrClosed = errors.New("broker is closed")

// An Announcer is admin's side: it alone declares and removes queues. All methods may be called at once.
type Announcer interface {
	// Announce hands in a hint to be sent, and never waits. A hint that can not be sent now, or that the
	// broker does not take, is dropped, and Missed says so.
	Announce(Hint)

	// Missed holds a value after hints were dropped and after each new connection to the broker: whoever
	// knows what waits compares it with what Declare finds. It is the same channel at each call.
	Missed() <-chan struct{}

	// Declare makes sure that a queue exists and returns how many hints wait in it; those that a slot holds
	// are not counted, and the number may be some seconds old. It fails with a *DownError when the broker is
	// not connected or blocked (at once; State is not Up then), refuses this queue, or gives no answer about
	// it (within five seconds, then at once): State is Up then, and other queues may be well.
	Declare(ctx context.Context, queue string) (waiting int, err error)

	// Forget removes a queue with its hints. One that is not there is no error.
	Forget(ctx context.Context, queue string) error

	// State says how the broker is reached: Up while hints can be sent.
	State() State
}

// A Consumer is a listener process's side: one connection, and as many slots as runs may go on at once.
type Consumer interface {
	// Slot makes a slot of a queue. It connects to nothing before Next.
	Slot(queue string) Slot
}

// A Slot takes one hint at a time: it consumes only while Next waits, so that a busy slot never holds a hint
// that an idle one could use. It belongs to one goroutine; only State and Close may be called from others.
type Slot interface {
	// Next waits for a hint. The last one must have been settled (Held.Done or Held.GiveBack). When hints
	// can not come now, it fails within seven seconds, most often two, with a *DownError: claim without a
	// hint, then call Next again. When ctx ends it returns ctx's error at once, and a hint that came
	// meanwhile goes back to the queue.
	Next(ctx context.Context) (*Held, error)

	// State says how the broker is reached: Up while this slot consumes or holds a hint, or could.
	State() State

	// Close stops consuming. A hint in hand goes back to the queue.
	Close()
}
