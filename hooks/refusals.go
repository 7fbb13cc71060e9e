package hooks

import (
	"log/slog"
	"sync"
	"time"
)

// unsignedError is the error of a request that has not shown that it is signed: anyone can send as many as they like.
type unsignedError struct{ error }

func (e unsignedError) Unwrap() error { return e.error }

// Of requests that nobody signed this many are logged one by one in each refusalWindow; of the rest the number.
const (
	refusalLines  = 20
	refusalWindow = 10 * time.Second
)

// refusals keeps those who cannot sign from filling the disk with lines about them.
type refusals struct {
	log *slog.Logger

	mu     sync.Mutex
	lines  int
	left   int         // refused in this window, and not logged
	window *time.Timer // runs while one is open
}

// line reports whether one more line may be written; if not, the request is counted.
func (r *refusals) line() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.window == nil {
		r.window = time.AfterFunc(refusalWindow, r.end)
	}
	if r.lines < refusalLines {
		r.lines++
		return true
	}
	r.left++
	return false
}

// end closes a window, and says what was not logged in it.
func (r *refusals) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.left > 0 {
		r.log.Warn("more requests were refused that nobody signed: they are not logged one by one", "requests", r.left, "within", refusalWindow.String())
	}
	r.lines, r.left, r.window = 0, 0, nil
}

func (r *refusals) close() {
	r.mu.Lock()
	running := r.window != nil && r.window.Stop()
	r.mu.Unlock()
	if running {
		r.end()
	}
}
