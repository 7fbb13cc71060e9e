package store

import (
	"context"
	"time"
)

// Asked is when GitHub was last asked for a delivery again, and how often.
type Asked struct {
	At    time.Time
	Times int
}

// Knows reports whether a delivery is stored.
func (s *Store) Knows(ctx context.Context, id string) (known bool, err error) {
	err = s.readRow(ctx, []any{&known}, `SELECT EXISTS (SELECT 1 FROM deliveries WHERE id = ?)`, id)
	return known, err
}

// AskedFor tells when a delivery was asked for again; a zero Asked when it was not.
func (s *Store) AskedFor(ctx context.Context, id string) (Asked, error) {
	var at *int64
	var a Asked
	err := s.readRow(ctx, []any{&at, &a.Times}, `SELECT asked_at, times FROM recoveries WHERE guid = ?`, id)
	if at != nil {
		a.At = timeOf(*at)
	}
	return a, err
}

// Ask notes that a delivery was asked for again, at a moment just before that.
func (s *Store) Ask(ctx context.Context, hook, id string, at time.Time) error {
	return s.do(ctx, func(tx *Tx) error {
		_, err := tx.exec(`INSERT INTO recoveries (guid, hook, asked_at, times) VALUES (?1, ?2, ?3, 1)
			ON CONFLICT DO UPDATE SET asked_at = ?3, times = times + 1`, id, hook, micros(at))
		return err
	})
}

// RecoveredUntil is the moment before which everything that a hook has sent is settled; zero before the first time.
func (s *Store) RecoveredUntil(ctx context.Context, hook string) (time.Time, error) {
	var until *int64
	err := s.readRow(ctx, []any{&until}, `SELECT until FROM recovered_hooks WHERE hook = ?`, hook)
	if until == nil {
		return time.Time{}, err
	}
	return timeOf(*until), err
}

// SetRecovered notes that everything before a moment is settled, and forgets what was asked for long ago.
func (s *Store) SetRecovered(ctx context.Context, hook string, until time.Time) error {
	return s.do(ctx, func(tx *Tx) error {
		if _, err := tx.exec(`INSERT INTO recovered_hooks (hook, until) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET until = ?2`, hook, micros(until)); err != nil {
			return err
		}
		_, err := tx.exec(`DELETE FROM recoveries WHERE asked_at < ? AND NOT EXISTS (SELECT 1 FROM deliveries WHERE id = recoveries.guid)`, micros(tx.now.Add(-KeptIDs)))
		return err
	})
}

// ReceivedSince lists the ids of deliveries that came in since a moment, the newest first, without triggers.
func (s *Store) ReceivedSince(ctx context.Context, since time.Time, limit int) ([]string, error) {
	return s.names(ctx, `SELECT id FROM (
		SELECT seq, id FROM deliveries INDEXED BY deliveries_kept WHERE payload_pruned_at IS NULL AND received_at >= ?1 AND sha256 IS NOT NULL
		UNION ALL SELECT seq, id FROM deliveries INDEXED BY deliveries_pruned WHERE payload_pruned_at IS NOT NULL AND received_at >= ?1 AND sha256 IS NOT NULL
		) ORDER BY seq DESC LIMIT ?2`, micros(since), limit)
}
