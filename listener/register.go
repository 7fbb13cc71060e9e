package listener

import (
	"context"
	"fmt"
	"time"

	"lightspeed/api"
	"lightspeed/fault"
)

// revision is the config's, within this process. A listener does not reload its config: another is started.
const revision = 1

// register tells admin what this listener listens for and what it holds, until admin has taken or refused it.
// It is done again when admin does not know the listener, or has been away; a repeat changes no settings at admin.
func (l *Listener) register(ctx context.Context) error {
	var answer api.Registered
	err := l.admin.try(ctx, l.log, "registration", func(ctx context.Context) (err error) {
		answer, err = l.admin.Register(ctx, l.name, api.Registration{
			Instance: l.journal.Instance(), Start: l.start, Revision: revision, Host: l.host,
			Temporary: l.opt.Temporary, Settings: settings(l.opt.Config), Holds: l.journal.Holds(),
		})
		return err
	})
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("admin at %s refuses listener %s: %w", l.admin.Base(), l.name, err)
	}
	if err != nil {
		return nil
	}
	fault.Point("listener.registered")
	l.registered = true
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
