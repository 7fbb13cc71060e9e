//go:build !race

package store

const (
	raceFactor = 1
	fillFactor = 1
)
