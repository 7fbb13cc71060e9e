package fleet

import (
	"context"
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// Main is what a package's TestMain does: it builds the program of the module one folder above into *bin, runs the
// tests in a cgroup of their own, and ends the process. What is left running fails them; stop ends what the package itself
// has started, and may be nil.
func Main(m *testing.M, bin *string, stop func(), flags ...string) {
	dir, err := os.MkdirTemp("", "lightspeed-tests-")
	if err == nil {
		*bin, err = Build(context.Background(), "..", dir, flags...)
	}
	var release func() error
	if err == nil {
		release, err = Enclose()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if stop != nil {
			stop()
		}
		if err := release(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
		_ = os.RemoveAll(dir)
		os.Exit(code)
	}))
}
