package app

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync"
)

// Stop tells a process to end. When Soon ends it finishes what is under way and takes nothing new; when Now
// ends, too, it cuts that short.
type Stop struct{ Soon, Now context.Context }

// Output is where a process says what it is doing.
type Output struct {
	Ready io.Writer    // ready lines, each once
	Notes io.Writer    // plain sentences for people
	Log   *slog.Logger // everything else
}

// voice writes whole lines from several goroutines.
type voice struct {
	Output
	mu sync.Mutex
}

func newVoice(o Output) *voice { return &voice{Output: o} }

// ready says that something serves: "ready admin http://127.0.0.1:8080".
func (v *voice) ready(what, where string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	fmt.Fprintf(v.Ready, "ready %s %s\n", what, where)
}

// note says something to people.
func (v *voice) note(format string, args ...any) {
	v.mu.Lock()
	defer v.mu.Unlock()
	fmt.Fprintf(v.Notes, "lightspeed: "+format+"\n", args...)
}
