// Package crash shows the promises with real processes: it kills hooks, admin and listener by SIGKILL at every
// point that package fault knows, and at the wrong moments of their lives; freezes them, cuts them off, fills
// their disks, tears their files and sets their clocks; and then looks from the outside, by the API, by the
// files that the scripts wrote and by /proc, at what has become of the deliveries.
package crash

import (
	"testing"

	_ "lightspeed/cli" // what is built and killed: the test's cache must see its changes
	"lightspeed/fleet"
)

// lightspeed is the program, built with its points. Where none is chosen it behaves as the one that is shipped.
var lightspeed string

func TestMain(m *testing.M) { fleet.Main(m, &lightspeed, nil, "-tags", "faults") }
