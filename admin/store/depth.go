package store

import (
	"context"
	"time"
)

// Depth is what waits for a listener.
type Depth struct {
	Listener string
	Queued   int64
	Oldest   time.Time // when the next in line was queued; zero when nothing waits
}

// Depths tells of every listener, by name.
func (s *Store) Depths(ctx context.Context) ([]Depth, error) {
	var list []Depth
	err := s.view(ctx, func(v view) error {
		return v.query(func(row scanner) error {
			var d Depth
			var oldest *int64
			err := row.Scan(&d.Listener, &d.Queued, &oldest)
			if oldest != nil {
				d.Oldest = timeOf(*oldest)
			}
			list = append(list, d)
			return err
		}, `SELECT l.name, (SELECT count(*) FROM runs WHERE listener = l.name AND slot = 0),
			(SELECT queued_at FROM runs WHERE listener = l.name AND slot = 0 ORDER BY ord, rank LIMIT 1) FROM listeners l ORDER BY l.name`)
	})
	return list, err
}
