// Package brokertest holds every broker to the same promises. An implementation's test is:
//
//	func TestConformance(t *testing.T) { brokertest.Run(t, newSides) }
package brokertest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"lightspeed/broker"
)

// patience bounds every wait for something that must come.
const patience = 15 * time.Second

// Sides are both ends of one broker that holds nothing yet. Close ends both; the suite calls it twice.
type Sides struct {
	Announcer broker.Announcer
	Consumer  broker.Consumer
	Close     func() error
}

// Run runs the suite; newSides is called once a test, and cleans up with t.Cleanup.
func Run(t *testing.T, newSides func(*testing.T) Sides) {
	tests := []struct {
		name string
		test func(*testing.T, Sides)
	}{
		{"a hint reaches a slot that waits", reachesWaiting},
		{"a hint waits for a slot", waitsForSlot},
		{"a hint goes to one slot", goesToOne},
		{"a busy slot leaves hints to others", busyLeaves},
		{"a hint that is done does not come again", doneIsGone},
		{"a hint given back comes again", givenBackComesAgain},
		{"a hint is settled once", settledOnce},
		{"a closed slot gives its hint back", closedGivesBack},
		{"a Next that was given up swallows nothing", givenUpSwallowsNothing},
		{"queues are apart", queuesApart},
		{"declaring again keeps the hints", declareKeeps},
		{"a forgotten queue is gone", forgotten},
		{"a hint without a queue is missed", missed},
		{"many hints, each once", manyOnce},
		{"both sides name the same broker", sameName},
		{"the end", closed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.test(t, newSides(t))
		})
	}
}

// Queue is a name with everything that a listener's name may have.
const Queue = "owner_1/my-repo.tests"

func hint(n int) broker.Hint { return broker.Hint{Queue: Queue, Run: fmt.Sprintf("run%d", n)} }

// Declare declares a queue, and fails the test when that is not possible in time.
func Declare(t testing.TB, a broker.Announcer, queue string) int {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		waiting, err := a.Declare(ctx, queue)
		var down *broker.DownError
		if err == nil {
			return waiting
		}
		if !errors.As(err, &down) || ctx.Err() != nil {
			t.Fatalf("declare %s: %v", queue, err)
		}
		pause(ctx)
	}
}

// Next takes the next hint of a slot, and fails the test when none comes. A broker that is still being
// connected to is waited for.
func Next(t testing.TB, s broker.Slot) *broker.Held {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		held, err := s.Next(ctx)
		var down *broker.DownError
		if err == nil {
			return held
		}
		if !errors.As(err, &down) || ctx.Err() != nil {
			t.Fatalf("next: %v (%s)", err, s.State())
		}
		pause(ctx)
	}
}

// Waiting waits until so many hints wait in a queue.
func Waiting(t testing.TB, a broker.Announcer, queue string, want int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for got := Declare(t, a, queue); got != want; got = Declare(t, a, queue) {
		if pause(ctx); ctx.Err() != nil {
			t.Fatalf("%d hints wait in %s, want %d", got, queue, want)
		}
	}
}

