package store

// schemaRecovery notes which deliveries GitHub was asked for again, and up to when each of its hooks was looked at.
const schemaRecovery = `
CREATE TABLE recoveries (
	guid TEXT PRIMARY KEY,
	hook TEXT NOT NULL,
	asked_at INTEGER NOT NULL,
	times INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE recovered_hooks (hook TEXT PRIMARY KEY, until INTEGER NOT NULL) WITHOUT ROWID;
`
