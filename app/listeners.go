package app

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"time"

	"lightspeed/listener"
	"lightspeed/listener/config"
)

// listeners are those of one process. They end together; while it runs, some may come, change and go as the configs do.
type listeners struct {
	life     *lifecycle
	v        *voice
	state    string
	patience time.Duration // ListenOptions.DrainTimeout
	source   *Source
	common   listener.Options

	ctx     context.Context // of all of them
	running sync.WaitGroup

	mu  sync.Mutex
	all map[string]*member
}

// member is one listener, by its name: it is built anew for each config that it gets.
type member struct {
	one    *listener.Listener
	config config.Config
	next   *config.Config     // what it is built with when its runs have ended; nil: it goes
	stop   context.CancelFunc // of one, which then takes nothing new; nil before it is started
}

func newListeners(life *lifecycle, v *voice, o ListenOptions) *listeners {
	return &listeners{
		life: life, v: v, state: o.State, patience: o.DrainTimeout, source: o.Source, all: map[string]*member{},
	}
}

// add builds a listener. ready is told when it listens.
func (g *listeners) add(c config.Config, ready func()) error {
	one, err := g.build(c, func() {
		g.v.ready("listen", c.Rules.Name)
		ready()
	})
	if err == nil {
		g.all[c.Rules.Name] = &member{one: one, config: c}
	}
	return err
}

// close frees what listeners hold that are not started after all.
func (g *listeners) close() error {
	var failures []error
	for _, m := range g.all {
		failures = append(failures, m.one.Close())
	}
	return errors.Join(failures...)
}

// start runs the listeners, follows their configs, and registers that they drain.
func (g *listeners) start(stop Stop) {
	var drain context.CancelFunc
	g.ctx, drain = context.WithCancel(context.Background())
	g.mu.Lock()
	for _, m := range g.all {
		g.begin(m)
	}
	g.mu.Unlock()
	var following sync.WaitGroup
	if g.source != nil {
		following.Go(func() { g.follow(g.ctx) })
	}
	g.life.onStop("listeners", 0, func(context.Context) error {
		drain()
		following.Wait() // nothing comes to them any more
		g.drain(stop.Now)
		return nil
	})
}

// begin runs a listener, and again with the next config when it has one. g.mu is held.
func (g *listeners) begin(m *member) {
	ctx, stop := context.WithCancel(g.ctx)
	m.stop, m.next = stop, &m.config
	g.running.Go(func() {
		defer stop()
		if err := m.one.Run(ctx); err != nil && ctx.Err() == nil {
			g.life.fail(err)
			return
		}
		g.mu.Lock()
		defer g.mu.Unlock()
		g.again(m)
	})
}

// again builds a listener with its next config, when its runs have ended. g.mu is held.
func (g *listeners) again(m *member) {
	if g.ctx.Err() != nil {
		return
	}
	name := m.config.Rules.Name
	if m.next == nil {
		delete(g.all, name)
		g.v.note("%s: is gone from the configs, and its runs have ended; `lightspeed listeners remove %s` has admin forget it", name, name)
		return
	}
	one, err := g.build(*m.next, func() { g.v.note("%s: works by its new config", name) })
	if err != nil {
		g.life.fail(fmt.Errorf("listener %s cannot start with its new config: %w", name, err))
		return
	}
	m.one, m.config = one, *m.next
	g.begin(m)
}

// change brings the listeners in line with configs that were checked, and reports whether any was not: new ones
// start; changed ones, and those that are gone, take nothing new and let their runs end first.
func (g *listeners) change(configs []config.Config) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	changed, there := false, map[string]bool{}
	for _, c := range configs {
		name := c.Rules.Name
		there[name] = true
		m := g.all[name]
		switch {
		case m == nil:
			if err := g.add(c, func() {}); err != nil {
				g.v.Log.Error("listener cannot start", "listener", name, "err", err)
				continue
			}
			g.begin(g.all[name])
		case m.next != nil && reflect.DeepEqual(*m.next, c):
			continue
		default:
			g.v.note("%s: its config has changed: takes nothing new until its runs have ended: %s", name, runs(m.one.Running()))
			m.next = &c
			m.stop()
		}
		changed = true
	}
	for name, m := range g.all {
		if !there[name] && m.next != nil {
			g.v.note("%s: is gone from the configs: takes nothing new and finishes what runs: %s", name, runs(m.one.Running()))
			m.next, changed = nil, true
			m.stop()
		}
	}
	return changed
}

// current returns the listeners that there are now.
func (g *listeners) current() []*listener.Listener {
	g.mu.Lock()
	defer g.mu.Unlock()
	list := make([]*listener.Listener, 0, len(g.all))
	for _, m := range g.all {
		list = append(list, m.one)
	}
	return list
}

// drain waits for the runs to end: a run may take as long as its timeout, until patience is over or now ends, and
// the last signal leaves the process.
func (g *listeners) drain(now context.Context) {
	done := make(chan struct{})
	go func() {
		g.running.Wait()
		close(done)
	}()
	if n := g.busy(); n > 0 {
		g.v.note("takes nothing new and finishes what runs: %s%s (a second signal cancels, a third leaves at once)", runs(n), atMost(g.patience))
	}
	why := "the listener was told to stop"
	select {
	case <-done:
		return
	case <-now.Done():
	case <-after(g.patience):
		g.v.note("the drain timeout of %v is over", g.patience)
		why += fmt.Sprintf(", and its drain timeout of %v was over", g.patience)
	}
	if n := g.busy(); n > 0 {
		g.v.note("cancels what runs: %s (one more signal leaves at once)", runs(n))
	}
	for _, one := range g.current() {
		one.CancelRuns(why)
	}
	<-done
}

// after is time.After, but for 0 never.
func after(d time.Duration) <-chan time.Time {
	if d == 0 {
		return nil
	}
	return time.After(d)
}

func atMost(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return fmt.Sprintf(", for at most %v", d)
}

func (g *listeners) busy() int {
	n := 0
	for _, one := range g.current() {
		n += one.Running()
	}
	return n
}
