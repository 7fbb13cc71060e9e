package notify

import (
	"cmp"
	"crypto/rand"
	"fmt"
	"path/filepath"
	"slices"
)

// Audience is those who are told, as one config names them. A run keeps the one that it began with, so that its
// message is brought up to date where it was posted. After a restart the newest is told instead.
type Audience struct {
	d       *Dispatcher
	id      string // in Telling.Audience
	members []member
}

type member struct {
	sender *sender
	route  Route
}

// Change has others be told from now on: those that routes name. What waits already is told to whom it was for.
// After an error all is as it was.
func (d *Dispatcher) Change(routes []Route) error {
	routes = slices.Clone(routes)
	for i := range routes {
		routes[i].When = cmp.Or(routes[i].When, Always)
	}
	if err := check(routes); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	next := &Audience{d: d, id: rand.Text()}
	for _, route := range routes {
		s, err := d.sender(route.Target.Name())
		if err != nil {
			return err
		}
		next.members = append(next.members, member{s, route})
	}
	for _, m := range next.members {
		m.sender.join(next.id, m.route.Target)
	}
	d.newest = next
	return nil
}

func check(routes []Route) error {
	for i, route := range routes {
		name := route.Target.Name()
		if !targetName.MatchString(name) {
			return fmt.Errorf("notices: %q cannot be a target's name", name)
		}
		if slices.ContainsFunc(routes[:i], func(r Route) bool { return r.Target.Name() == name }) {
			return fmt.Errorf("notices: two targets are called %q", name)
		}
		if err := route.When.Check(); err != nil {
			return err
		}
	}
	return nil
}

// sender returns the one for targets of a name, with what waits from before. d.mu is held.
func (d *Dispatcher) sender(name string) (*sender, error) {
	for _, s := range d.senders {
		if s.name == name {
			return s, nil
		}
	}
	q, damaged, err := openQueue(filepath.Join(d.dir, name, "pending"), d.most, rankTelling, worthTelling)
	if err != nil {
		return nil, fmt.Errorf("notices for %s: %w", name, err)
	}
	d.logDamage(damaged)
	kept, err := openRecords(filepath.Join(d.dir, name, "kept"), max(2*d.most, DefaultMost))
	if err != nil {
		return nil, fmt.Errorf("notices for %s: %w", name, err)
	}
	log := d.log.With("target", name)
	s := &sender{name: name, queue: q, kept: kept, log: log, trouble: trouble{log: log}, result: d.result}
	d.senders = append(d.senders, s)
	if d.begin != nil {
		d.begin(s)
	}
	return s, nil
}

// Audience returns the newest.
func (d *Dispatcher) Audience() *Audience {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.newest
}

// Tell keeps a notice for everyone of the audience who is to be told of it. When it returns, kill -9 loses nothing.
// It waits for nobody but the disk, and what goes wrong is logged and reported: a run does not fail by it.
//
// Tell a run's notices in their order. The same notice may be told again after a restart.
func (a *Audience) Tell(n Notice) {
	d := a.d
	if err := n.check(); err != nil {
		d.log.Error("something cannot be told", "error", err)
		return
	}
	if len(a.members) == 0 {
		return
	}
	n = n.bounded()
	d.mu.Lock()
	defer d.mu.Unlock()
	before := d.last.before(&n)
	for _, m := range a.members {
		m.sender.put(n, before, m.route, a.id)
	}
	if err := d.last.note(&n, before); err != nil {
		d.log.Error("a run's result cannot be written down: what notify_on compares may be outdated", "run", n.Run, "error", err)
	}
}
