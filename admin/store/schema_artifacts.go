package store

// schemaArtifacts gives artifacts limits of their own: what each attempt keeps, since when, and since when no more. What
// earlier versions have taken is not counted, and goes with its run. removals say which files are to be deleted.
const schemaArtifacts = `
ALTER TABLE attempts ADD COLUMN artifact_bytes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE attempts ADD COLUMN artifacts_at INTEGER;
ALTER TABLE attempts ADD COLUMN artifacts_pruned_at INTEGER;
CREATE INDEX attempts_keeping ON attempts (artifacts_at, artifact_bytes)
	WHERE artifacts_at IS NOT NULL AND artifacts_pruned_at IS NULL AND status <> 'lost' AND finished_at IS NOT NULL;
ALTER TABLE removals ADD COLUMN log INTEGER NOT NULL DEFAULT 1;
ALTER TABLE removals ADD COLUMN artifacts INTEGER NOT NULL DEFAULT 1;
`
