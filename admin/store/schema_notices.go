package store

// schemaNotices keeps how telling people of a run went, one row a target, and what is still to be told.
//
// tellings holds the runs that have ended while no listener had them: lost with it, or ended in the queue after an
// attempt of theirs had started. instance may not have it, since it may still hold the run; empty: any may. handed
// is the clock at which it was handed out last.
const schemaNotices = `
CREATE TABLE notices (
	run INTEGER NOT NULL REFERENCES runs (seq),
	target TEXT NOT NULL,
	attempt INTEGER NOT NULL,
	status TEXT NOT NULL,
	error TEXT,
	hint TEXT,
	memo TEXT,
	at INTEGER NOT NULL,
	PRIMARY KEY (run, target)
) WITHOUT ROWID;

CREATE TABLE tellings (
	run INTEGER PRIMARY KEY REFERENCES runs (seq),
	listener TEXT NOT NULL,
	instance TEXT NOT NULL,
	handed INTEGER,
	told INTEGER NOT NULL DEFAULT 0,
	at INTEGER NOT NULL
);
CREATE INDEX tellings_open ON tellings (listener, run) WHERE told = 0;
CREATE INDEX tellings_at ON tellings (at);
`
