package admin

import (
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"

	"lightspeed/admin/store"
	"lightspeed/run"
)

// history remembers which runs have changed last, so that each who follows them can be told of those that it has not
// seen.
type history struct {
	mu    sync.Mutex
	count int64 // changes ever
	last  [1024]string
}

func (h *history) add(changes []store.Change) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range changes {
		h.last[h.count%int64(len(h.last))] = c.Run
		h.count++
	}
}

// since names the runs that have changed since a count, each once, in the order of their last change. all is false
// when there were more than it remembers.
func (h *history) since(count int64) (runs []string, now int64, all bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.count-count > int64(len(h.last)) {
		return nil, h.count, false
	}
	seen := map[string]bool{}
	for at := h.count - 1; at >= count; at-- {
		if id := h.last[at%int64(len(h.last))]; !seen[id] {
			seen[id] = true
			runs = append([]string{id}, runs...)
		}
	}
	return runs, h.count, true
}

// How often a stream of events says something: changes are gathered for eventPause, and when there are none a comment
// is sent every eventBeat, so that a reader who has gone is noticed.
const (
	eventPause = 100 * time.Millisecond
	eventBeat  = 15 * time.Second
)

// eventStream sends server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html).
type eventStream struct {
	w   http.ResponseWriter
	out *http.ResponseController
}

func startEvents(w http.ResponseWriter) (*eventStream, error) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.WriteHeader(http.StatusOK)
	e := &eventStream{w, http.NewResponseController(w)}
	return e, e.write(":\n\n")
}

func (e *eventStream) write(text string) error {
	_ = e.out.SetWriteDeadline(time.Now().Add(readerPatience))
	if _, err := fmt.Fprint(e.w, text); err != nil {
		return err
	}
	return e.out.Flush()
}

func (e *eventStream) run(r run.Run) error {
	encoded, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return e.write("event: run\ndata: " + string(encoded) + "\n\n")
}

// getEvents streams runs as they change, each as GET runs/{id} shows it. When more has changed than could be
// sent, "reset" says so: what was known is to be asked for anew.
func (s *Server) getEvents(w http.ResponseWriter, r *http.Request) error {
	if q := readQuery(r); q.err != nil {
		return q.err
	}
	woken, done := s.hub.subscribe(anyRun)
	defer done()
	_, seen, _ := s.history.since(0)
	e, err := startEvents(w)
	for err == nil && s.nextEvent(r, woken, e) {
		runs, now, all := s.history.since(seen)
		seen = now
		if !all {
			err = e.write("event: reset\ndata: {}\n\n")
		}
		for _, id := range runs {
			if found, lost := s.findRun(r.Context(), id); lost == nil && err == nil {
				err = e.run(found)
			}
		}
	}
	return nil // the answer has begun: whoever reads it sees that it ends
}

// getRunEvents streams one run as it changes, beginning with how it is, until it has ended.
func (s *Server) getRunEvents(w http.ResponseWriter, r *http.Request) error {
	if q := readQuery(r); q.err != nil {
		return q.err
	}
	id := runID(r)
	woken, done := s.hub.subscribe(id)
	defer done()
	found, err := s.findRun(r.Context(), id)
	if err != nil {
		return err
	}
	e, err := startEvents(w)
	for shown := ""; err == nil; {
		if state := withoutLog(found); state != shown {
			shown, err = state, e.run(found)
		}
		if err != nil || found.Status.Ended() || !s.nextEvent(r, woken, e) {
			break
		}
		found, err = s.findRun(r.Context(), id)
	}
	return nil // as above
}

// withoutLog is what a change of which is an event: everything but how long the log is.
func withoutLog(r run.Run) string {
	r.LogBytes = 0
	r.Attempts = append([]run.Attempt(nil), r.Attempts...)
	for i := range r.Attempts {
		r.Attempts[i].LogBytes = 0
	}
	encoded, _ := json.Marshal(r) // it holds nothing that cannot be encoded
	return string(encoded)
}

// nextEvent waits until something has happened, and a moment longer for what comes with it. It reports false when
// the stream is to end.
func (s *Server) nextEvent(r *http.Request, woken <-chan struct{}, e *eventStream) bool {
	beat := time.NewTicker(eventBeat)
	defer beat.Stop()
	for {
		select {
		case <-woken:
			select {
			case <-time.After(eventPause):
				return true
			case <-r.Context().Done():
			case <-s.stopping.Done():
			}
			return false
		case <-beat.C:
			if e.write(":\n\n") != nil {
				return false
			}
		case <-r.Context().Done():
			return false
		case <-s.stopping.Done():
			return false
		}
	}
}
