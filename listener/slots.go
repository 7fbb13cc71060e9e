package listener

import (
	"context"
	"sync"
)

// slots bound how many runs a listener holds at once on this machine.
type slots struct {
	mu    sync.Mutex
	most  int
	taken int
	freed chan struct{} // closed and made anew when one may be free
}

func newSlots(most int) *slots { return &slots{most: most, freed: make(chan struct{})} }

// take waits for a free slot, and reports false when ctx ends first.
func (s *slots) take(ctx context.Context) bool {
	for ctx.Err() == nil {
		s.mu.Lock()
		free, freed := s.taken < s.most, s.freed
		if free {
			s.taken++
		}
		s.mu.Unlock()
		if free {
			return true
		}
		select {
		case <-freed:
		case <-ctx.Done():
		}
	}
	return false
}

// free gives a slot back.
func (s *slots) free() { s.change(func() { s.taken-- }) }

// resize bounds them anew. Those that are taken stay taken.
func (s *slots) resize(most int) { s.change(func() { s.most = most }) }

func (s *slots) change(edit func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	edit()
	close(s.freed)
	s.freed = make(chan struct{})
}
