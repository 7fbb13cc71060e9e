package rabbit

import amqp "github.com/rabbitmq/amqp091-go"

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
	ch, err := s.conn.Channel()
	if err != nil {
		return nil, err
	}
	return &subscription{
		session: s, ch: ch,
		closed:    ch.NotifyClose(make(chan *amqp.Error, 1)),
		cancelled: ch.NotifyCancel(make(chan string, 1)),
	}, ch.Qos(1, 0, false)
}

// usable reports whether the subscription can go on on this session.
func (sub *subscription) usable(s *session) bool {
	return sub != nil && sub.session == s && !sub.ch.IsClosed()
}

// start begins to consume.
func (sub *subscription) start(queue, tag string) (err error) {
	sub.tag = tag
	sub.deliveries, err = sub.ch.Consume(queueName(queue), tag, false, false, false, false, nil)
	return err
}

// stop ends consuming. It reports whether the channel is of no more use: it is closed, another message came
// meanwhile, or the broker has ended consuming itself and what was in hand may be someone else's by now
// (RabbitMQ 4.3 does that when a message is held too long).
func (sub *subscription) stop() (spoiled bool) {
	if err := sub.ch.Cancel(sub.tag, false); err != nil {
		return true
	}
	for range sub.deliveries {
		spoiled = true
	}
	select {
	case <-sub.cancelled:
		return true
	default:
		return spoiled
	}
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
