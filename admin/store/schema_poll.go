package store

// schemaPoll finds the runs that a listener's own look at a repository has led to, so that a delivery of the same push
// that comes later leads to none. It costs nothing where nobody polls.
const schemaPoll = `CREATE INDEX runs_polled ON runs (listener, sha) WHERE cause = 'poll';`
