package store

import (
	"context"
	"os"
)

// SQLite's own checkpoints copy the write-ahead log into the database, but begin it anew only at a moment when no
// reader needs it. Under readers that never pause it would grow without end.

// defaultMaxWAL is the default of Options.MaxWAL.
const defaultMaxWAL = 64 << 20

// lookEvery is how many commits there are between two looks at the write-ahead log's size.
const lookEvery = 64

// boundWAL waits, for a moment, until readers have gone on, and empties the write-ahead log, when it has grown
// too large. It is tried again with later commits until it succeeds.
func (w *writer) boundWAL() {
	commits := w.store.commits.Load()
	if commits-w.looked < lookEvery {
		return
	}
	w.looked = commits
	info, err := os.Stat(w.store.opt.Path + "-wal")
	if err != nil || info.Size() <= w.store.opt.MaxWAL {
		return
	}
	ctx := context.Background()
	for _, pragma := range []string{"busy_timeout = 200", "wal_checkpoint(TRUNCATE)", "busy_timeout = 10000"} {
		if _, err := w.store.conn.ExecContext(ctx, "PRAGMA "+pragma); err != nil && w.store.opt.Log != nil {
			w.store.opt.Log.Warn("emptying the write-ahead log failed", "bytes", info.Size(), "err", err)
		}
	}
}
