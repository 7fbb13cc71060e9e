package store

import (
	"context"
	"time"

	"lightspeed/api"
	"lightspeed/run"
)

// Notified keeps how telling a target of a run went. What is said of an earlier attempt than is known is passed over.
func (s *Store) Notified(ctx context.Context, ref run.Ref, n api.Notified) error {
	return s.do(ctx, func(tx *Tx) error {
		h, err := tx.held(ref)
		if err != nil {
			return err
		}
		_, err = tx.exec(`INSERT INTO notices (run, target, attempt, status, error, hint, memo, at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT DO UPDATE SET attempt = excluded.attempt, status = excluded.status, error = excluded.error, hint = excluded.hint,
			memo = coalesce(excluded.memo, memo), at = excluded.at WHERE excluded.attempt >= attempt`,
			h.seq, n.Target, ref.Attempt, string(n.Status), null(n.Error), null(n.Hint), null(n.Memo), micros(n.At))
		if err != nil {
			return err
		}
		return tx.noteChange(h.seq)
	})
}

func (v view) notices(seq int64) ([]run.Notice, error) {
	list := []run.Notice{}
	err := v.query(func(row scanner) error {
		var n run.Notice
		var at int64
		err := row.Scan(&n.Target, &n.Status, &n.Error, &n.Hint, &at)
		n.At = timeOf(at)
		list = append(list, n)
		return err
	}, `SELECT target, status, error, hint, at FROM notices WHERE run = ? ORDER BY target`, seq)
	return list, err
}

// memos are what was noted of a run when it was told before, by target.
func (v view) memos(seq int64) (map[string]string, error) {
	memos := map[string]string{}
	err := v.query(func(row scanner) error {
		var target, memo string
		err := row.Scan(&target, &memo)
		memos[target] = memo
		return err
	}, `SELECT target, memo FROM notices WHERE run = ? AND memo IS NOT NULL`, seq)
	return memos, err
}

const (
	// keptTelling is how long a run that nobody was told of waits for a listener that tells: later it is no news.
	keptTelling = 7 * 24 * time.Hour

	// tellAgain is how long a telling that was handed out is left to who has it, in seconds of the store's clock.
	tellAgain = 60
)

// oweTelling notes that people are to be told how a run has ended, if an attempt of it had started: they may know
// that it runs. The instance may not do it; empty: any may.
func (tx *Tx) oweTelling(seq int64, instance string) error {
	n, err := tx.exec(`INSERT INTO tellings (run, listener, instance, at) SELECT seq, listener, ?, ? FROM runs
		WHERE seq = ? AND EXISTS (SELECT 1 FROM attempts WHERE run = seq AND attempts.status <> 'not_started')
		ON CONFLICT DO UPDATE SET instance = excluded.instance, at = excluded.at, handed = NULL, told = 0`, instance, micros(tx.now), seq)
	if err != nil || n == 0 {
		return err
	}
	_, err = tx.exec(`DELETE FROM tellings WHERE at < ?`, micros(tx.now.Add(-keptTelling)))
	return err
}

// tellsItself notes that the listener that had a run tells of it: no other is asked any more.
func (tx *Tx) tellsItself(seq int64) error {
	_, err := tx.exec(`DELETE FROM tellings WHERE run = ? AND told = 0`, seq)
	return err
}

// ToldByAnother reports whether another listener than its own has told people that a run was lost.
func (s *Store) ToldByAnother(ctx context.Context, id string) (told bool, err error) {
	err = s.readRow(ctx, []any{&told}, `SELECT t.told FROM tellings t JOIN runs r ON r.seq = t.run WHERE r.id = ?`, id)
	return told, err
}

// NextTelling hands out a run of a listener that people are to be told of. Empty: there is none for that instance.
func (s *Store) NextTelling(ctx context.Context, listener, instance string) (id string, err error) {
	const open = `FROM tellings t JOIN runs r ON r.seq = t.run WHERE t.listener = ? AND t.told = 0 AND t.instance <> ?
		AND (t.handed IS NULL OR t.handed <= ?)`
	var due bool
	if err := s.readRow(ctx, []any{&due}, `SELECT EXISTS (SELECT 1 `+open+`)`, listener, instance, s.clock.Load()-tellAgain); err != nil || !due {
		return "", err
	}
	err = s.do(ctx, func(tx *Tx) error {
		id = ""
		var seq int64
		ok, err := tx.row([]any{&seq, &id}, `SELECT t.run, r.id `+open+` ORDER BY t.run LIMIT 1`, listener, instance, tx.clock-tellAgain)
		if err != nil || !ok {
			return err
		}
		_, err = tx.exec(`UPDATE tellings SET handed = ? WHERE run = ?`, tx.clock, seq)
		return err
	})
	return id, err
}

// Told notes that what NextTelling handed out is being told.
func (s *Store) Told(ctx context.Context, id string) error {
	return s.do(ctx, func(tx *Tx) error {
		r, err := tx.run(id)
		if err != nil {
			return err
		}
		_, err = tx.exec(`UPDATE tellings SET told = 1 WHERE run = ?`, r.seq)
		return err
	})
}

// Telling reads what a listener needs to tell of a run, but for a payload of more than limit bytes, which is left to
// Stored; its length is returned.
func (s *Store) Telling(ctx context.Context, id string, limit int64) (t api.Telling, length int64, err error) {
	err = s.view(ctx, func(v view) error {
		var seq int64
		if seq, length, err = v.delivered(id, limit, &t.Run, &t.Delivery, &t.Payload); err != nil {
			return err
		}
		if err = v.details(seq, &t.Run); err != nil {
			return err
		}
		t.Memos, err = v.memos(seq)
		return err
	})
	return t, length, err
}
