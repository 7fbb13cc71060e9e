package rabbit

import (
	"context"
	"slices"
	"strconv"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"lightspeed/broker"
)

// window is how many hints may be on the way without a confirm. RabbitMQ holds a whole channel that has 32 of
// them for one quorum queue (quorum_commands_soft_limit): a queue without a leader must not get there.
const window = 24

// publisher sends hints over one session. It belongs to one goroutine.
type publisher struct {
	announcer *Announcer
	session   *session
	ch        *amqp.Channel

	returns  chan amqp.Return   // hints that no queue got; each is here before its confirm
	blocks   chan amqp.Blocking // the broker takes nothing, or takes again
	closed   chan *amqp.Error   // the channel has ended
	blocked  bool
	sent     []sent // at most window, oldest first
	number   uint64 // of the last message
	overdue  *time.Timer
	returned map[string]bool // ids of messages that came back and are not confirmed yet
}

// sent is a hint on its way.
type sent struct {
	hint    broker.Hint
	id      string
	at      time.Time
	confirm *amqp.DeferredConfirmation
}

// serve prepares a session and sends hints over it until it ends.
func (a *Announcer) serve(ctx context.Context, s *session) error {
	p := &publisher{
		announcer: a, session: s, returned: map[string]bool{}, overdue: time.NewTimer(s.pace.confirm),
		blocks: s.conn.NotifyBlocked(make(chan amqp.Blocking, 16)),
	}
	defer p.overdue.Stop()
	if err := s.within(s.pace.handshake, p.open); err != nil {
		return explain(err, place{target: s.target, admin: true})
	}
	a.dropQueued()
	a.link.up(s)
	a.miss() // whoever knows what waits compares it with what the broker has
	return p.run(ctx)
}

func (p *publisher) open() (err error) {
	if p.ch, err = p.session.conn.Channel(); err != nil {
		return err
	}
	p.closed = p.ch.NotifyClose(make(chan *amqp.Error, 1))
	p.returns = p.ch.NotifyReturn(make(chan amqp.Return, window))
	if err := declareExchange(p.ch); err != nil {
		return err
	}
	return p.ch.Confirm(false)
}

// dropQueued forgets hints from before a connection: what waits is asked for anew.
func (a *Announcer) dropQueued() {
	for {
		select {
		case <-a.hints:
		default:
			return
		}
	}
}

func (p *publisher) run(ctx context.Context) error {
	for {
		hints, confirmed, overdue := p.awaits()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-p.closed: // the connection's end ends the channel too
			return p.session.why(err)
		case b, open := <-p.blocks:
			if !open {
				p.blocks = nil // the connection has ended: closed says so
				continue
			}
			p.block(b)
		case <-confirmed:
			p.settle()
		case <-overdue:
			p.silence(p.sent[0].hint.Queue)
		case h := <-hints:
			if err := p.publish(h); err != nil {
				return err
			}
		}
	}
}

// awaits says what may happen next: sending, while there is room and the broker takes it; the oldest
// confirm; and that being overdue, but while the broker is blocked.
func (p *publisher) awaits() (hints <-chan broker.Hint, confirmed <-chan struct{}, overdue <-chan time.Time) {
	if len(p.sent) < window && !p.blocked {
		hints = p.announcer.hints
	}
	if len(p.sent) > 0 {
		confirmed = p.sent[0].confirm.Done()
		if !p.blocked {
			overdue = p.overdue.C
		}
	}
	return hints, confirmed, overdue
}

func (p *publisher) publish(h broker.Hint) error {
	if p.announcer.unconfirmed.has(h.Queue) {
		return nil // Missed tells when it is well again
	}
	p.number++
	id := strconv.FormatUint(p.number, 10)
	message, err := encode(h, id)
	if err != nil {
		p.announcer.link.options.Log.Error("a hint cannot be sent: listeners ask for that run themselves", "error", err)
		return nil
	}
	confirm, err := p.ch.PublishWithDeferredConfirm(exchange, h.Queue, true, false, message)
	if err != nil {
		return p.session.why(asReply(err))
	}
	p.sent = append(p.sent, sent{hint: h, id: id, at: time.Now(), confirm: confirm})
	p.watchOldest()
	return nil
}

// watchOldest sets the time at which the oldest confirm is overdue.
func (p *publisher) watchOldest() {
	if len(p.sent) > 0 {
		p.overdue.Reset(time.Until(p.sent[0].at.Add(p.session.pace.confirm)))
	}
}

// silence gives up a queue whose hints are not confirmed, though the connection is well: no more is sent to
// it before they are, or the connection ends.
func (p *publisher) silence(queue string) {
	var newest sent
	p.sent = slices.DeleteFunc(p.sent, func(s sent) bool {
		if s.hint.Queue == queue {
			newest = s
		}
		return s.hint.Queue == queue
	})
	p.watchOldest()
	a := p.announcer
	a.unconfirmed.add(queue)
	a.link.queueDown(queue, silentQueue(p.session, queue))
	a.work.run(func() {
		answered := newest.confirm.Wait()
		a.unconfirmed.remove(queue)
		if answered {
			a.link.queueUp(queue)
		}
		a.miss()
	})
}

// settle takes note of the oldest hint's confirm. A hint is announced when the broker took it and did not
// return it.
func (p *publisher) settle() {
	oldest := p.sent[0]
	p.sent = p.sent[1:]
	p.watchOldest()
	p.takeReturns()
	if len(p.sent) == 0 {
		defer clear(p.returned) // also of what was given up
	}
	if oldest.confirm.Acked() && !p.returned[oldest.id] {
		return
	}
	if p.returned[oldest.id] {
		p.announcer.link.queueDown(oldest.hint.Queue, p.noQueue(oldest.hint.Queue))
	}
	p.announcer.miss()
}

func (p *publisher) takeReturns() {
	for {
		select {
		case r, ok := <-p.returns:
			if !ok {
				return
			}
			p.returned[r.MessageId] = true
		default:
			return
		}
	}
}

func (p *publisher) noQueue(queue string) *trouble {
	return &trouble{
		kind: "no queue",
		why:  "RabbitMQ at " + p.session.target.shown + ": queue " + queueName(queue) + " is gone, or was never declared",
		hint: "admin declares it anew; see who deletes it",
	}
}

func (p *publisher) block(b amqp.Blocking) {
	if b.Active == p.blocked {
		return
	}
	p.blocked = b.Active
	if b.Active {
		p.announcer.link.blocked(p.session, b.Reason)
		return
	}
	for i := range p.sent { // the time for their confirms begins now
		p.sent[i].at = time.Now()
	}
	p.watchOldest()
	p.announcer.link.blocked(p.session, "")
	p.announcer.miss()
}

// asReply is the library's own error, if that is what err is.
func asReply(err error) *amqp.Error {
	reply, ok := err.(*amqp.Error)
	if !ok {
		return &amqp.Error{Code: amqp.FrameError, Reason: err.Error()}
	}
	return reply
}
