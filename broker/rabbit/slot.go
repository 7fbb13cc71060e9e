package rabbit

import (
	"context"
	"fmt"
	"sync"

	amqp "github.com/rabbitmq/amqp091-go"

	"lightspeed/broker"
)

// slot is a broker.Slot. It consumes only inside Next, or holds one message. Who has the turn may touch sub
// and held: Next, or the work that Done, GiveBack, Close or a Next that was given up left to do.
type slot struct {
	consumer *Consumer
	queue    string
	turn     chan struct{} // holds a value while nobody has it
	ended    chan struct{} // closed by Close
	end      sync.Once

	sub  *subscription
	held *broker.Held // the last one, settled or not
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
	select {
	case <-s.turn:
	case <-s.ended:
		return nil, broker.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	select {
	case <-s.ended:
		s.turn <- struct{}{}
		return nil, broker.ErrClosed
	default:
	}
	held, err := s.next(ctx)
	if err != nil && s.sub != nil && s.sub.deliveries != nil {
		s.later(s.stop)
		return nil, err
	}
	s.held = held
	s.turn <- struct{}{}
	return held, err
}

// later does something that waits for the broker beside the caller, and then gives the turn back.
func (s *slot) later(work func()) {
	s.consumer.work.run(func() {
		work()
		s.turn <- struct{}{}
	})
}

func (s *slot) next(ctx context.Context) (*broker.Held, error) {
	session, err := s.consumer.link.use(ctx, s.ended)
	if err != nil {
		return nil, err
	}
	if err := s.consume(session); err != nil {
		return nil, s.down(session, err)
	}
	s.consumer.link.queueUp(s.queue)
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
	spoiled := s.sub.stop()
	if err := d.Ack(false); err != nil || spoiled {
		s.hangUp()
	}
	if s.sub != nil {
		s.sub.deliveries = nil
	}
}

// stop ends a Next that was given up.
func (s *slot) stop() {
	if s.sub.stop() {
		s.hangUp()
		return
	}
	s.sub.deliveries = nil
}

// hangUp closes the channel: what it holds goes back to the queue.
func (s *slot) hangUp() {
	if s.sub != nil {
		s.sub.close()
		s.sub = nil
	}
}

// down makes the error of a Next that cannot consume. What is wrong with the connection, link says.
func (s *slot) down(session *session, err error) error {
	if s.consumer.link.isClosed() {
		return broker.ErrClosed
	}
	why := explain(err, place{target: session.target, queue: s.queue})
	if isReply(err) && !session.conn.IsClosed() {
		s.consumer.link.queueDown(s.queue, why)
	}
	state := s.State()
	state.Up, state.Why, state.Hint = false, why.why, why.hint
	return &broker.DownError{State: state}
}
