package store

// schemaSteps keeps what listeners tell of the steps of their attempts: a JSON list of run.Step, replaced as a
// whole. It stands beside the attempts so that their rows stay small.
const schemaSteps = `
CREATE TABLE steps (
	run INTEGER NOT NULL,
	attempt INTEGER NOT NULL,
	list TEXT NOT NULL,
	PRIMARY KEY (run, attempt)
);
`
