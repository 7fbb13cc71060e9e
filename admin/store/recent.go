package store

import (
	"context"
	"time"

	"lightspeed/api"
	"lightspeed/run"
)

// Push is who pushed what, of a delivery.
type Push struct {
	Pusher, Message, URL string
}

// Pushes reads the pushes of several deliveries. Those that are not there are left out.
func (s *Store) Pushes(ctx context.Context, ids []string) (map[string]Push, error) {
	found := map[string]Push{}
	err := s.view(ctx, func(v view) error {
		for _, id := range ids {
			if _, known := found[id]; known {
				continue
			}
			var p Push
			ok, err := v.row([]any{&p.Pusher, &p.Message, &p.URL},
				`SELECT coalesce(pusher, ''), coalesce(message, ''), coalesce(url, '') FROM deliveries WHERE id = ?`, id)
			if err != nil {
				return err
			}
			if ok {
				found[id] = p
			}
		}
		return nil
	})
	return found, err
}

// Recent is a run that has ended, in short.
type Recent struct {
	ID         string
	Status     run.State
	Branch     string // empty where there is none
	StartedAt  *time.Time
	FinishedAt time.Time
}

// Recent lists the runs of a listener that ended last, newest first. limit must be at least 1.
func (s *Store) Recent(ctx context.Context, listener string, limit int) ([]Recent, error) {
	var list []Recent
	err := s.read(ctx, func(row scanner) error {
		var r Recent
		var started *int64
		var finished int64
		err := row.Scan(&r.ID, &r.Status, &r.Branch, &started, &finished)
		r.StartedAt, r.FinishedAt = timeOrNil(started), timeOf(finished)
		list = append(list, r)
		return err
	}, `SELECT id, status, coalesce(branch, ''), started_at, finished_at FROM runs INDEXED BY runs_finished
		WHERE listener = ? AND finished_at IS NOT NULL ORDER BY finished_at DESC LIMIT ?`, listener, limit)
	return list, err
}

// NewestResult finds how the newest run of a listener on a branch ended, or on any when branch is empty; "" when
// there is none. Superseded and cancelled runs say nothing.
func (s *Store) NewestResult(ctx context.Context, listener, branch string) (run.State, error) {
	var newest int64
	var state run.State
	err := s.view(ctx, func(v view) error {
		for _, one := range []run.State{run.Passed, run.Failed, run.Errored, run.TimedOut, run.Lost} {
			index, where, args := runIndex(api.RunFilter{Listener: listener, Branch: branch})
			var seq int64
			ok, err := v.row([]any{&seq}, `SELECT seq FROM runs INDEXED BY `+index+` WHERE `+where+`status = ? ORDER BY seq DESC LIMIT 1`, append(args, string(one))...)
			if err != nil {
				return err
			}
			if ok && seq > newest {
				newest, state = seq, one
			}
		}
		return nil
	})
	return state, err
}
