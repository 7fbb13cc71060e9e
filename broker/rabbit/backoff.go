package rabbit

import (
	"context"
	"math/rand/v2"
	"time"
)

// backoff is how long to wait before the next try.
type backoff struct {
	min, max time.Duration
	next     time.Duration
}

func (b *backoff) reset() { b.next = 0 }

// wait waits longer each time, and less than that by up to half, so that many do not come at once. It returns
// early when ctx ends.
func (b *backoff) wait(ctx context.Context) {
	b.next = min(max(2*b.next, b.min), b.max)
	timer := time.NewTimer(b.next/2 + rand.N(b.next/2+1))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
