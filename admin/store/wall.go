package store

import (
	"context"
	"time"
)

// Wall is the wall clock's time that was noted last by SetWall; zero before the first time.
func (s *Store) Wall(ctx context.Context) (at time.Time, err error) {
	var us *int64
	err = s.readRow(ctx, []any{&us}, `SELECT value FROM meta WHERE key = 'wall'`)
	if us != nil {
		at = timeOf(*us)
	}
	return at, err
}

// SetWall notes the wall clock's time, for a later process to see how far it has come.
func (s *Store) SetWall(ctx context.Context, at time.Time) error {
	return s.do(ctx, func(tx *Tx) error {
		_, err := tx.exec(`INSERT INTO meta (key, value) VALUES ('wall', ?1) ON CONFLICT DO UPDATE SET value = ?1`, micros(at))
		return err
	})
}
