// Package fanout shows with real processes and a real broker that many listeners share the work: that none of
// them starves, and that no fault of the broker loses a run, runs it twice, or leaves it hanging.
package fanout

import (
	"testing"

	"lightspeed/broker/rabbit/rabbittest"
	_ "lightspeed/cli" // what the binary is made of: when that changes, go test must not take the last result again
	"lightspeed/fleet"
)

// lightspeed is the program as it is shipped.
var lightspeed string

func TestMain(m *testing.M) { fleet.Main(m, &lightspeed, rabbittest.Stop) }
