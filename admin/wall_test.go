package admin

import (
	"testing"
	"time"

	"lightspeed/admin/store"
	"lightspeed/api"
)

func TestClockSteps(t *testing.T) {
	const hour = time.Hour
	day := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	type look struct {
		wall  time.Duration // since day
		up    time.Duration
		doubt bool
	}
	for name, c := range map[string]struct {
		before time.Time
		looks  []look
	}{
		"first start":     {time.Time{}, []look{{0, 0, false}, {hour, hour, false}}},
		"restart":         {day.Add(-hour), []look{{0, 0, false}}},
		"off for long":    {day.Add(-8 * 24 * hour), []look{{0, 0, true}, {23 * hour, 23 * hour, true}, {24 * hour, 24 * hour, false}}},
		"set back at off": {day.Add(25 * hour), []look{{0, 0, true}}},
		"small step":      {time.Time{}, []look{{0, 0, false}, {3 * hour, hour, false}}},
		"set forward":     {time.Time{}, []look{{0, 0, false}, {9000 * hour, hour, true}, {9023 * hour, 24 * hour, true}, {9024 * hour, 25 * hour, false}}},
		"and back":        {time.Time{}, []look{{0, 0, false}, {9000 * hour, hour, true}, {2 * hour, 2 * hour, true}, {25 * hour, 25 * hour, true}, {26 * hour, 26 * hour, false}}},
	} {
		var w wallWatch
		for i, l := range c.looks {
			if doubt, _ := w.look(day.Add(l.wall), l.up, c.before); doubt != l.doubt {
				t.Errorf("%s: look %d: doubt is %v", name, i, doubt)
			}
		}
	}
}

// A wall clock that is wrong for a while must not cost everything that admin keeps.
func TestClockSetForwardDeletesNothing(t *testing.T) {
	f := start(t)
	f.listener("web").ran("d1", "out\n")
	f.end()
	keep := store.Retention{Runs: store.Limits{Age: 1}, Logs: store.Limits{Age: 1}, Payloads: store.Limits{Age: 1}}
	s, err := New(Options{State: f.state, Keep: keep})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.store.SetWall(t.Context(), time.Now().Add(-1000*time.Hour)); err != nil {
		t.Fatal(err)
	}
	if dry, err := s.prune(t.Context(), keep, true); err != nil || dry.Runs != 1 {
		t.Fatalf("%+v, %v", dry, err)
	}
	if keep.NotByAge = s.clockInDoubt(t.Context()); !keep.NotByAge {
		t.Fatal("the clock is believed")
	}
	if done, err := s.prune(t.Context(), keep, false); err != nil || done != (api.Pruning{}) {
		t.Fatalf("%+v, %v", done, err)
	}
	if before, err := s.store.Wall(t.Context()); err != nil || time.Since(before) < 999*time.Hour {
		t.Errorf("noted %v, %v: the next process would believe it", before, err)
	}
}
