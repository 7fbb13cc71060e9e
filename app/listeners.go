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

	refused bool // the configs were, when they were read last

	mu  sync.Mutex
	all map[string]*member
}

// member is one listener, by its name.
type member struct {
	one    *listener.Listener
	config config.Config
	stop   context.CancelFunc // of one, which then takes nothing new; nil before it is started

	leaving bool           // it is gone from the configs
	back    *config.Config // and came back before its runs had ended: it is built anew then
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
	var configs []config.Config
	for _, m := range g.all {
		configs = append(configs, m.config)
		g.begin(m)
	}
	g.mu.Unlock()
	var following sync.WaitGroup
	if g.source != nil {
		g.source.inForce(configs)
		following.Go(func() { g.source.follow(g.ctx, g.reload) })
	}
	g.life.onStop("listeners", 0, func(context.Context) error {
		drain()
		following.Wait() // nothing comes to them any more
		g.drain(stop.Now)
		return nil
	})
}

// begin runs a listener. g.mu is held.
func (g *listeners) begin(m *member) {
	var ctx context.Context
	ctx, m.stop = context.WithCancel(g.ctx)
	g.running.Go(func() {
		defer m.stop()
		if err := m.one.Run(ctx); err != nil && ctx.Err() == nil {
			g.life.fail(err)
			return
		}
		g.mu.Lock()
		defer g.mu.Unlock()
		g.left(m)
	})
}

// left forgets a listener that was gone from the configs, now that its runs have ended; or starts it again, when it has
// come back. g.mu is held.
func (g *listeners) left(m *member) {
	name := m.config.Rules.Name
	if g.ctx.Err() != nil {
		return
	}
	delete(g.all, name)
	if m.back == nil {
		g.v.note("%s: is gone from the configs, and its runs have ended; `lightspeed listeners remove %s` has admin forget it", name, name)
		return
	}
	g.come(*m.back)
}

// come starts a listener that is new in the configs. g.mu is held.
func (g *listeners) come(c config.Config) {
	if err := g.add(c, func() {}); err != nil {
		g.v.note("%s: cannot start: %v", c.Rules.Name, err)
		g.v.Log.Error("listener cannot start", "listener", c.Rules.Name, "err", err)
		return
	}
	g.begin(g.all[c.Rules.Name])
}

// change brings the listeners in line with configs that were checked, and reports whether any was not: new ones
// start, changed ones are swapped, and those that are gone take nothing new and let their runs end.
func (g *listeners) change(configs []config.Config) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	changed, there := false, map[string]bool{}
	for _, c := range configs {
		there[c.Rules.Name] = true
		changed = g.changeOne(c) || changed
	}
	for name, m := range g.all {
		if there[name] || m.leaving && m.back == nil {
			continue
		}
		g.v.note("%s: is gone from the configs: takes nothing new and finishes what runs: %s", name, runs(m.one.Running()))
		m.leaving, m.back, changed = true, nil, true
		m.stop()
	}
	return changed
}

// changeOne brings one listener in line with its config, and reports whether it was not. g.mu is held.
func (g *listeners) changeOne(c config.Config) bool {
	m := g.all[c.Rules.Name]
	switch {
	case m == nil:
		g.come(c)
	case m.leaving && m.back != nil && reflect.DeepEqual(*m.back, c), !m.leaving && reflect.DeepEqual(m.config, c):
		return false
	case m.leaving:
		g.v.note("%s: is in the configs again, and starts when its runs have ended: %s", c.Rules.Name, runs(m.one.Running()))
		m.back = &c
	default:
		g.swap(m, c)
	}
	return true
}

// swap gives a listener another config, while it works. g.mu is held.
func (g *listeners) swap(m *member, c config.Config) {
	if err := m.one.Change(c); err != nil { // it was checked: something has happened since
		g.v.note("%s: its changed config is refused; it goes on as it was: %v", c.Rules.Name, err)
		g.v.Log.Error("changed config is refused", "listener", c.Rules.Name, "err", err)
		return
	}
	m.config = c
}

// swapped says what admin said to a changed config.
func (g *listeners) swapped(name string, err error) {
	if err != nil {
		g.v.note("%s: admin refuses its changed config; it goes on as it was: %v", name, err)
		return
	}
	g.v.note("%s: works by its changed config; runs that are under way keep theirs", name)
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
