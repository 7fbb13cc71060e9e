package store

// schemaPage adds what people do on the page: who is logged in, and which listeners are paused. A session is
// known by the hash of its id, and by the hash of the token that it was opened with: neither can be read out of
// the database.
const schemaPage = `
CREATE TABLE sessions (
	id BLOB PRIMARY KEY,
	token BLOB NOT NULL,
	until INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX sessions_until ON sessions (until);

CREATE TABLE pauses (
	listener TEXT PRIMARY KEY,
	note TEXT NOT NULL,
	by TEXT NOT NULL,
	at INTEGER NOT NULL
) WITHOUT ROWID;
`
