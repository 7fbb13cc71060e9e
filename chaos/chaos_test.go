package main

import (
	"testing"
	"time"

	_ "lightspeed/cli" // what the binary is made of: when that changes, go test must not take the last result again
)

// A minute of kills, freezes and cuts, with a new seed each time, and with a broker for every second seed: both are
// printed, and `make chaos` repeats them.
func TestAMinuteOfChaos(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	report, err := play(t.Context(), options{seed: seed, duration: time.Minute, deliveries: 1000, root: "..", rabbit: seed%2 == 0}, t.Output())
	if err != nil {
		t.Fatalf("seed %d: %v", seed, err)
	}
	t.Logf("seed %d\n%s", seed, report)
	if !report.Held() {
		t.Errorf("seed %d: a promise did not hold", seed)
	}
}
