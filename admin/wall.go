package admin

import (
	"context"
	"time"
)

// A wall clock that is set forward makes everything old at once, and what was deleted for its age does not come back
// when the clock is put right. So nothing is, for a while, when it has moved as time does not.
const (
	clockStep  = 24 * time.Hour     // from which on a step counts
	clockPause = 7 * 24 * time.Hour // from which on the time between two processes does: the machine was off, or its clock is wrong
	doubtLasts = 24 * time.Hour     // for people to see it
)

// wallWatch sees the wall clock's steps. It belongs to one goroutine.
type wallWatch struct {
	begun  time.Time     // the process's time is counted from here
	last   time.Time     // of the wall clock, when it was looked at last; zero before
	lastUp time.Duration // and the process's time then
	until  time.Duration // nothing is deleted for its age before
}

// look compares how far the wall clock and the process's own time have come. before is what an earlier process noted
// of the wall clock, zero when none did. It reports whether the wall clock is in doubt, and whether that has begun now.
func (w *wallWatch) look(wall time.Time, up time.Duration, before time.Time) (doubt, begun bool) {
	var step time.Duration
	most := clockStep
	switch {
	case !w.last.IsZero():
		step = wall.Sub(w.last) - (up - w.lastUp)
	case !before.IsZero():
		if step = wall.Sub(before); step > 0 {
			most = clockPause
		}
	}
	w.last, w.lastUp = wall, up
	if begun = step.Abs() > most; begun {
		w.until = up + doubtLasts
	}
	return up < w.until, begun
}

// clockInDoubt looks at the wall clock, and notes it for the next process when it can be believed.
func (s *Server) clockInDoubt(ctx context.Context) bool {
	before, err := s.store.Wall(ctx)
	if err != nil {
		s.report(err, "reading the clock")
		return true
	}
	now := time.Now()
	if s.wall.begun.IsZero() {
		s.wall.begun = now
	}
	doubt, begun := s.wall.look(now.Round(0), now.Sub(s.wall.begun), before) // Round takes the process's own time off
	if begun {
		s.log.Warn("the clock was set, or the machine slept or was off: for a day nothing is deleted for its age", "now", now.UTC(), "before", before,
			"hint", "see that the clock is right; `lightspeed prune` deletes all the same")
	}
	if !doubt {
		s.report(s.store.SetWall(ctx, now), "noting the clock")
	}
	return doubt
}
