package listener

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	"lightspeed/fault"
	"lightspeed/listener/config"
	"lightspeed/listener/lock"
	"lightspeed/match"
	"lightspeed/notify"
	"lightspeed/notify/commitstatus"
	"lightspeed/secret"
)

// edition is one config of a listener, and what is made of it. A run keeps the one that it was claimed by, to its end.
type edition struct {
	config   config.Config
	revision int // names it to admin, within this process
	rules    *match.Matcher
	mask     *secret.Mask
	audience *notify.Audience     // who is told of its runs
	forge    *commitstatus.Target // tells what a pull request changes; nil: nobody does
	locks    []lock.Lock          // of the machine, that each run holds
	folder   *lock.Lock           // of the folder that runs of this listener share; nil: they do not

	over    context.Context // ends when another one has taken its place
	replace context.CancelFunc
}

// newEdition checks a config, and makes of it what needs nothing but that.
func newEdition(c config.Config, revision int) (*edition, error) {
	rules, err := match.Compile(c.Rules)
	if err != nil {
		return nil, err
	}
	if len(c.Exec) == 0 {
		return nil, errors.New("exec is empty: the listener has nothing to run")
	}
	if err := checkLocks(c); err != nil {
		return nil, err
	}
	e := &edition{
		config: c, revision: revision, rules: rules, mask: secret.NewMask(c.Masked()...), locks: locks(c), folder: folder(c),
	}
	e.over, e.replace = context.WithCancel(context.Background())
	return e, nil
}

// within returns a context that ends with ctx, and when another edition has taken this one's place.
func (e *edition) within(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(e.over, cancel)
	return ctx, func() { stop(); cancel() }
}

// Check reports what New or Change would refuse a config for. lanes and discordAPI are those of Options.
func Check(c config.Config, lanes *notify.Lanes, discordAPI string) error {
	if _, err := newEdition(c, 1); err != nil {
		return err
	}
	_, err := Targets(c, lanes, discordAPI)
	return err
}

// Change swaps the config of a listener that works, or is about to. Admin is told at once, and what is claimed from
// then on is run by the new one; runs that are there keep theirs. The listener's name stays. An error says that
// nothing has changed; what admin says to it is told by Options.Changed.
func (l *Listener) Change(c config.Config) error {
	if c.Rules.Name != l.name {
		return fmt.Errorf("listener %s cannot become %q: a name does not change", l.name, c.Rules.Name)
	}
	l.changing.Lock()
	defer l.changing.Unlock()
	next, err := newEdition(c, l.revisions+1)
	if err != nil {
		return err
	}
	if err := l.address(next); err != nil {
		return err
	}
	l.revisions++
	l.swap(next)
	fault.Point("listener.swapped")
	return nil
}

// swap puts an edition into the place of the newest. l.changing is held.
func (l *Listener) swap(next *edition) {
	old := l.newest.Swap(next)
	l.slots.resize(next.config.AtOnceHere())
	old.replace()
}

// takeBack puts the edition that admin has taken last into the place of one that it refuses. The claiming goroutine
// calls it, which may have to tell admin of yet a newer one.
func (l *Listener) takeBack(refused *edition, why error) {
	l.changing.Lock()
	defer l.changing.Unlock()
	if l.newest.Load() != refused {
		return
	}
	again := *l.known
	again.over, again.replace = context.WithCancel(context.Background())
	l.swap(&again)
	l.log.Error("admin refuses the changed config; the one before holds on", "err", why)
	l.changed(why)
}

// changed tells whoever wants to know what admin said to a changed config.
func (l *Listener) changed(err error) {
	if l.opt.Changed != nil {
		l.opt.Changed(err)
	}
}

// address has those told whom an edition names. Where they are the same as before, nothing is made anew: what was
// learnt of them, as that a webhook is gone, holds on.
func (l *Listener) address(e *edition) error {
	if old := l.newest.Load(); reflect.DeepEqual(addressees(old.config), addressees(e.config)) {
		e.audience, e.forge = old.audience, old.forge
		return nil
	}
	routes, err := Targets(e.config, l.opt.Lanes, l.opt.DiscordAPI)
	if err != nil {
		return err
	}
	if e.forge, err = newForge(e.config, l.opt.Lanes); err != nil {
		return err
	}
	if err := l.teller.Change(routes); err != nil {
		return err
	}
	e.audience = l.teller.Audience()
	return nil
}

// addressees is the part of a config that says who is told.
func addressees(c config.Config) config.Config {
	return config.Config{
		DiscordHook: c.DiscordHook, DiscordNotify: c.DiscordNotify, NotifyOn: c.NotifyOn, GithubStatusToken: c.GithubStatusToken, GithubURL: c.GithubURL,
	}
}
