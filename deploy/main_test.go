// Package deploy holds what is handed to those who run Lightspeed; its tests check that it fits the program, and start
// the whole set as it says.
package deploy

import (
	"testing"

	"lightspeed/broker/rabbit/rabbittest"
	_ "lightspeed/cli" // what the binary is made of: when that changes, go test must not take the last result again
	"lightspeed/fleet"
)

// lightspeed is the program as it is shipped.
var lightspeed string

func TestMain(m *testing.M) { fleet.Main(m, &lightspeed, rabbittest.Stop) }
