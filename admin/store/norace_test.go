//go:build !race

package store

const raceFactor = 1
