package hooks

import (
	"context"
	"slices"
	"sync"
)

// room is memory that bodies in flight share. Who is in it is a stranger until its signature was seen to be right. When
// there is no room left strangers give theirs up to those who came after them, the oldest first: a delivery that
// is meant comes whole within moments, and what stays is slow, or was never meant to come.
type room struct {
	mu        sync.Mutex
	size      int64 // bytes
	free      int64
	strangers []*guest // in the order in which they came
	kept      int      // guests that wait, and must not be sent away: strangers get nothing before them
	changed   chan struct{}
}

// guest is one body in a room.
type guest struct {
	room     *room
	bytes    int64
	sendAway func() // ends its reading, at once and without waiting for it; nil: it cannot be sent away
	leaving  bool   // it was sent away: its bytes will soon be free
}

func newRoom(size int64) *room { return &room{size: size, free: size, changed: make(chan struct{})} }

// enter lets a guest in, who has no bytes yet. sendAway is called at most once, and not after leave.
func (r *room) enter(sendAway func()) *guest {
	g := &guest{room: r, sendAway: sendAway}
	if sendAway == nil {
		return g
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.strangers = append(r.strangers, g)
	return g
}

// take gives a guest so many bytes more, and no more than the room has in all. It waits for them until ctx ends.
func (g *guest) take(ctx context.Context, bytes int64) error {
	r := g.room
	if g.sendAway == nil {
		r.await(1)
		defer r.await(-1)
	}
	for {
		there, changed := r.give(g, bytes)
		if there {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return errNoRoom
		}
	}
}

func (r *room) await(more int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.kept += more; r.kept == 0 {
		r.wake()
	}
}

// give hands out bytes, when they are there. Otherwise it sends strangers away, so that they will be.
func (r *room) give(g *guest, bytes int64) (there bool, changed <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	bytes = min(bytes, r.size-g.bytes)
	if bytes <= r.free && (r.kept == 0 || g.sendAway == nil) {
		r.free -= bytes
		g.bytes += bytes
		return true, nil
	}
	r.makeRoom(g, bytes-r.free)
	return false, r.changed
}

// makeRoom sends strangers away that came before g, until so many bytes will be free.
func (r *room) makeRoom(g *guest, bytes int64) {
	for _, s := range r.strangers {
		if s.leaving {
			bytes -= s.bytes
		}
	}
	for _, s := range r.strangers {
		if s == g || bytes <= 0 {
			return
		}
		if !s.leaving && s.bytes > 0 {
			s.leaving = true
			s.sendAway()
			bytes -= s.bytes
		}
	}
}

// keep makes a guest one that stays.
func (g *guest) keep() {
	g.room.mu.Lock()
	defer g.room.mu.Unlock()
	g.forget()
	g.sendAway = nil
	if g.leaving { // it was counted on to leave, and stays
		g.room.wake()
	}
}

// leave gives back what a guest has.
func (g *guest) leave() {
	g.room.mu.Lock()
	defer g.room.mu.Unlock()
	g.forget()
	g.room.free += g.bytes
	g.bytes = 0
	g.room.wake()
}

// forget takes a guest off the strangers. The room is locked.
func (g *guest) forget() {
	if i := slices.Index(g.room.strangers, g); i >= 0 {
		g.room.strangers = slices.Delete(g.room.strangers, i, i+1)
	}
}

// wake lets those who wait look again. The room is locked.
func (r *room) wake() {
	close(r.changed)
	r.changed = make(chan struct{})
}
