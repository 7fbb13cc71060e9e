package main

import (
	"testing"
	"time"
)

// A minute of kills, freezes and cuts, on every run of the tests, with a new seed each time: the seed is
// printed, and `make chaos` repeats it.
func TestAMinuteOfChaos(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	report, err := play(t.Context(), options{seed: seed, duration: time.Minute, deliveries: 1000, root: ".."}, t.Output())
	if err != nil {
		t.Fatalf("seed %d: %v", seed, err)
	}
	t.Logf("seed %d\n%s", seed, report)
	if !report.Held() {
		t.Errorf("seed %d: a promise did not hold", seed)
	}
}
