package notify

import (
	"context"
	"time"
)

// stopKey is where the context of a call has the one that ends when its process is told to stop.
type stopKey struct{}

// withStop returns a context for calls that may go on for a while after soft has ended, but not to wait for a limit:
// what waits stays on disk.
func withStop(hard, soft context.Context) context.Context {
	return context.WithValue(hard, stopKey{}, soft)
}

// stopOf returns the context that ends at a stop; without one that is ctx itself.
func stopOf(ctx context.Context) context.Context {
	if soft, ok := ctx.Value(stopKey{}).(context.Context); ok {
		return soft
	}
	return ctx
}

// sleepOrStop sleeps for d, unless ctx or a stop ends that.
func sleepOrStop(ctx context.Context, d time.Duration) error {
	if sleep(stopOf(ctx), d) != nil {
		return givenUp(ctx)
	}
	return nil
}

// givenUp is why a call is not made that had to wait for a limit.
func givenUp(ctx context.Context) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return &Error{Message: "a limit is reached, and the stop does not wait for it", Busy: true}
}