// pause keeps a loop that asks again from spinning.
func pause(ctx context.Context) {
	timer := time.NewTimer(20 * time.Millisecond)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

func wantHint(t testing.TB, held *broker.Held, want broker.Hint) {
	t.Helper()
	if held.Hint != want {
		t.Fatalf("hint %+v, want %+v", held.Hint, want)
	}
}

func reachesWaiting(t *testing.T, s Sides) {
	Declare(t, s.Announcer, Queue)
	got := make(chan *broker.Held, 1)
	go func() { got <- nextOrNil(t.Context(), s.Consumer.Slot(Queue)) }()
	s.Announcer.Announce(hint(1))
	select {
	case held := <-got:
		if held == nil {
			t.Fatal("no hint came")
		}
		wantHint(t, held, hint(1))
	case <-time.After(patience):
		t.Fatal("no hint came in time")
	}
}

// nextOrNil is Next for goroutines that may not fail a test.
func nextOrNil(ctx context.Context, s broker.Slot) *broker.Held {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for ctx.Err() == nil {
		held, err := s.Next(ctx)
		if err == nil {
			return held
		}
		pause(ctx)
	}
	return nil
}

func waitsForSlot(t *testing.T, s Sides) {
	Declare(t, s.Announcer, Queue)
	s.Announcer.Announce(hint(1))
	Waiting(t, s.Announcer, Queue, 1)
	wantHint(t, Next(t, s.Consumer.Slot(Queue)), hint(1))
}

func goesToOne(t *testing.T, s Sides) {
	Declare(t, s.Announcer, Queue)
	s.Announcer.Announce(hint(1))
	wantHint(t, Next(t, s.Consumer.Slot(Queue)), hint(1))
	s.Announcer.Announce(hint(2))
	wantHint(t, Next(t, s.Consumer.Slot(Queue)), hint(2))
}

func busyLeaves(t *testing.T, s Sides) {
	Declare(t, s.Announcer, Queue)
	busy, idle := s.Consumer.Slot(Queue), s.Consumer.Slot(Queue)
	s.Announcer.Announce(hint(0))
	wantHint(t, Next(t, busy), hint(0))
	for i := 1; i <= 3; i++ {
		s.Announcer.Announce(hint(i))
	}
	for i := 1; i <= 3; i++ {
		held := Next(t, idle)
		wantHint(t, held, hint(i))
		held.Done()
	}
}

func doneIsGone(t *testing.T, s Sides) {
	Declare(t, s.Announcer, Queue)
	slot := s.Consumer.Slot(Queue)
	s.Announcer.Announce(hint(1))
	Next(t, slot).Done()
	s.Announcer.Announce(hint(2))
	wantHint(t, Next(t, slot), hint(2))
	slot.Close()
	wantHint(t, Next(t, s.Consumer.Slot(Queue)), hint(2)) // and not 1, which a slot that closes leaves settled
}

func givenBackComesAgain(t *testing.T, s Sides) {
	Declare(t, s.Announcer, Queue)
	first, second := s.Consumer.Slot(Queue), s.Consumer.Slot(Queue)
	s.Announcer.Announce(hint(1))
	Next(t, first).GiveBack()
	held := Next(t, second)
	wantHint(t, held, hint(1))
	held.GiveBack()
	wantHint(t, Next(t, first), hint(1)) // the slot that gave it back goes on
}

func settledOnce(t *testing.T, s Sides) {
	Declare(t, s.Announcer, Queue)
	slot := s.Consumer.Slot(Queue)
	s.Announcer.Announce(hint(1))
	held := Next(t, slot)
	held.Done()
	held.Done()
	held.GiveBack()
	s.Announcer.Announce(hint(2))
	wantHint(t, Next(t, slot), hint(2))
}

func closedGivesBack(t *testing.T, s Sides) {
	Declare(t, s.Announcer, Queue)
	slot := s.Consumer.Slot(Queue)
	s.Announcer.Announce(hint(1))
	held := Next(t, slot)
	slot.Close()
	slot.Close()
	wantHint(t, Next(t, s.Consumer.Slot(Queue)), hint(1))
	held.Done() // too late, and harmless
	if _, err := slot.Next(t.Context()); !errors.Is(err, broker.ErrClosed) {
		t.Fatalf("a closed slot's Next: %v, want ErrClosed", err)
	}
}

func givenUpSwallowsNothing(t *testing.T, s Sides) {
	Declare(t, s.Announcer, Queue)
	impatient := s.Consumer.Slot(Queue)
	s.Announcer.Announce(hint(0))
	Next(t, impatient).Done() // it has consumed before
	for i := 1; i <= 5; i++ {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		held, err := impatient.Next(ctx)
		cancel()
		if held != nil || !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("Next of an empty queue: %v, %v, want the context's error", held, err)
		}
		s.Announcer.Announce(hint(i))
		held = Next(t, s.Consumer.Slot(Queue))
		wantHint(t, held, hint(i))
		held.Done()
	}
	s.Announcer.Announce(hint(6))
	wantHint(t, Next(t, impatient), hint(6))
}

func queuesApart(t *testing.T, s Sides) {
	a, b := broker.Hint{Queue: "a", Run: "1"}, broker.Hint{Queue: "a/b", Run: "2"}
	Declare(t, s.Announcer, a.Queue)
	Declare(t, s.Announcer, b.Queue)
	s.Announcer.Announce(a)
	s.Announcer.Announce(b)
	wantHint(t, Next(t, s.Consumer.Slot(b.Queue)), b)
	wantHint(t, Next(t, s.Consumer.Slot(a.Queue)), a)
}

