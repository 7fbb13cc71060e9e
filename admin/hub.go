package admin

import "sync"

// anyRun is what those subscribe to who wait for a change of any run, or of a listener.
const anyRun = ""

// hub wakes those who wait for something to happen to a run: a change, or more log.
type hub struct {
	mu    sync.Mutex
	waits map[string]map[chan struct{}]struct{}
}

func newHub() *hub { return &hub{waits: map[string]map[chan struct{}]struct{}{}} }

// subscribe returns a channel that holds a token when something has happened since it was last emptied.
func (h *hub) subscribe(run string) (woken <-chan struct{}, cancel func()) {
	ch := make(chan struct{}, 1)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.waits[run] == nil {
		h.waits[run] = map[chan struct{}]struct{}{}
	}
	h.waits[run][ch] = struct{}{}
	return ch, func() { h.unsubscribe(run, ch) }
}

func (h *hub) unsubscribe(run string, ch chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.waits[run], ch)
	if len(h.waits[run]) == 0 {
		delete(h.waits, run)
	}
}

func (h *hub) wake(run string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for ch := range h.waits[run] {
		select {
		case ch <- struct{}{}:
		default:
		}
	}
}
