package notify

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func enter(t *testing.T, l *Lane) {
	t.Helper()
	leave, err := l.Enter(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	leave()
}

func TestLaneKeepsItsPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := new(Lanes).Lane("token")
		l.Pace(50, time.Second/2)
		var times []time.Duration
		start := time.Now()
		for range 300 {
			enter(t, l)
			times = append(times, time.Since(start))
		}
		if times[49] != 0 || times[50] == 0 {
			t.Errorf("number 50 went at %v, number 51 at %v", times[49], times[50])
		}
		for i := range times { // never more than 180 in a minute: GitHub's secondary limit
			n := 0
			for _, at := range times[i:] {
				if at < times[i]+time.Minute {
					n++
				}
			}
			if n > 180 {
				t.Fatalf("%d went in the minute from %v", n, times[i])
			}
		}
		time.Sleep(time.Hour) // rested: a burst again, not more
		for range 50 {
			enter(t, l)
		}
		at := time.Now()
		if enter(t, l); time.Since(at) != time.Second/2 {
			t.Errorf("after a rest, number 51 waited %v", time.Since(at))
		}
	})
}

func TestLaneHoldsEverybody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lanes := new(Lanes)
		lanes.Lane("token").Hold(time.Minute)
		lanes.Lane("token").Hold(time.Second) // a shorter one does not shorten it
		start := time.Now()
		enter(t, lanes.Lane("other"))
		if err := lanes.Lane("other").Wait(t.Context()); err != nil || time.Since(start) != 0 {
			t.Errorf("another lane waited %v, %v", time.Since(start), err)
		}
		if err := lanes.Lane("token").Wait(t.Context()); err != nil || time.Since(start) != time.Minute {
			t.Errorf("waited %v, %v", time.Since(start), err)
		}
		enter(t, lanes.Lane("token"))
		if time.Since(start) != time.Minute {
			t.Errorf("entered after %v", time.Since(start))
		}
	})
}

func TestLaneLetsOneThroughAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := new(Lanes).Lane("token")
		leave, err := l.Enter(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := l.Enter(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got in beside another: %v", err)
		}
		leave()
		l.Hold(time.Hour)
		ctx, cancel = context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := l.Enter(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got in while it was held: %v", err)
		}
		time.Sleep(time.Hour)
		enter(t, l) // whoever gave up left the turn to others
	})
}
