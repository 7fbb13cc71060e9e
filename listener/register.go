package listener

import (
	"context"
	"fmt"
	"time"

	"lightspeed/api"
	"lightspeed/fault"
)

// register tells admin what this listener listens for and what it holds, until admin has taken or refused it.
// It is done again when admin does not know the listener, or has been away: a repeat changes no settings at admin. Those
// of a changed config come with its own revision. When admin refuses that the one before holds on.
func (l *Listener) register(ctx context.Context) error {
	var answer api.Registered
	var by *edition
	err := l.admin.try(ctx, l.log, "registration", func(ctx context.Context) (err error) {
		by = l.newest.Load()
		answer, err = l.admin.Register(ctx, l.name, api.Registration{
			Instance: l.journal.Instance(), Start: l.start, Revision: by.revision, Host: l.host,
			Temporary: l.opt.Temporary, Settings: settings(by.config), Holds: l.journal.Holds(), Waiting: l.waiting,
		})
		return err
	})
	if err != nil && ctx.Err() == nil && l.known != nil && l.known.revision != by.revision {
		l.registered = false
		l.takeBack(by, err)
		return nil
	}
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("admin at %s refuses listener %s: %w", l.admin.Base(), l.name, err)
	}
	if err != nil {
		return nil
	}
	fault.Point("listener.registered")
	if l.known != nil && l.known.revision != by.revision {
		l.log.Info("works by its changed config", "revision", by.revision)
		l.changed(nil)
	}
	l.known, l.registered = by, true
	l.lease = time.Duration(max(answer.LeaseS, 1)) * time.Second
	l.hints.admins, l.page = answer.Broker, answer.Page
	l.setOutdated(answer.Outdated)
	return nil
}

// setOutdated says once that newer settings are in force, and once that they are not any more.
func (l *Listener) setOutdated(outdated bool) {
	switch {
	case outdated && !l.outdated:
		l.log.Warn("takes no new work: another lightspeed has started this listener with a newer config; runs that are under way go on",
			"hint", "start this one again with that config")
	case !outdated && l.outdated:
		l.log.Info("takes work again: this config is the newest")
	}
	l.outdated = outdated
}
