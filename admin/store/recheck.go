package store

import (
	"context"

	"lightspeed/run"
)

// When a listener's rules change, or it is removed, the runs that wait for it are matched again: some time
// after, in transactions of bounded size, and at the latest before they start, since a run that was decided
// by other rules than the newest is not handed out. What is still to be done survives a crash.

// Rechecks is signalled when Stale may have something.
func (s *Store) Rechecks() <-chan struct{} { return s.rechecks }

func (s *Store) signalRecheck() {
	select {
	case s.rechecks <- struct{}{}:
	default:
	}
}

// recheck notes that runs that wait for a listener are to be matched again.
func (tx *Tx) recheck(name string) error {
	tx.stale = true
	_, err := tx.exec(`INSERT INTO rechecks (listener) VALUES (?) ON CONFLICT DO NOTHING`, name)
	return err
}

// recheckStale does so for a run that has come back to its queue after the rules had changed.
func (tx *Tx) recheckStale(h holding) error {
	var current bool
	_, err := tx.row([]any{&current}, `SELECT EXISTS (SELECT 1 FROM runs r JOIN listeners l ON l.name = r.listener AND l.match_id = r.match_id WHERE r.seq = ?)`, h.seq)
	if err != nil || current {
		return err
	}
	return tx.recheck(h.listener)
}

// StaleListeners names the listeners that have runs to be matched again.
func (s *Store) StaleListeners(ctx context.Context) ([]string, error) {
	return s.names(ctx, `SELECT listener FROM rechecks`)
}

// StaleRun is a run that waits and was decided by rules that are not the newest.
type StaleRun struct {
	Run      string
	Delivery string
	at       place
	seq      int64
}

// place is where a run stands in its queue.
type place struct{ ord, rank int64 }

// Stale reads up to limit stale runs of a listener in the order of its queue, after the one given, or from
// the start. matchID names the newest rules, 0 for a listener that is gone.
func (s *Store) Stale(ctx context.Context, listener string, matchID int64, after *StaleRun, limit int) ([]StaleRun, error) {
	from := place{ord: -1}
	if after != nil {
		from = after.at
	}
	var list []StaleRun
	err := s.read(ctx, func(row scanner) error {
		var r StaleRun
		err := row.Scan(&r.seq, &r.Run, &r.at.ord, &r.at.rank, &r.Delivery)
		list = append(list, r)
		return err
	}, `SELECT r.seq, r.id, r.ord, r.rank, d.id FROM runs r JOIN deliveries d ON d.seq = r.delivery
		WHERE r.listener = ? AND r.slot = 0 AND (r.ord, r.rank) > (?, ?) AND r.match_id <> ? ORDER BY r.ord, r.rank LIMIT ?`,
		listener, from.ord, from.rank, matchID, limit)
	return list, err
}

// Verdict is what the newest rules say of a stale run: Reason is empty when they hold, and otherwise why it
// is cancelled.
type Verdict struct {
	Run    StaleRun
	Reason string
}

// Judge applies verdicts that were reached by the rules named by matchID. Runs that have left the queue
// meanwhile are left alone; ErrRulesChanged says that the rules have changed again.
func (s *Store) Judge(ctx context.Context, listener string, matchID int64, verdicts []Verdict) error {
	return s.do(ctx, func(tx *Tx) error {
		if err := tx.sameMatch(listener, matchID); err != nil {
			return err
		}
		for _, v := range verdicts {
			if err := tx.judge(v, matchID); err != nil {
				return err
			}
		}
		tx.touch(listener)
		return nil
	})
}

func (tx *Tx) judge(v Verdict, matchID int64) error {
	var waits bool
	if _, err := tx.row([]any{&waits}, `SELECT slot = 0 FROM runs WHERE seq = ? AND slot IS NOT NULL`, v.Run.seq); err != nil || !waits {
		return err
	}
	if v.Reason != "" {
		return tx.end(v.Run.seq, run.Queued, ending{status: run.Cancelled, reason: v.Reason})
	}
	_, err := tx.exec(`UPDATE runs SET match_id = ? WHERE seq = ?`, matchID, v.Run.seq)
	return err
}

func (tx *Tx) sameMatch(listener string, matchID int64) error {
	var current int64
	if _, err := tx.row([]any{&current}, `SELECT match_id FROM listeners WHERE name = ?`, listener); err != nil {
		return err
	}
	if current != matchID {
		return ErrRulesChanged
	}
	return nil
}

// Judged notes that all of a listener's runs that wait have been matched by the rules named by matchID. It
// reports false when a run has come back to the queue meanwhile. All runs that wait are looked at, which may be many:
// that is read beside the writer, and the writer only asks whether anything came back since.
func (s *Store) Judged(ctx context.Context, listener string, matchID int64) (bool, error) {
	before := s.stale.Load()
	var left, done bool
	err := s.readRow(ctx, []any{&left}, `SELECT EXISTS (SELECT 1 FROM runs INDEXED BY runs_queue WHERE listener = ? AND slot = 0 AND match_id <> ?)`, listener, matchID)
	if left || err != nil {
		return false, err
	}
	err = s.do(ctx, func(tx *Tx) (err error) {
		done, err = tx.judged(listener, matchID, before)
		return err
	})
	return done, err
}

// judged ends the check of a listener, unless a run has come back to a queue since the store's stale was before: by an
// earlier commit, or in this one.
func (tx *Tx) judged(listener string, matchID, before int64) (done bool, err error) {
	if err := tx.sameMatch(listener, matchID); err != nil {
		return false, err
	}
	if tx.stale || tx.w.store.stale.Load() != before {
		return false, nil
	}
	_, err = tx.exec(`DELETE FROM rechecks WHERE listener = ?`, listener)
	return err == nil, err
}
