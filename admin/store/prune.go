package store

import (
	"context"
	"math"
	"time"

	"lightspeed/api"
)

// Limits say how much of one kind of thing is kept: the newest ones, as long as every limit holds. A limit of
// zero does not bound.
type Limits struct {
	Age   time.Duration
	Count int64
	Bytes int64
}

// Retention says how much is kept. What waits, runs, or may still run is kept whatever it says, and so is what
// those need.
type Retention struct {
	Runs      Limits // runs that have ended, with all that is of them; Bytes is not used
	Logs      Limits
	Artifacts Limits // Count is of the attempts that keep some
	Payloads  Limits // the bodies of deliveries

	// NotByAge leaves all ages out: the wall clock, which they are taken by, is in doubt.
	NotByAge bool
}

// age is a limit of age, as far as ages count.
func (keep Retention) age(l Limits) Limits {
	if keep.NotByAge {
		l.Age = 0
	}
	return l
}

// KeptIDs is how long the id and the hash of a delivery are kept at least, whatever else is pruned: GitHub offers
// deliveries again for 3 days, Enterprise Server for 7, and a captured one may come at any time.
const KeptIDs = 30 * 24 * time.Hour

// One transaction deletes so much at most, so that other writes need not wait for long.
const (
	maxPruned      = 100
	maxPrunedBytes = 16 << 20
)

// thing is what can be pruned: a run, an attempt's log or artifacts, a delivery's payload, or a delivery.
type thing struct {
	at, seq, attempt, bytes int64
}

// kind is one kind of things: how they are found, oldest first, and deleted.
type kind struct {
	keep   Limits
	totals string // number and bytes of all that are there
	oldest string // at, seq, attempt, bytes of those that may be deleted, after a place in that order
	delete func(*Tx, thing) (deleted bool, err error)
	count  func(*api.Pruning, thing)
}

// kinds are in the order of deletion: a run takes its logs and artifacts with it, and a delivery's row stays as long as a run is of it.
func (keep Retention) kinds() []kind {
	return []kind{
		{keep.age(keep.Runs), `SELECT count(*), 0 FROM runs INDEXED BY runs_ended WHERE slot IS NULL`,
			`SELECT finished_at AS at, seq, 0 AS n, 0 FROM runs INDEXED BY runs_ended WHERE slot IS NULL AND finished_at >= ?1 AND (finished_at, seq, 0) > (?1, ?2, ?3)`,
			(*Tx).pruneRun, func(p *api.Pruning, _ thing) { p.Runs++ }},
		{keep.age(keep.Logs), `SELECT count(*), coalesce(sum(log_bytes), 0) FROM attempts INDEXED BY attempts_logged WHERE log_pruned_at IS NULL AND status <> 'lost' AND finished_at IS NOT NULL`,
			`SELECT a.finished_at AS at, a.run AS seq, a.attempt AS n, a.log_bytes FROM attempts a INDEXED BY attempts_logged
			WHERE a.log_pruned_at IS NULL AND a.status <> 'lost' AND a.finished_at IS NOT NULL AND a.finished_at >= ?1 AND (a.finished_at, a.run, a.attempt) > (?1, ?2, ?3)
			AND EXISTS (SELECT 1 FROM runs r WHERE r.seq = a.run AND r.slot IS NULL)`,
			(*Tx).pruneLog, func(p *api.Pruning, t thing) { p.Logs, p.LogBytes = p.Logs+1, p.LogBytes+t.bytes }},
		{keep.age(keep.Artifacts), `SELECT count(*), coalesce(sum(artifact_bytes), 0) FROM attempts INDEXED BY attempts_keeping
			WHERE artifacts_at IS NOT NULL AND artifacts_pruned_at IS NULL AND status <> 'lost' AND finished_at IS NOT NULL`,
			`SELECT a.artifacts_at AS at, a.run AS seq, a.attempt AS n, a.artifact_bytes FROM attempts a INDEXED BY attempts_keeping
			WHERE a.artifacts_at IS NOT NULL AND a.artifacts_pruned_at IS NULL AND a.status <> 'lost' AND a.finished_at IS NOT NULL
			AND a.artifacts_at >= ?1 AND (a.artifacts_at, a.run, a.attempt) > (?1, ?2, ?3) AND EXISTS (SELECT 1 FROM runs r WHERE r.seq = a.run AND r.slot IS NULL)`,
			(*Tx).pruneArtifacts, func(p *api.Pruning, t thing) { p.Artifacts, p.ArtifactBytes = p.Artifacts+1, p.ArtifactBytes+t.bytes }},
		{keep.age(keep.Payloads), `SELECT count(*), coalesce(sum(bytes), 0) FROM deliveries INDEXED BY deliveries_kept WHERE payload_pruned_at IS NULL`,
			`SELECT received_at AS at, seq, 0 AS n, bytes FROM deliveries INDEXED BY deliveries_kept
			WHERE payload_pruned_at IS NULL AND received_at >= ?1 AND (received_at, seq, 0) > (?1, ?2, ?3)
			AND NOT EXISTS (SELECT 1 FROM runs r WHERE r.delivery = deliveries.seq AND r.slot IS NOT NULL)`,
			(*Tx).prunePayload, func(p *api.Pruning, t thing) { p.Payloads, p.PayloadBytes = p.Payloads+1, p.PayloadBytes+t.bytes }},
		{keep.age(Limits{Age: KeptIDs}), ``,
			`SELECT received_at AS at, seq, 0 AS n, 0 FROM deliveries INDEXED BY deliveries_pruned
			WHERE payload_pruned_at IS NOT NULL AND received_at >= ?1 AND (received_at, seq, 0) > (?1, ?2, ?3)
			AND NOT EXISTS (SELECT 1 FROM runs r WHERE r.delivery = deliveries.seq)`,
			(*Tx).pruneDelivery, func(p *api.Pruning, _ thing) { p.Deliveries++ }},
	}
}

