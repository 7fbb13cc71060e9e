package store

import (
	"context"
	"encoding/json"
	"time"

	"lightspeed/api"
	"lightspeed/run"
)

// Presence is an instance and when it was last heard of.
type Presence struct {
	Listener  string
	Instance  string
	Temporary bool
	At        time.Time
}

// Instances lists all instances of all listeners.
func (s *Store) Instances(ctx context.Context) ([]Presence, error) {
	var list []Presence
	err := s.read(ctx, func(row scanner) error {
		var p Presence
		var seen int64
		err := row.Scan(&p.Listener, &p.Instance, &seen, &p.Temporary)
		p.At = timeOf(seen)
		list = append(list, p)
		return err
	}, `SELECT i.listener, i.instance, i.seen_at, l.temporary FROM instances i JOIN listeners l ON l.name = i.listener`)
	return list, err
}

// Listeners lists listeners by name, after the one that before names. Says and what is known of connections
// are left to the caller. limit must be at least 1.
func (s *Store) Listeners(ctx context.Context, limit int, before string) (api.List[api.Listener], error) {
	list := api.List[api.Listener]{Items: []api.Listener{}}
	err := s.view(ctx, func(v view) (err error) {
		list.Items, err = v.listeners(`SELECT `+listenerColumns+` FROM listeners WHERE name > ? ORDER BY name LIMIT ?`, before, limit+1)
		return err
	})
	if len(list.Items) > limit {
		list.Items = list.Items[:limit]
		list.Next = &list.Items[limit-1].Name
	}
	return list, err
}

// Listener reads one listener.
func (s *Store) Listener(ctx context.Context, name string) (api.Listener, error) {
	var found []api.Listener
	err := s.view(ctx, func(v view) (err error) {
		found, err = v.listeners(`SELECT `+listenerColumns+` FROM listeners WHERE name = ?`, name)
		return err
	})
	if err == nil && len(found) == 0 {
		err = noListener(name)
	}
	if err != nil {
		return api.Listener{}, err
	}
	return found[0], nil
}

const listenerColumns = `name, revision, settings, temporary, registered_at`

func (v view) listeners(query string, args ...any) ([]api.Listener, error) {
	list := []api.Listener{}
	var settings []string
	err := v.query(func(row scanner) error {
		var l api.Listener
		var text string
		var at int64
		err := row.Scan(&l.Name, &l.Revision, &text, &l.Temporary, &at)
		l.RegisteredAt = timeOf(at)
		list, settings = append(list, l), append(settings, text)
		return err
	}, query, args...)
	for i := range list {
		if err != nil {
			break
		}
		if err = json.Unmarshal([]byte(settings[i]), &list[i].Settings); err == nil {
			err = v.fillListener(&list[i], settings[i])
		}
	}
	return list, err
}

// fillListener counts a listener's runs and lists its instances, by host.
func (v view) fillListener(l *api.Listener, settings string) error {
	if _, err := v.row([]any{&l.Queued}, `SELECT count(*) FROM runs WHERE listener = ? AND slot = 0`, l.Name); err != nil {
		return err
	}
	if _, err := v.row([]any{&l.Running, &l.Held}, `SELECT count(*) FILTER (WHERE status = 'running'), count(*) FILTER (WHERE status <> 'running')
		FROM runs INDEXED BY runs_busy WHERE listener = ? AND slot = 1`, l.Name); err != nil {
		return err
	}
	l.Instances = []api.Instance{}
	err := v.query(func(row scanner) error {
		var i api.Instance
		var own string
		var seen int64
		err := row.Scan(&i.Instance, &i.Host, &own, &seen)
		i.Outdated, i.LastSeen = own != settings, timeOf(seen)
		l.Instances = append(l.Instances, i)
		return err
	}, `SELECT instance, host, settings, seen_at FROM instances WHERE listener = ? ORDER BY host, instance`, l.Name)
	if err != nil {
		return err
	}
	if l.Paused, err = v.pauseOf(l.Name); err != nil {
		return err
	}
	var last api.LastRun
	var at int64
	ok, err := v.row([]any{&last.ID, &last.Status, &at}, `SELECT id, status, finished_at FROM runs WHERE listener = ? AND finished_at IS NOT NULL
		ORDER BY finished_at DESC LIMIT 1`, l.Name)
	if ok {
		last.FinishedAt = timeOf(at)
		l.LastRun = &last
	}
	return err
}

