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

// pruneArtifacts forgets what an attempt kept.
func (tx *Tx) pruneArtifacts(t thing) (bool, error) { return tx.pruneFiles(t, "artifacts") }

// Removal is an attempt of which files are to be deleted.
type Removal struct {
	run.Ref
	Log, Artifacts bool
}