// Prune deletes what is more than is to be kept, in small transactions that leave as much time to others as they
// take. The files of what was deleted are then to be found in Removals. When ctx ends it stops after a
// transaction, and returns what was done so far with ctx's error. With dry it only counts.
func (s *Store) Prune(ctx context.Context, keep Retention, dry bool) (api.Pruning, error) {
	done := api.Pruning{DryRun: dry}
	for _, k := range keep.kinds() {
		if err := s.pruneKind(ctx, k, &done); err != nil {
			return done, err
		}
	}
	return done, nil
}

func (s *Store) pruneKind(ctx context.Context, k kind, done *api.Pruning) error {
	over, err := s.excess(ctx, k)
	last := thing{at: math.MinInt64}
	for err == nil && over.any() {
		var batch []thing
		if batch, err = s.due(ctx, k, over, last); err != nil || len(batch) == 0 {
			return err
		}
		last = batch[len(batch)-1]
		begun := time.Now()
		if !done.DryRun {
			batch, err = s.deleteThings(ctx, k, batch)
		}
		for _, t := range batch {
			over.take(t)
			k.count(done, t)
		}
		if err == nil && !done.DryRun {
			err = rest(ctx, time.Since(begun))
		}
	}
	return err
}

// rest leaves the writer to others for a while.
func rest(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// excess is how much of a kind there is beyond its limits.
type excess struct {
	before       int64 // things of this time, or an earlier one, are too old
	count, bytes int64 // beyond the limit, when positive
}

func (s *Store) excess(ctx context.Context, k kind) (excess, error) {
	over := excess{before: math.MinInt64}
	if k.keep.Age > 0 {
		over.before = micros(time.Now().Add(-k.keep.Age))
	}
	if k.keep.Count == 0 && k.keep.Bytes == 0 {
		return over, nil
	}
	var count, bytes int64
	err := s.readRow(ctx, []any{&count, &bytes}, k.totals)
	if k.keep.Count > 0 {
		over.count = count - k.keep.Count
	}
	if k.keep.Bytes > 0 {
		over.bytes = bytes - k.keep.Bytes
	}
	return over, err
}

func (e *excess) any() bool { return e.before > math.MinInt64 || e.count > 0 || e.bytes > 0 }

func (e *excess) has(t thing) bool { return t.at <= e.before || e.count > 0 || e.bytes > 0 }

func (e *excess) take(t thing) {
	e.count--
	e.bytes -= t.bytes
}

// due picks the next things that are to be deleted, oldest first.
func (s *Store) due(ctx context.Context, k kind, over excess, after thing) ([]thing, error) {
	var batch []thing
	var bytes int64
	err := s.read(ctx, func(row scanner) error {
		var t thing
		err := row.Scan(&t.at, &t.seq, &t.attempt, &t.bytes)
		if over.has(t) && bytes < maxPrunedBytes {
			over.take(t)
			bytes += t.bytes
			batch = append(batch, t)
		}
		return err
	}, k.oldest+` ORDER BY at, seq, n LIMIT ?4`, after.at, after.seq, after.attempt, maxPruned)
	return batch, err
}

// deleteThings deletes those that may still be deleted, and returns them.
func (s *Store) deleteThings(ctx context.Context, k kind, batch []thing) ([]thing, error) {
	var gone []thing
	err := s.do(ctx, func(tx *Tx) error {
		gone = nil
		for _, t := range batch {
			deleted, err := k.delete(tx, t)
			if err != nil {
				return err
			}
			if deleted {
				gone = append(gone, t)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return gone, nil
}

// ofRun are the tables whose rows belong to a run, by their column `run`: one that refers to another comes first.
var ofRun = []string{"steps", "attempts", "notices", "tellings"}

func (tx *Tx) pruneRun(t thing) (bool, error) {
	var id string
	ended, err := tx.row([]any{&id}, `SELECT id FROM runs WHERE seq = ? AND slot IS NULL`, t.seq)
	if err != nil || !ended {
		return false, err
	}
	if _, err := tx.exec(`INSERT INTO removals (run, attempt) SELECT ?, attempt FROM attempts WHERE run = ? ON CONFLICT DO UPDATE SET log = 1, artifacts = 1`, id, t.seq); err != nil {
		return false, err
	}
	for _, table := range ofRun {
		if _, err := tx.exec(`DELETE FROM `+table+` WHERE run = ?`, t.seq); err != nil {
			return false, err
		}
	}
	_, err = tx.exec(`DELETE FROM runs WHERE seq = ?`, t.seq)
	return true, err
}

// pruneLog forgets an attempt's log.
func (tx *Tx) pruneLog(t thing) (bool, error) { return tx.pruneFiles(t, "log") }

// pruneFiles has files of an attempt deleted: its "log" or its "artifacts". It leaves those alone that their listener may
// still complete: of running and of lost attempts.
func (tx *Tx) pruneFiles(t thing, what string) (bool, error) {
	n, err := tx.exec(`UPDATE attempts SET `+what+`_pruned_at = ? WHERE run = ? AND attempt = ? AND `+what+`_pruned_at IS NULL AND status NOT IN ('running', 'lost')`,
		micros(tx.now), t.seq, t.attempt)
	if err != nil || n == 0 {
		return false, err
	}
	_, err = tx.exec(`INSERT INTO removals (run, attempt, log, artifacts) SELECT id, ?1, ?2 = 'log', ?2 = 'artifacts' FROM runs WHERE seq = ?3
		ON CONFLICT DO UPDATE SET `+what+` = 1`, t.attempt, what, t.seq)
	return true, err
}

func (tx *Tx) prunePayload(t thing) (bool, error) {
	needed, err := tx.row([]any{new(int)}, `SELECT 1 FROM runs WHERE delivery = ? AND slot IS NOT NULL LIMIT 1`, t.seq)
	if err != nil || needed {
		return false, err
	}
	if _, err := tx.exec(`DELETE FROM payloads WHERE delivery = ?`, t.seq); err != nil {
		return false, err
	}
	n, err := tx.exec(`UPDATE deliveries SET payload_pruned_at = ? WHERE seq = ? AND payload_pruned_at IS NULL`, micros(tx.now), t.seq)
	return n > 0, err
}

func (tx *Tx) pruneDelivery(t thing) (bool, error) {
	n, err := tx.exec(`DELETE FROM deliveries WHERE seq = ?1 AND NOT EXISTS (SELECT 1 FROM runs WHERE delivery = ?1)`, t.seq)
	return n > 0, err
}

// Removals lists attempts whose files are to be deleted, at most limit: their rows are gone, or say that they
// are. Removed is to be called when it is done.
func (s *Store) Removals(ctx context.Context, limit int) ([]Removal, error) {
	var list []Removal
	err := s.read(ctx, func(row scanner) error {
		var r Removal
		err := row.Scan(&r.Run, &r.Attempt, &r.Log, &r.Artifacts)
		list = append(list, r)
		return err
	}, `SELECT run, attempt, log, artifacts FROM removals ORDER BY run, attempt LIMIT ?`, limit)
	return list, err
}

// Removed notes that the files of attempts are gone.
func (s *Store) Removed(ctx context.Context, list []Removal) error {
	return s.do(ctx, func(tx *Tx) error {
		for _, r := range list {
			if _, err := tx.exec(`DELETE FROM removals WHERE run = ? AND attempt = ?`, r.Run, r.Attempt); err != nil {
				return err
			}
		}
		return nil
	})
}
