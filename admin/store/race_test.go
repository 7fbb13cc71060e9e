//go:build race

package store

// The race detector makes SQLite many times slower: it gets less to do, and more time.
const (
	raceFactor = 20
	fillFactor = 50
)
