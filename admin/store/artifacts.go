package store

import (
	"context"

	"lightspeed/run"
)

// KeepsArtifacts notes that an attempt keeps so many bytes of artifacts, before the first of them is on the disk: what is
// there is always known here, also after a crash.
func (s *Store) KeepsArtifacts(ctx context.Context, ref run.Ref, bytes int64) error {
	return s.do(ctx, func(tx *Tx) error {
		_, err := tx.exec(`UPDATE attempts SET artifact_bytes = max(artifact_bytes, ?), artifacts_at = coalesce(artifacts_at, ?)
			WHERE attempt = ? AND run = (SELECT seq FROM runs WHERE id = ?)`, bytes, micros(tx.now), ref.Attempt, ref.Run)
		return err
	})
}

// pruneArtifacts leaves those alone that their listener may still complete, as pruneLog does.
func (tx *Tx) pruneArtifacts(t thing) (bool, error) {
	n, err := tx.exec(`UPDATE attempts SET artifacts_pruned_at = ? WHERE run = ? AND attempt = ? AND artifacts_pruned_at IS NULL AND status NOT IN ('running', 'lost')`,
		micros(tx.now), t.seq, t.attempt)
	if err != nil || n == 0 {
		return false, err
	}
	_, err = tx.exec(`INSERT INTO removals (run, attempt, log, artifacts) SELECT id, ?, 0, 1 FROM runs WHERE seq = ? ON CONFLICT DO UPDATE SET artifacts = 1`, t.attempt, t.seq)
	return true, err
}

// Removal is an attempt of which files are to be deleted.
type Removal struct {
	run.Ref
	Log, Artifacts bool
}