func declareKeeps(t *testing.T, s Sides) {
	if waiting := Declare(t, s.Announcer, Queue); waiting != 0 {
		t.Fatalf("%d hints wait in a new queue", waiting)
	}
	s.Announcer.Announce(hint(1))
	s.Announcer.Announce(hint(2))
	Waiting(t, s.Announcer, Queue, 2)
	Declare(t, s.Announcer, Queue)
	wantHint(t, Next(t, s.Consumer.Slot(Queue)), hint(1))
	wantHint(t, Next(t, s.Consumer.Slot(Queue)), hint(2))
}

func forgotten(t *testing.T, s Sides) {
	Declare(t, s.Announcer, Queue)
	s.Announcer.Announce(hint(1))
	Waiting(t, s.Announcer, Queue, 1)
	for range 2 {
		if err := s.Announcer.Forget(t.Context(), Queue); err != nil {
			t.Fatalf("forget: %v", err)
		}
	}
	var down *broker.DownError
	if _, err := s.Consumer.Slot(Queue).Next(t.Context()); !errors.As(err, &down) || down.State.Why == "" {
		t.Fatalf("Next of a queue that is gone: %v, want a DownError that says why", err)
	}
	Declare(t, s.Announcer, Queue)
	s.Announcer.Announce(hint(2))
	wantHint(t, Next(t, s.Consumer.Slot(Queue)), hint(2))
}

func missed(t *testing.T, s Sides) {
	Declare(t, s.Announcer, Queue)
	select { // of the first connection
	case <-s.Announcer.Missed():
	default:
	}
	s.Announcer.Announce(broker.Hint{Queue: "nobody", Run: "1"})
	select {
	case <-s.Announcer.Missed():
	case <-time.After(patience):
		t.Fatal("a hint without a queue was dropped in silence")
	}
}

func manyOnce(t *testing.T, s Sides) {
	const hints, slots = 200, 4
	Declare(t, s.Announcer, Queue)
	var (
		mu  sync.Mutex
		got = map[broker.Hint]int{}
		wg  sync.WaitGroup
	)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for range slots {
		slot := s.Consumer.Slot(Queue)
		wg.Go(func() {
			for {
				held, err := slot.Next(ctx)
				if err != nil {
					return
				}
				held.Done()
				mu.Lock()
				got[held.Hint]++
				if len(got) == hints {
					cancel()
				}
				mu.Unlock()
			}
		})
	}
	for i := range hints {
		s.Announcer.Announce(hint(i))
	}
	wg.Wait()
	for i := range hints {
		if n := got[hint(i)]; n != 1 {
			t.Errorf("hint %d came %d times", i, n)
		}
	}
}

func sameName(t *testing.T, s Sides) {
	Declare(t, s.Announcer, Queue)
	slot := s.Consumer.Slot(Queue)
	s.Announcer.Announce(hint(1))
	Next(t, slot)
	ours, theirs := s.Announcer.State(), slot.State()
	if !ours.Up || !theirs.Up || ours.Broker == "" || ours.Broker != theirs.Broker {
		t.Fatalf("announcer %+v, slot %+v: want both up, on one broker with a name", ours, theirs)
	}
	if ours.Since.IsZero() || theirs.Since.IsZero() {
		t.Fatalf("announcer %+v, slot %+v: since when is not said", ours, theirs)
	}
}

func closed(t *testing.T, s Sides) {
	Declare(t, s.Announcer, Queue)
	slot := s.Consumer.Slot(Queue)
	s.Announcer.Announce(hint(1))
	held := Next(t, slot)
	held.Done()
	ended := make(chan error, 1)
	go func() {
		_, err := slot.Next(context.Background())
		ended <- err
	}()
	for range 2 {
		if err := s.Close(); err != nil {
			t.Fatalf("close: %v", err)
		}
	}
	select {
	case err := <-ended:
		if !errors.Is(err, broker.ErrClosed) {
			t.Fatalf("a Next that waited ended with %v, want ErrClosed", err)
		}
	case <-time.After(patience):
		t.Fatal("Next still waits after the end")
	}
	s.Announcer.Announce(hint(2)) // is dropped
	if _, err := s.Announcer.Declare(t.Context(), Queue); !errors.Is(err, broker.ErrClosed) {
		t.Fatalf("declare after the end: %v, want ErrClosed", err)
	}
	if err := s.Announcer.Forget(t.Context(), Queue); !errors.Is(err, broker.ErrClosed) {
		t.Fatalf("forget after the end: %v, want ErrClosed", err)
	}
	if s.Announcer.State().Up || slot.State().Up {
		t.Fatal("up after the end")
	}
}
