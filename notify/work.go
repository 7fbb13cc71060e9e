package notify

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"time"
)

const (
	firstWait = time.Second     // after a first failure; doubled after each that follows …
	longWait  = 5 * time.Minute // … up to this
	freeTries = 4               // so often in a row the far end's own wish alone decides how long to wait
)

// work hands out what q holds, until soft ends and nothing is left that can be handed over now, or hard ends. do says
// how long to wait before the next.
func work[T any](soft, hard context.Context, q *queue[T], log *slog.Logger, do func(context.Context, item[T]) time.Duration) {
	for hard.Err() == nil {
		it, ok, err := q.next()
		switch {
		case err != nil:
			log.Error("something that was to be told is damaged, and dropped", "error", err)
		case ok:
			if wait := do(withStop(hard, soft), it); wait > 0 && sleep(soft, wait) != nil {
				return
			}
		case soft.Err() != nil:
			return
		default:
			select {
			case <-q.added:
			case <-soft.Done():
			}
		}
	}
}

// backoff is how long to wait after so many failures in a row, when the far end asked for after.
func backoff(failures int, after time.Duration) time.Duration {
	if after > 0 {
		failures -= freeTries
	}
	var d time.Duration
	if failures > 0 {
		d = min(firstWait<<min(failures-1, 20), longWait)
	}
	d = max(d, after)
	return d + rand.N(d/5+time.Millisecond)
}