// Queues lists the names of all listeners.
func (s *Store) Queues(ctx context.Context) ([]string, error) {
	return s.names(ctx, `SELECT name FROM listeners ORDER BY name`)
}

// WaitingQueues lists the names of the listeners for which runs wait.
func (s *Store) WaitingQueues(ctx context.Context) ([]string, error) {
	return s.names(ctx, `SELECT name FROM listeners l WHERE EXISTS (SELECT 1 FROM runs r WHERE r.listener = l.name AND r.slot = 0) ORDER BY name`)
}

func (s *Store) names(ctx context.Context, query string, args ...any) ([]string, error) {
	var list []string
	err := s.read(ctx, func(row scanner) error {
		var name string
		err := row.Scan(&name)
		list = append(list, name)
		return err
	}, query, args...)
	return list, err
}

// Nudge has Options.Work told again of what could start in a queue.
func (s *Store) Nudge(ctx context.Context, queue string) error {
	return s.do(ctx, func(tx *Tx) error { tx.touch(queue); return nil })
}

// Rules is one listener's settings at a point of the history.
type Rules struct {
	ID       int64
	Listener string
	Settings *api.Settings // nil: the listener was removed
	MatchID  int64         // the newest change of the rules themselves; only of CurrentRules
}

// CurrentRules reads the settings of listeners that have changed since a generation, and the generation that
// they are of. Since 0 it reads them all.
func (s *Store) CurrentRules(ctx context.Context, since int64) ([]Rules, int64, error) {
	var list []Rules
	var generation int64
	err := s.view(ctx, func(v view) error {
		if _, err := v.row([]any{&generation}, `SELECT coalesce(max(id), 0) FROM rules`); err != nil {
			return err
		}
		return v.query(func(row scanner) error {
			var r Rules
			var text *string
			var matchID *int64
			if err := row.Scan(&r.ID, &r.Listener, &text, &matchID); err != nil {
				return err
			}
			if matchID != nil {
				r.MatchID = *matchID
			}
			list = append(list, r)
			return list[len(list)-1].decode(text)
		}, `SELECT max(c.id), c.listener, l.settings, l.match_id FROM rules c LEFT JOIN listeners l ON l.name = c.listener
			WHERE c.id > ? GROUP BY +c.listener`, since)
	})
	return list, generation, err
}

func (r *Rules) decode(text *string) error {
	if text == nil {
		return nil
	}
	r.Settings = &api.Settings{}
	return json.Unmarshal([]byte(*text), r.Settings)
}

// RulesAsOf reads the settings of every listener that there was at a generation, by name.
func (s *Store) RulesAsOf(ctx context.Context, generation int64) ([]Rules, error) {
	var list []Rules
	err := s.read(ctx, func(row scanner) error {
		var r Rules
		var text *string
		if err := row.Scan(&r.ID, &r.Listener, &text); err != nil {
			return err
		}
		if text == nil {
			return nil
		}
		list = append(list, r)
		return list[len(list)-1].decode(text)
	}, `SELECT id, listener, settings FROM rules WHERE id IN (SELECT max(id) FROM rules WHERE id <= ? GROUP BY listener) ORDER BY listener`, generation)
	return list, err
}

// RunByDelivery maps the listeners that a delivery led to by its rules to their runs.
func (s *Store) RunByDelivery(ctx context.Context, delivery string) (map[string]string, error) {
	list, err := s.RunsOf(ctx, delivery)
	runs := map[string]string{}
	for _, r := range list {
		if r.Cause == run.ByDelivery || r.Cause == run.ByTrigger || r.Cause == run.ByPoll {
			runs[r.Listener] = r.ID
		}
	}
	return runs, err
}
