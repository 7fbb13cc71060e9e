package app

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func newTestLifecycle() *lifecycle { return newLifecycle(slog.New(slog.DiscardHandler)) }

func TestStopIsInReverseOrder(t *testing.T) {
	life := newTestLifecycle()
	var order []string
	for _, name := range []string{"a", "b", "c"} {
		life.closes(name, func() error {
			order = append(order, name)
			return nil
		})
	}
	for range 2 { // stopping twice is stopping once
		if err := life.stop(); err != nil {
			t.Error(err)
		}
	}
	if got := strings.Join(order, " "); got != "c b a" {
		t.Errorf("stopped in the order %s", got)
	}
}

func TestStopJoinsErrorsAndGoesOn(t *testing.T) {
	life := newTestLifecycle()
	first, second := errors.New("first"), errors.New("second")
	life.closes("a", func() error { return first })
	life.closes("b", func() error { return nil })
	life.closes("c", func() error { return second })
	err := life.stop()
	if !errors.Is(err, first) || !errors.Is(err, second) || err.Error() != "stop c: second\nstop a: first" {
		t.Errorf("got %v", err)
	}
}

func TestStopIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		life := newTestLifecycle()
		free := make(chan struct{})
		life.closes("early", func() error { return nil })
		life.closes("stuck", func() error { <-free; return nil })
		begun := time.Now()
		err := life.stop()
		if err == nil || err.Error() != "stop stuck: not done after 5s" {
			t.Errorf("got %v", err)
		}
		if spent := time.Since(begun); spent != 6*time.Second {
			t.Errorf("took %v", spent)
		}
		close(free)
	})
}

func TestRunEndsWithStop(t *testing.T) {
	life := newTestLifecycle()
	life.run("work", func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
	if err := life.stop(); err != nil {
		t.Error(err)
	}
}

func TestWhatEndsByItselfIsAFailure(t *testing.T) {
	broken := errors.New("broken")
	for _, test := range []struct {
		err  error
		want string
	}{{broken, "work ended: broken"}, {nil, "work ended: nobody asked it to"}} {
		life := newTestLifecycle()
		life.run("work", func(context.Context) error { return test.err })
		if err := life.wait(t.Context()); err == nil || err.Error() != test.want {
			t.Errorf("got %v, want %s", err, test.want)
		}
		if err := life.stop(); err != nil {
			t.Error(err)
		}
	}
}
