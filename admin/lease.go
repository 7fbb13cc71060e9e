package admin

import (
	"sync"
	"time"

	"lightspeed/admin/store"
	"lightspeed/api"
	"lightspeed/run"
)

// leases holds, in memory, how long each running attempt and each instance may stay silent. Time is counted
// in ticks and not read from a clock: an admin that was frozen, or a clock that was set, loses nobody.
type leases struct {
	mu       sync.Mutex
	full     int // ticks
	attempts map[string]*lease
	present  map[string]map[string]*presence // by listener and instance
}

// lease is one running attempt's. Its last tick may come just after it began: one more than its seconds are
// counted, so that it never lasts less than its holder was told.
type lease struct {
	ref run.Ref
	instanceKey
	host     string
	delivery string
	left     int
	cancel   *api.Cancel
}

type instanceKey struct{ listener, instance string }

// presence is one instance's.
type presence struct {
	instanceKey
	temporary bool
	connected bool
	waiting   int  // standing claims: as long as there is one, it is there
	waits     bool // its last claim was a standing one: it is not told of work by a broker
	left      int
	seen      time.Time
	lock      *api.LockWait // what its last call said that it waits for
}

func newLeases(length time.Duration) *leases {
	return &leases{full: int(length/time.Second) + 1, attempts: map[string]*lease{}, present: map[string]map[string]*presence{}}
}

// seconds is the length of a lease.
func (l *leases) seconds() int { return l.full - 1 }

// load gives a full lease to all that was there when admin ended.
func (l *leases) load(running []store.Held, instances []store.Presence) {
	for _, h := range running {
		l.attempts[h.Ref.Run] = &lease{ref: h.Ref, instanceKey: instanceKey{h.Listener, h.Instance}, host: h.Host, delivery: h.Delivery, left: l.full, cancel: h.Cancel}
	}
	for _, p := range instances {
		own := l.add(instanceKey{p.Listener, p.Instance})
		own.temporary, own.left, own.seen = p.Temporary, l.full, p.At
	}
}

// committed follows what commits do to runs: an attempt's lease begins and ends with it.
func (l *leases) committed(changes []store.Change) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range changes {
		held := l.attempts[c.Run]
		switch {
		case c.Status != run.Running:
			delete(l.attempts, c.Run)
		case held != nil && held.ref.Attempt == c.Attempt:
			held.cancel = c.Cancel
		default:
			l.attempts[c.Run] = &lease{ref: run.Ref{Run: c.Run, Attempt: c.Attempt}, instanceKey: instanceKey{c.Listener, c.Instance}, host: c.Host, delivery: c.Delivery, left: l.full, cancel: c.Cancel}
		}
	}
}

// renew begins an attempt's lease anew and returns the cancel that was asked for. It reports false for one
// that has none, or whose lease is over and about to be taken back.
func (l *leases) renew(ref run.Ref, at time.Time) (*api.Cancel, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	held := l.attempts[ref.Run]
	if held == nil || held.ref != ref || held.left <= 0 {
		return nil, false
	}
	held.left = l.full
	if p := l.find(held.instanceKey); p != nil {
		p.hear(l.full, at)
	}
	return held.cancel, true
}

// cancelOf returns the cancel that was asked for, and whether the attempt has a lease.
func (l *leases) cancelOf(ref run.Ref) (*api.Cancel, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	held := l.attempts[ref.Run]
	if held == nil || held.ref != ref {
		return nil, false
	}
	return held.cancel, true
}

// listenerOf names the listener of a run that has a lease.
func (l *leases) listenerOf(run string) (name string, live bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if held := l.attempts[run]; held != nil {
		return held.listener, true
	}
	return "", false
}

// registered notes that an instance has registered.
func (l *leases) registered(listener, id string, temporary bool, lock *api.LockWait, at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	key := instanceKey{listener, id}
	p := l.find(key)
	if p == nil {
		p = l.add(key)
	}
	p.temporary, p.lock = temporary, lock
	p.hear(l.full, at)
}

// find returns what is known of an instance, or nil. mu is held.
func (l *leases) find(key instanceKey) *presence { return l.present[key.listener][key.instance] }

// add begins to know an instance. mu is held.
func (l *leases) add(key instanceKey) *presence {
	if l.present[key.listener] == nil {
		l.present[key.listener] = map[string]*presence{}
	}
	p := &presence{instanceKey: key}
	l.present[key.listener][key.instance] = p
	return p
}

func (p *presence) hear(full int, at time.Time) { p.connected, p.left, p.seen = true, full, at }

// claims notes that an instance claims, and waits for it or not, until done is called.
func (l *leases) claims(listener, id string, waits bool) (done func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.find(instanceKey{listener, id})
	if p == nil {
		return func() {}
	}
	p.hear(l.full, time.Now().UTC())
	p.waiting++
	p.waits, p.lock = waits, nil
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		p.waiting--
		p.hear(l.full, time.Now().UTC())
	}
}

// tick counts one second, and returns the attempts whose lease is over, until they are taken back, and the
// instances that have just gone.
func (l *leases) tick() (expired []lease, gone []presence) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, held := range l.attempts {
		if held.left--; held.left <= 0 {
			expired = append(expired, *held)
		}
	}
	for _, own := range l.present {
		for _, p := range own {
			if p.waiting > 0 || (!p.connected && !p.temporary) {
				continue
			}
			if p.left--; p.left <= 0 {
				p.connected = false
				gone = append(gone, *p)
			}
		}
	}
	return expired, gone
}

// connected reports whether any instance of a listener is there.
func (l *leases) connected(listener string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range l.present[listener] {
		if p.connected {
			return true
		}
	}
	return false
}

// there lists the instances of a listener that are connected.
func (l *leases) there(listener string) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	ids := []string{}
	for id, p := range l.present[listener] {
		if p.connected {
			ids = append(ids, id)
		}
	}
	return ids
}

// presence returns what is known of one instance.
func (l *leases) presence(listener, id string) presence {
	l.mu.Lock()
	defer l.mu.Unlock()
	if p := l.find(instanceKey{listener, id}); p != nil {
		return *p
	}
	return presence{}
}

// drop forgets one instance, and those of its listener that have been away since before.
func (l *leases) drop(gone presence, before time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	own := l.present[gone.listener]
	for id, p := range own {
		if !p.connected && (p.seen.Before(before) || (gone.temporary && id == gone.instance)) {
			delete(own, id)
		}
	}
	if len(own) == 0 {
		delete(l.present, gone.listener)
	}
}

// forget drops the instances of a listener that was removed.
func (l *leases) forget(listener string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.present, listener)
}
