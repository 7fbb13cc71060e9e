package store

import (
	"context"
	"database/sql"
	"fmt"
)

// applicationID marks the file as Lightspeed's ("LSPD"): https://www.sqlite.org/pragma.html#pragma_application_id
const applicationID = 0x4c535044

// migrations bring a database from version i to i+1. They are never edited once released. Who adds one keeps a state folder
// of the schema before it: testdata/states/make.sh, at the module's root.
var migrations = []string{schema1, schemaSteps, schemaRetention, schemaTokens, schemaNotices, schemaPage, schemaRecovery, schemaPoll, schemaArtifacts}

// schema1 is the first schema. Times are microseconds since 1970 UTC; clocks are seconds of Store.Tick.
//
// runs.slot: null when the run has ended, 0 while it is queued, 1 while it counts against its listener's
// concurrency: it is running, or lost and may still run. Runs of a queue start in the order of (ord, rank).
// deliveries.body_key and before_key are 64 bits of a hash of the body and of a push's ref and `before`: short
// keys keep the two indices that grow at random places small.
//
// The indices runs_* over status serve GET runs: one for each subset of listener, repo, branch, so that every
// filter's first page is read in the order of the index.
const schema1 = `
CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
INSERT INTO meta VALUES ('clock', 0), ('probe', 0);

CREATE TABLE deliveries (
	seq INTEGER PRIMARY KEY,
	id TEXT NOT NULL UNIQUE,
	event TEXT NOT NULL,
	content_type TEXT NOT NULL,
	sha256 BLOB,
	body_key INTEGER,
	before_key INTEGER,
	bytes INTEGER NOT NULL,
	received_at INTEGER NOT NULL,
	status TEXT NOT NULL,
	why TEXT,
	generation INTEGER NOT NULL,
	action TEXT, repo TEXT COLLATE NOCASE, ref TEXT, branch TEXT, tag TEXT, sha TEXT, before TEXT, after TEXT,
	pr INTEGER, pusher TEXT, message TEXT, url TEXT
);
CREATE INDEX deliveries_body ON deliveries (body_key) WHERE body_key IS NOT NULL;
CREATE INDEX deliveries_before ON deliveries (before_key) WHERE before_key IS NOT NULL;

CREATE TABLE payloads (delivery INTEGER PRIMARY KEY REFERENCES deliveries (seq), body BLOB NOT NULL);

CREATE TABLE rules (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	listener TEXT NOT NULL,
	revision INTEGER NOT NULL,
	settings TEXT,
	at INTEGER NOT NULL
);
CREATE INDEX rules_listener ON rules (listener, id);

CREATE TABLE listeners (
	name TEXT PRIMARY KEY,
	settings TEXT NOT NULL,
	revision INTEGER NOT NULL,
	match_id INTEGER NOT NULL,
	temporary INTEGER NOT NULL,
	registered_at INTEGER NOT NULL,
	concurrency INTEGER NOT NULL,
	when_busy TEXT NOT NULL,
	on_lost TEXT NOT NULL,
	max_wait_s INTEGER NOT NULL,
	limit_s INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE rechecks (listener TEXT PRIMARY KEY) WITHOUT ROWID;

CREATE TABLE instances (
	listener TEXT NOT NULL,
	instance TEXT NOT NULL,
	start TEXT NOT NULL,
	revision INTEGER NOT NULL,
	settings TEXT NOT NULL,
	host TEXT NOT NULL,
	seen_at INTEGER NOT NULL,
	PRIMARY KEY (listener, instance)
) WITHOUT ROWID;
CREATE TABLE starts (
	listener TEXT NOT NULL,
	instance TEXT NOT NULL,
	start TEXT NOT NULL,
	revision INTEGER NOT NULL,
	PRIMARY KEY (listener, instance, start)
) WITHOUT ROWID;

CREATE TABLE runs (
	seq INTEGER PRIMARY KEY,
	id TEXT NOT NULL UNIQUE,
	listener TEXT NOT NULL,
	delivery INTEGER NOT NULL REFERENCES deliveries (seq),
	cause TEXT NOT NULL,
	retry_of TEXT,
	event TEXT NOT NULL,
	repo TEXT NOT NULL COLLATE NOCASE,
	ref TEXT, branch TEXT, tag TEXT, sha TEXT, pr INTEGER,
	status TEXT NOT NULL,
	attempt INTEGER NOT NULL DEFAULT 0,
	reason TEXT,
	exit_code INTEGER,
	queued_at INTEGER NOT NULL,
	started_at INTEGER,
	finished_at INTEGER,
	log_bytes INTEGER NOT NULL DEFAULT 0,
	log_cut INTEGER NOT NULL DEFAULT 0,
	cancel_at INTEGER, cancel_by TEXT, cancel_why TEXT,
	slot INTEGER,
	held_until INTEGER, held_clock INTEGER,
	ord INTEGER NOT NULL,
	rank INTEGER NOT NULL DEFAULT 0,
	match_id INTEGER NOT NULL,
	expires INTEGER NOT NULL
);
CREATE INDEX runs_delivery ON runs (delivery, seq);
CREATE UNIQUE INDEX runs_once ON runs (delivery, listener) WHERE cause = 'delivery';
CREATE INDEX runs_queue ON runs (listener, ord, rank) WHERE slot = 0;
CREATE INDEX runs_expires ON runs (expires) WHERE slot = 0;
CREATE INDEX runs_busy ON runs (listener, seq) WHERE slot = 1;
CREATE INDEX runs_lane ON runs (listener, repo, ref, slot) WHERE slot IS NOT NULL;
CREATE INDEX runs_held ON runs (held_clock) WHERE held_clock IS NOT NULL;
CREATE INDEX runs_finished ON runs (listener, finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX runs_s ON runs (status, seq);
CREATE INDEX runs_ls ON runs (listener, status, seq);
CREATE INDEX runs_rs ON runs (repo, status, seq);
CREATE INDEX runs_bs ON runs (branch, status, seq);
CREATE INDEX runs_lrs ON runs (listener, repo, status, seq);
CREATE INDEX runs_lbs ON runs (listener, branch, status, seq);
CREATE INDEX runs_rbs ON runs (repo, branch, status, seq);
CREATE INDEX runs_lrbs ON runs (listener, repo, branch, status, seq);

CREATE TABLE attempts (
	run INTEGER NOT NULL REFERENCES runs (seq),
	attempt INTEGER NOT NULL,
	status TEXT NOT NULL,
	reason TEXT,
	exit_code INTEGER,
	host TEXT NOT NULL,
	instance TEXT NOT NULL,
	start TEXT NOT NULL,
	key TEXT NOT NULL,
	started_at INTEGER NOT NULL,
	finished_at INTEGER,
	log_bytes INTEGER NOT NULL DEFAULT 0,
	log_cut INTEGER NOT NULL DEFAULT 0,
	clock INTEGER NOT NULL,
	limit_s INTEGER NOT NULL,
	on_lost TEXT NOT NULL,
	PRIMARY KEY (run, attempt)
) WITHOUT ROWID;
`

// migrate brings the schema to the newest version, each step in its own transaction.
func migrate(conn *sql.Conn) error {
	ctx := context.Background()
	var version, app int
	if err := conn.QueryRowContext(ctx, `SELECT (SELECT user_version FROM pragma_user_version), (SELECT application_id FROM pragma_application_id)`).Scan(&version, &app); err != nil {
		return err
	}
	if app != 0 && app != applicationID {
		return fmt.Errorf("is not Lightspeed's: its application_id is %#x", app)
	}
	if version > len(migrations) {
		return fmt.Errorf("was written by a newer version of lightspeed: its schema is %d, this one knows up to %d", version, len(migrations))
	}
	for ; version < len(migrations); version++ {
		script := fmt.Sprintf("BEGIN IMMEDIATE; %s PRAGMA application_id = %d; PRAGMA user_version = %d; COMMIT;",
			migrations[version], applicationID, version+1)
		if _, err := conn.ExecContext(ctx, script); err != nil {
			_, _ = conn.ExecContext(ctx, "ROLLBACK")
			return fmt.Errorf("migrating to schema %d: %w", version+1, err)
		}
	}
	return nil
}
