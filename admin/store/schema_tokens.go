package store

// schemaTokens keeps tokens by their SHA-256: what is in the database lets nobody in. listeners is a JSON list of
// patterns, null when the token is bound to none.
const schemaTokens = `
CREATE TABLE tokens (
	id TEXT PRIMARY KEY,
	hash BLOB NOT NULL UNIQUE,
	role TEXT NOT NULL,
	listeners TEXT,
	note TEXT,
	created_at INTEGER NOT NULL
) WITHOUT ROWID;
`
