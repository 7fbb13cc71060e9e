// Package deploy holds what is handed to those who run Lightspeed; its tests check that it fits the program, and start
// the whole set as it says.
package deploy

import (
	"context"
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"lightspeed/broker/rabbit/rabbittest"
	_ "lightspeed/cli" // what the binary is made of: when that changes, go test must not take the last result again
	"lightspeed/fleet"
)

// lightspeed is the program as it is shipped.
var lightspeed string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "lightspeed-deploy-")
	if err == nil {
		lightspeed, err = fleet.Build(context.Background(), "..", dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		rabbittest.Stop()
		_ = os.RemoveAll(dir)
		os.Exit(code)
	}))
}
