package store

import (
	"context"

	"lightspeed/api"
)

// Pause keeps a listener's queue from handing out runs until Resume. A second pause replaces the note.
func (s *Store) Pause(ctx context.Context, name string, p api.Pause) error {
	return s.do(ctx, func(tx *Tx) error {
		if err := tx.mustKnow(name); err != nil {
			return err
		}
		_, err := tx.exec(`INSERT INTO pauses (listener, note, by, at) VALUES (?, ?, ?, ?)
			ON CONFLICT DO UPDATE SET note = excluded.note, by = excluded.by, at = excluded.at`, name, p.Note, p.By, micros(tx.now))
		tx.touch(name)
		return err
	})
}

// Resume lets a listener's queue go on. One that is not paused goes on as it does.
func (s *Store) Resume(ctx context.Context, name string) error {
	return s.do(ctx, func(tx *Tx) error {
		if err := tx.mustKnow(name); err != nil {
			return err
		}
		_, err := tx.exec(`DELETE FROM pauses WHERE listener = ?`, name)
		tx.touch(name)
		return err
	})
}

func (tx *Tx) mustKnow(name string) error {
	l, err := tx.listener(name)
	if err == nil && !l.known {
		err = noListener(name)
	}
	return err
}

// paused reports whether a queue hands out nothing for now.
func (tx *Tx) paused(name string) (bool, error) {
	var one int
	return tx.row([]any{&one}, `SELECT 1 FROM pauses WHERE listener = ?`, name)
}

// pauseOf reads a listener's pause, when there is one.
func (v view) pauseOf(name string) (*api.Paused, error) {
	var p api.Paused
	var at int64
	ok, err := v.row([]any{&p.Note, &p.By, &at}, `SELECT note, by, at FROM pauses WHERE listener = ?`, name)
	if !ok || err != nil {
		return nil, err
	}
	p.At = timeOf(at)
	return &p, nil
}
