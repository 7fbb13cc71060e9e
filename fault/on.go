//go:build faults

package fault

import (
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
)

// Variable is where the environment says at which point to end the process.
const Variable = "LIGHTSPEED_FAULT"

var (
	chosen, nth = read(os.Getenv(Variable))
	hits        atomic.Int64
)

// read splits "name:n". Without a number it is the first time.
func read(value string) (name string, nth int64) {
	name, count, counted := strings.Cut(value, ":")
	if !counted {
		return name, 1
	}
	nth, err := strconv.ParseInt(count, 10, 64)
	if err != nil || nth < 1 {
		panic(Variable + ": " + value + " does not end with a number from 1")
	}
	return name, nth
}

// Point ends the process, at once and without a trace but for one line on stderr, when it is the chosen one.
func Point(name string) {
	if name != chosen || hits.Add(1) != nth {
		return
	}
	_, _ = os.Stderr.WriteString("fault: " + name + "\n")
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {} // the signal is on its way: nothing more is done here
}
