package rabbit

import (
	"context"
	"errors"
	"sync"
	"time"

	"lightspeed/broker"
)

// link keeps a side connected. Its run is the only place that dials and closes.
type link struct {
	options Options
	targets []target
	pace    pace

	cancel context.CancelFunc
	done   chan struct{} // run has returned

	mu      sync.Mutex
	session *session // nil while there is none that serves
	state   broker.State
	changed chan struct{} // closed and made anew when session or state change
	closed  bool
	period  period             // of trouble with the connection
	queues  map[string]*period // of trouble with queues; those without any are not in it
}

// newLink checks the options.
func newLink(o Options, p pace) (*link, error) {
	targets, err := o.targets()
	if err != nil {
		return nil, err
	}
	return &link{
		options: o, targets: targets, pace: p, done: make(chan struct{}),
		changed: make(chan struct{}), queues: map[string]*period{},
		state: broker.State{Since: time.Now().UTC(), Why: "RabbitMQ is being connected to"},
	}, nil
}

// start begins to connect. serve prepares a session, calls up, and returns when the session is of no more
// use, or its context ends.
func (l *link) start(serve func(context.Context, *session) error) {
	ctx, cancel := context.WithCancel(context.Background())
	l.cancel = cancel
	go l.run(ctx, serve)
}

// run connects, serves, and connects again, until ctx ends.
func (l *link) run(ctx context.Context, serve func(context.Context, *session) error) {
	defer close(l.done)
	wait := backoff{min: l.pace.retryMin, max: l.pace.retryMax}
	connected := false
	for first := 0; ctx.Err() == nil; first++ {
		s, err := l.connect(ctx, first)
		if err == nil {
			l.count(connected)
			connected = true
			began, stop := time.Now(), context.AfterFunc(ctx, s.closeSoon)
			err = l.explain(s, serve(ctx, s))
			stop()
			l.drop()
			s.close()
			if time.Since(began) >= l.pace.steady {
				wait.reset()
			}
		}
		if ctx.Err() == nil {
			l.down(err)
			wait.wait(ctx)
		}
	}
}

func (l *link) count(again bool) {
	if l.options.Connected != nil {
		l.options.Connected(again)
	}
}

// connect tries each URL once, beginning with another one each time.
func (l *link) connect(ctx context.Context, first int) (*session, error) {
	var all troubles
	for i := range l.targets {
		t := l.targets[(first+i)%len(l.targets)]
		s, err := dial(ctx, t, l.options, l.pace)
		if err == nil {
			return s, nil
		}
		all = append(all, explain(err, place{target: t}))
	}
	return nil, all
}

// explain puts a session's end into words, unless serve has done so.
func (l *link) explain(s *session, err error) error {
	var told *trouble
	if errors.As(err, &told) {
		return told
	}
	return explain(err, place{target: s.target})
}

// up tells everyone that a session serves.
func (l *link) up(s *session) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	l.session = s
	l.state = broker.State{Up: true, Since: time.Now().UTC(), Broker: s.broker}
	l.period.end(l.options.Log, "RabbitMQ is connected", "broker", s.broker, "url", s.target.shown)
	l.tell()
}

// down tells everyone that none does, and why.
func (l *link) down(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	why := asTrouble(err)
	if l.state.Up {
		l.state.Up, l.state.Since = false, time.Now().UTC()
	}
	l.state.Why, l.state.Hint = why.why, why.hint
	l.period.begin(l.options.Log, why)
	l.tell()
}

// drop takes the session away from everyone.
func (l *link) drop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.session = nil
	l.tell()
}

// blocked tells everyone that the broker takes no messages; an empty reason: that it does again.
func (l *link) blocked(s *session, reason string) {
	if reason == "" {
		l.up(s)
		return
	}
	l.down(blockedTrouble(reason))
}

func (l *link) tell() {
	close(l.changed)
	l.changed = make(chan struct{})
}

// now returns what holds now, and a channel that is closed when that changes.
func (l *link) now() (*session, broker.State, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.session, l.state, l.changed
}

// use returns the session that serves. It waits for one no longer than pace.patience after the last was
// lost: whoever asks can do without hints.
func (l *link) use(ctx context.Context, ended <-chan struct{}) (*session, error) {
	for {
		s, state, changed := l.now()
		if l.isClosed() {
			return nil, broker.ErrClosed
		}
		if s != nil {
			return s, nil
		}
		left := l.pace.patience - time.Since(state.Since)
		if left <= 0 {
			return nil, &broker.DownError{State: state}
		}
		timer := time.NewTimer(left)
		select {
		case <-changed:
		case <-timer.C:
		case <-ended:
			return nil, broker.ErrClosed
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		timer.Stop()
	}
}

func (l *link) isClosed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closed
}

// close ends the connection within little more than pace.goodbye, whatever the broker does.
func (l *link) close() {
	l.mu.Lock()
	l.closed = true
	l.state = broker.State{Since: time.Now().UTC(), Broker: l.state.Broker, Why: broker.ErrClosed.Error()}
	l.tell()
	l.mu.Unlock()
	l.cancel()
	<-l.done
}

// queueDown notes trouble with one queue, and says it once.
func (l *link) queueDown(queue string, why *trouble) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.queues[queue]
	if p == nil {
		p = &period{}
		l.queues[queue] = p
	}
	p.begin(l.options.Log, why)
}

// queueUp notes that a queue works.
func (l *link) queueUp(queue string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if p := l.queues[queue]; p != nil {
		p.end(l.options.Log, "RabbitMQ's queue works again", "queue", queueName(queue))
		delete(l.queues, queue)
	}
}

// downError is what a call is answered with that failed for a reason of its own.
func (l *link) downError(why *trouble) error {
	_, state, _ := l.now()
	state.Up, state.Why, state.Hint = false, why.why, why.hint
	return &broker.DownError{State: state}
}

// queueForgotten ends trouble with a queue that nobody wants any more.
func (l *link) queueForgotten(queue string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.queues, queue)
}

// queueState is the link's state, or what is wrong with one queue.
func (l *link) queueState(queue string) broker.State {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.queues[queue]
	if !l.state.Up || p == nil {
		return l.state
	}
	return broker.State{Since: p.since, Broker: l.state.Broker, Why: p.last.why, Hint: p.last.hint}
}
