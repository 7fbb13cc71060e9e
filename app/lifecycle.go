package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"lightspeed/metric"
)

// lifecycle is what a process started, in that order, and how each thing ends. What fails while it runs
// ends the process.
type lifecycle struct {
	log     *slog.Logger
	failed  chan error // the first failure of something that runs
	stops   []teardown
	sockets []*socket // what serves on them answers

	metrics *metric.Set // of the process
}

// teardown ends one thing. It must return soon after its context ends.
type teardown struct {
	name  string
	limit time.Duration
	stop  func(context.Context) error
}

// stopLimit bounds how long one thing may take to stop.
const stopLimit = 5 * time.Second

func newLifecycle(log *slog.Logger) *lifecycle {
	return &lifecycle{log: log, failed: make(chan error, 1), metrics: newMetrics()}
}

// onStop registers how a thing ends, as soon as it exists. A limit of 0 leaves the wait to the teardown.
func (l *lifecycle) onStop(name string, limit time.Duration, stop func(context.Context) error) {
	l.stops = append(l.stops, teardown{name, limit, stop})
}

// closes registers a thing that ends by its Close.
func (l *lifecycle) closes(name string, close func() error) {
	l.onStop(name, stopLimit, func(context.Context) error { return close() })
}

// run starts something that goes on until its context ends, which it does when the lifecycle stops. An
// earlier return, with or without an error, is a failure.
func (l *lifecycle) run(name string, work func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		err := work(ctx)
		if ctx.Err() == nil {
			l.fail(fmt.Errorf("%s ended: %w", name, orUnexpected(err)))
			err = nil
		}
		done <- err
	}()
	l.onStop(name, stopLimit, func(limit context.Context) error {
		cancel()
		return await(limit, done)
	})
}

// fail ends the process with err, unless something failed before.
func (l *lifecycle) fail(err error) {
	select {
	case l.failed <- err:
	default:
	}
}

// wait returns when ctx ends, or with the first failure. Everything has been started: a service manager is told so.
func (l *lifecycle) wait(ctx context.Context) error {
	ending, err := l.report(os.Getenv)
	if err != nil {
		return err
	}
	defer ending()
	select {
	case <-ctx.Done():
		return nil
	case err := <-l.failed:
		return err
	}
}

// stop ends everything, the newest first, and joins what went wrong. A second call does nothing.
func (l *lifecycle) stop() error {
	var failures []error
	for len(l.stops) > 0 {
		last := l.stops[len(l.stops)-1]
		l.stops = l.stops[:len(l.stops)-1]
		if err := last.run(); err != nil {
			failures = append(failures, fmt.Errorf("stop %s: %w", last.name, err))
		}
	}
	return errors.Join(failures...)
}

// run calls stop and gives up on it a little after its limit.
func (t teardown) run() error {
	if t.limit == 0 {
		return t.stop(context.Background())
	}
	ctx, cancel := context.WithTimeout(context.Background(), t.limit)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- t.stop(ctx) }()
	select {
	case err := <-done:
		return err
	case <-time.After(t.limit + time.Second):
		return fmt.Errorf("not done after %v", t.limit)
	}
}

// await returns what done carries, or that it took too long.
func await(limit context.Context, done <-chan error) error {
	select {
	case err := <-done:
		if errors.Is(err, context.Canceled) {
			return nil
		}
		return err
	case <-limit.Done():
		return errors.New("still busy")
	}
}

func orUnexpected(err error) error {
	if err == nil {
		return errors.New("nobody asked it to")
	}
	return err
}
