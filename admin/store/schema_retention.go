package store

// schemaRetention notes what was pruned, and keeps the order in which things become due. removals are files whose
// rows are gone, or say that they are: whoever deletes files finds there, also after a crash, what is left to do.
const schemaRetention = `
ALTER TABLE deliveries ADD COLUMN payload_pruned_at INTEGER;
CREATE INDEX deliveries_kept ON deliveries (received_at, bytes) WHERE payload_pruned_at IS NULL;
CREATE INDEX deliveries_pruned ON deliveries (received_at) WHERE payload_pruned_at IS NOT NULL;
ALTER TABLE attempts ADD COLUMN log_pruned_at INTEGER;
CREATE INDEX attempts_logged ON attempts (finished_at, log_bytes) WHERE log_pruned_at IS NULL AND status <> 'lost' AND finished_at IS NOT NULL;
CREATE INDEX runs_ended ON runs (finished_at) WHERE slot IS NULL;
CREATE TABLE removals (run TEXT NOT NULL, attempt INTEGER NOT NULL, PRIMARY KEY (run, attempt)) WITHOUT ROWID;
`
