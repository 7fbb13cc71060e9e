package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"lightspeed/api"
	"lightspeed/run"
)

// CopyTo writes the database at path, which a running admin may have open, as it stands at one moment, to a file
// that must not exist. The copy is checked.
func CopyTo(ctx context.Context, path, to string) (err error) {
	if _, err := os.Stat(path); err != nil {
		return err
	}
	db, err := sql.Open("sqlite", dsn(path, "deferred"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if _, err := db.ExecContext(ctx, `VACUUM INTO ?`, to); err != nil {
		return fmt.Errorf("copying database %s: %w", path, err)
	}
	if err := errors.Join(os.Chmod(to, 0o600), syncPath(to), syncPath(filepath.Dir(to))); err != nil {
		return err
	}
	return Check(ctx, to)
}

func syncPath(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// Check reads a whole database that nobody has open, and returns what is wrong with it.
func Check(ctx context.Context, path string) (err error) {
	if _, err := os.Stat(path); err != nil {
		return err
	}
	db, err := sql.Open("sqlite", dsn(path, "deferred"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	var verdict string
	if err := db.QueryRowContext(ctx, `PRAGMA integrity_check(1)`).Scan(&verdict); err != nil {
		return fmt.Errorf("database %s: %w", path, err)
	}
	if verdict != "ok" {
		return fmt.Errorf("database %s is damaged: %s", path, verdict)
	}
	var app, version int
	if err := db.QueryRowContext(ctx, `SELECT (SELECT application_id FROM pragma_application_id), (SELECT user_version FROM pragma_user_version)`).Scan(&app, &version); err != nil {
		return err
	}
	if app != applicationID || version > len(migrations) {
		return fmt.Errorf("database %s is another program's, or a newer lightspeed's: application %#x, schema %d", path, app, version)
	}
	return nil
}

// Logged is an attempt's log that the database says is there.
type Logged struct {
	Ref   run.Ref
	Bytes int64 // at least; of an attempt that runs it is not known
}

// Logs tells of every log that is there, by run.
func (s *Store) Logs(ctx context.Context, each func(Logged) error) error {
	return s.read(ctx, func(row scanner) error {
		var l Logged
		if err := row.Scan(&l.Ref.Run, &l.Ref.Attempt, &l.Bytes); err != nil {
			return err
		}
		return each(l)
	}, `SELECT r.id, a.attempt, a.log_bytes FROM attempts a JOIN runs r ON r.seq = a.run WHERE a.log_pruned_at IS NULL ORDER BY r.seq, a.attempt`)
}

// LogsGone notes logs that were pruned between the copy of the database and theirs.
func (s *Store) LogsGone(ctx context.Context, gone []run.Ref) error {
	return s.do(ctx, func(tx *Tx) error {
		for _, ref := range gone {
			if _, err := tx.exec(`UPDATE attempts SET log_pruned_at = ? WHERE attempt = ? AND run = (SELECT seq FROM runs WHERE id = ?)`,
				micros(tx.now), ref.Attempt, ref.Run); err != nil {
				return err
			}
		}
		return nil
	})
}

// Restored ends, in a restored database, what may have gone on since the backup was made, so that nothing runs
// twice: runs that ran are lost, until their listener says what became of them; runs that waited are cancelled, and
// can be retried.
func (s *Store) Restored(ctx context.Context, made time.Time) error {
	reason := "admin was restored from a backup of " + made.UTC().Format(time.RFC3339)
	return s.do(ctx, func(tx *Tx) error {
		running, err := tx.holdings(`SELECT ` + holdingColumns + ` FROM runs r JOIN attempts a ON a.run = r.seq AND a.attempt = r.attempt WHERE r.status = 'running'`)
		for _, h := range running {
			if err != nil {
				return err
			}
			if err = tx.endAttempt(h, api.Finish{Status: run.Lost, Reason: reason}); err == nil {
				err = tx.loseHolding(h, reason)
			}
		}
		if err != nil {
			return err
		}
		return tx.cancelQueued(reason + ": it may have run since")
	})
}

func (tx *Tx) cancelQueued(reason string) error {
	var queued []int64
	err := tx.query(func(row scanner) error {
		var seq int64
		err := row.Scan(&seq)
		queued = append(queued, seq)
		return err
	}, `SELECT seq FROM runs WHERE slot = 0`)
	for _, seq := range queued {
		if err != nil {
			break
		}
		err = tx.end(seq, run.Queued, ending{status: run.Cancelled, reason: reason})
	}
	return err
}
