package notify

import (
	"context"
	"crypto/sha256"
	"sync"
	"time"
)

// Lanes are shared by all targets of a process: those that use the same webhook or token send one after the
// other, and a limit that one of them reaches holds for all. The zero value is ready for use.
type Lanes struct {
	mu    sync.Mutex
	lanes map[[sha256.Size]byte]*Lane
}

// Lane returns the lane of a name, which may be a secret: only its hash is kept.
func (l *Lanes) Lane(name string) *Lane {
	l.mu.Lock()
	defer l.mu.Unlock()
	key := sha256.Sum256([]byte(name))
	lane := l.lanes[key]
	if lane == nil {
		lane = &Lane{turn: make(chan struct{}, 1), rests: make(chan struct{})}
		if l.lanes == nil {
			l.lanes = map[[sha256.Size]byte]*Lane{}
		}
		l.lanes[key] = lane
	}
	return lane
}

// Lane lets one through at a time.
type Lane struct {
	turn chan struct{}

	mu    sync.Mutex
	rests chan struct{} // closed while who has the turn waits for a limit
	held  time.Time     // nobody goes before
	burst int           // how many may go at once, when nobody went for a while …
	every time.Duration // … and then one each …
	ahead time.Time     // … where those that went have used up the time until then
}

// Pace limits the lane: burst at once, and over time one each every. Called again it changes nothing.
func (l *Lane) Pace(burst int, every time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.burst, l.every = burst, every
}

// Hold lets nobody enter for so long.
func (l *Lane) Hold(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if until := time.Now().Add(d); until.After(l.held) {
		l.held = until
	}
}

// Enter waits for its turn, and for as long as the lane is held; at a stop for other calls only, and not for a limit.
// Whoever entered must call leave.
func (l *Lane) Enter(ctx context.Context) (leave func(), err error) {
	if err := l.await(ctx); err != nil {
		return nil, err
	}
	for {
		wait := l.take()
		if wait <= 0 {
			return func() { <-l.turn }, nil
		}
		if err := l.rest(ctx, wait); err != nil {
			<-l.turn
			return nil, err
		}
	}
}

// await waits for the turn. At a stop it does not wait for who waits for a limit.
func (l *Lane) await(ctx context.Context) error {
	select {
	case l.turn <- struct{}{}:
		return nil
	case <-stopOf(ctx).Done():
	}
	l.mu.Lock()
	rests := l.rests
	l.mu.Unlock()
	select {
	case l.turn <- struct{}{}:
		return nil
	case <-rests:
		return givenUp(ctx)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// rest waits for a limit, with the turn.
func (l *Lane) rest(ctx context.Context, d time.Duration) error {
	l.mu.Lock()
	close(l.rests)
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.rests = make(chan struct{})
	}()
	return sleepOrStop(ctx, d)
}

// Wait waits for as long as the lane is held, without a turn of its own; at a stop it does not.
func (l *Lane) Wait(ctx context.Context) error {
	for {
		l.mu.Lock()
		wait := time.Until(l.held)
		l.mu.Unlock()
		if wait <= 0 {
			return ctx.Err()
		}
		if err := sleepOrStop(ctx, wait); err != nil {
			return err
		}
	}
}

// take uses one place of the pace and returns 0, or returns how long there is none.
func (l *Lane) take() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if wait := l.held.Sub(now); wait > 0 {
		return wait
	}
	if l.every == 0 {
		return 0
	}
	if l.ahead.Before(now) {
		l.ahead = now
	}
	if wait := l.ahead.Sub(now) - time.Duration(l.burst-1)*l.every; wait > 0 {
		return wait
	}
	l.ahead = l.ahead.Add(l.every)
	return 0
}

// sleep waits for d, or until ctx ends.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
