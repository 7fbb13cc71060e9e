package rabbit

import (
	"context"
	"fmt"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"lightspeed/broker"
)

// slot is a broker.Slot. It consumes only inside Next, or holds one message.
//
// Calls that wait for the broker are made beside the caller, since the queue of one listener may give no
// answer for ever (a quorum queue without a leader) while the connection is well. Who has the turn may touch
// sub: Next, or what Done, GiveBack, Close or a Next that was given up left to do. While such a call is
// under way the turn is taken, and Next says that the queue is silent.
type slot struct {
	consumer *Consumer
	queue    string
	turn     chan struct{} // holds a value while nobody has it
	ended    chan struct{} // closed by Close
	end      sync.Once

	sub  *subscription
	held *broker.Held // the last one, settled or not; Next's own
}

// State says how the broker is reached for this queue.
func (s *slot) State() broker.State { return s.consumer.link.queueState(s.queue) }

// Close stops consuming, and gives back what is in hand.
func (s *slot) Close() {
	s.end.Do(func() {
		close(s.ended)
		s.consumer.work.run(func() {
			<-s.turn // stays taken
			s.hangUp()
		})
	})
}

// Next waits for a hint.
func (s *slot) Next(ctx context.Context) (*broker.Held, error) {
	if s.held != nil {
		s.held.GiveBack() // does nothing when it is settled
	}
	session, err := s.consumer.link.use(ctx, s.ended)
	if err != nil {
		return nil, err
	}
	silence := time.NewTimer(session.pace.answer)
	defer silence.Stop()
	if err := s.await(ctx, s.turn, silence.C, session); err != nil {
		return nil, err
	}
	if err := s.begin(ctx, silence.C, session); err != nil {
		return nil, err
	}
	s.consumer.link.queueUp(s.queue)
	held, err := s.receive(ctx, session)
	if err != nil {
		s.later(s.stop)
		return nil, err
	}
	s.held = held
	s.turn <- struct{}{}
	return held, nil
}

// await waits for the broker's answer until silence: as long as may be expected of a queue that is well.
func (s *slot) await(ctx context.Context, answer <-chan struct{}, silence <-chan time.Time, session *session) error {
	select { // select takes any case that is ready: the end comes first
	case <-s.ended:
		return broker.ErrClosed
	default:
	}
	select {
	case <-answer:
		return nil
	case <-s.ended:
		return broker.ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	case <-silence:
		return s.down(session, silentQueue(session, s.queue))
	}
}

// begin starts to consume. When that fails, or is given up, the turn goes back.
func (s *slot) begin(ctx context.Context, silence <-chan time.Time, session *session) error {
	var began error
	answered := make(chan struct{})
	s.consumer.work.run(func() {
		began = s.consume(session)
		close(answered)
	})
	if err := s.await(ctx, answered, silence, session); err != nil {
		s.later(func() {
			if <-answered; began == nil {
				s.stop()
			}
		})
		return err
	}
	if began != nil {
		s.turn <- struct{}{}
		return s.down(session, began)
	}
	return nil
}

// receive waits for a message that is a hint.
func (s *slot) receive(ctx context.Context, session *session) (*broker.Held, error) {
	for {
		select {
		case d, open := <-s.sub.deliveries:
			if !open {
				return nil, s.down(session, s.sub.why())
			}
			if held := s.take(d); held != nil {
				return held, nil
			}
		case <-s.ended:
			return nil, broker.ErrClosed
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// later does something that waits for the broker beside the caller, and then gives the turn back.
func (s *slot) later(work func()) {
	s.consumer.work.run(func() {
		work()
		s.turn <- struct{}{}
	})
}

// consume makes the slot consume on a session.
func (s *slot) consume(session *session) (err error) {
	if !s.sub.usable(session) {
		s.hangUp()
		if s.sub, err = subscribe(session); err != nil {
			s.sub = nil
			return err
		}
	}
	return s.sub.start(s.queue, fmt.Sprintf("slot-%d", s.consumer.tags.Add(1)))
}

// take makes a hint of a message. What is not a hint is dropped, with a word in the log.
func (s *slot) take(d amqp.Delivery) *broker.Held {
	h, err := decode(d, s.queue)
	if err != nil {
		s.consumer.link.options.Log.Warn("a message that is not a hint was dropped", "queue", queueName(s.queue), "error", err,
			"hint", "see who else publishes to this queue")
		_ = d.Ack(false)
		return nil
	}
	done := func() { s.settle(func() { s.finish(d) }) }
	return broker.Hold(h, done, func() { s.settle(s.hangUp) })
}

// settle takes the turn for work beside the caller. Only Close can have it then, and it gives everything back.
func (s *slot) settle(work func()) {
	select {
	case <-s.turn:
		s.later(work)
	default:
	}
}

// finish stops consuming before it acknowledges: a slot that acknowledged first would be sent the next message.
func (s *slot) finish(d amqp.Delivery) {
	if s.sub.stop() || d.Ack(false) != nil {
		s.hangUp()
	}
}

// stop ends a Next that was given up.
func (s *slot) stop() {
	if s.sub.stop() {
		s.hangUp()
	}
}

// hangUp closes the channel: what it holds goes back to the queue.
func (s *slot) hangUp() {
	if s.sub != nil {
		_ = s.sub.ch.Close()
		s.sub = nil
	}
}

// down makes the error of a Next that cannot consume. What is wrong with the connection, link says.
func (s *slot) down(session *session, err error) error {
	if s.consumer.link.isClosed() {
		return broker.ErrClosed
	}
	why := explain(err, place{target: session.target, queue: s.queue})
	if aboutQueue(err) && !session.conn.IsClosed() {
		s.consumer.link.queueDown(s.queue, why)
	}
	return s.consumer.link.downError(why)
}
