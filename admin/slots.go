package admin

import (
	"context"
	"slices"
	"sync"
	"time"
)

// slotPatience is how long somebody may take to send a chunk while others wait for a slot. A listener on a thin line gets
// through all the same: what has come of its chunk is kept, and it goes on from there.
const slotPatience = time.Second

// slots bound how many chunks are in memory at once. None is kept from the others by those who send slowly: while somebody
// waits, whoever has been sending for longest is cut off, once slotPatience is over.
type slots struct {
	free     chan struct{} // holds one token for each that is taken
	patience time.Duration

	mu      sync.Mutex
	sending []*sender // by when they began
}

// sender is one who has a slot and whose chunk is still coming in.
type sender struct {
	since  time.Time
	cutOff func() // ends the reading of its chunk, at once and without waiting for it
}

func newSlots(number int) *slots {
	return &slots{free: make(chan struct{}, number), patience: slotPatience}
}

// take waits for a slot until ctx ends or stopping is closed, and reports whether it has got one.
func (s *slots) take(ctx context.Context, stopping <-chan struct{}) bool {
	select {
	case s.free <- struct{}{}:
		return true
	default:
	}
	look := time.NewTicker(s.patience / 4)
	defer look.Stop()
	for {
		select {
		case s.free <- struct{}{}:
			return true
		case <-look.C:
			s.cutOffOne()
		case <-ctx.Done():
			return false
		case <-stopping:
			return false
		}
	}
}

// give gives a slot back.
func (s *slots) give() { <-s.free }

// begin notes that the chunk of somebody who has a slot comes in, until whole is called. cutOff is called at most once,
// and not after that.
func (s *slots) begin(cutOff func()) (whole func()) {
	one := &sender{since: time.Now(), cutOff: cutOff}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sending = append(s.sending, one)
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.forget(one)
	}
}

// forget takes a sender off the list. mu is held.
func (s *slots) forget(one *sender) {
	if i := slices.Index(s.sending, one); i >= 0 {
		s.sending = slices.Delete(s.sending, i, i+1)
	}
}

// cutOffOne ends the sending of the one who began first, when its time is over.
func (s *slots) cutOffOne() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.sending) == 0 || time.Since(s.sending[0].since) < s.patience {
		return
	}
	one := s.sending[0]
	s.forget(one)
	one.cutOff()
}
