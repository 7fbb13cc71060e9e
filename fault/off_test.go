//go:build !faults

package fault

import "testing"

// The program that is shipped must not end because of a variable in its environment.
func TestShippedProgramHasNoFaults(t *testing.T) {
	t.Setenv("LIGHTSPEED_FAULT", "here")
	if n := testing.AllocsPerRun(100, func() { Point("here") }); n != 0 {
		t.Errorf("a point costs %v allocations", n)
	}
}
