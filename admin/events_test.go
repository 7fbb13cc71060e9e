package admin

import (
	"bufio"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"lightspeed/admin/store"
	"lightspeed/run"
)

// events reads a stream's events of runs, until it ends.
func (f *fixture) events(path string) <-chan run.Run {
	f.Helper()
	r, _ := http.NewRequestWithContext(f.Context(), http.MethodGet, f.http.URL+"/api/v1"+path, nil)
	answer, err := f.http.Client().Do(r)
	if err != nil || answer.Header.Get("Content-Type") != "text/event-stream" {
		f.Fatalf("%s: %v", path, err)
	}
	runs := make(chan run.Run)
	go func() {
		defer close(runs)
		defer answer.Body.Close()
		for lines := bufio.NewScanner(answer.Body); lines.Scan(); {
			if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				var one run.Run
				if json.Unmarshal([]byte(data), &one) == nil {
					runs <- one
				}
			}
		}
	}()
	return runs
}

func TestEvents(t *testing.T) {
	f := start(t)
	l := f.listener("web")
	all := f.events("/events")
	id := f.push("d1", "main").Runs[0].ID
	if r := <-all; r.ID != id || r.Status != run.Queued || len(r.Attempts) != 0 {
		t.Fatalf("the first event is %+v", r)
	}
	own := f.events("/runs/" + id + "/events")
	if r := <-own; r.Status != run.Queued {
		t.Fatalf("its own stream begins with %+v", r)
	}
	c := l.mustClaim()
	if r := <-own; r.Status != run.Running {
		t.Fatalf("its own second event is %+v", r)
	}
	if r := <-all; r.Status != run.Running {
		t.Fatalf("the second event is %+v", r)
	}
	l.finish(c, run.Passed)
	if r := <-own; r.Status != run.Passed {
		t.Fatalf("its own last event is %+v", r)
	}
	if r, more := <-own; more {
		t.Fatalf("its own stream goes on with %+v", r)
	}
	if r := <-all; r.Status != run.Passed {
		t.Fatalf("the third event is %+v", r)
	}
	f.end() // ends the stream
	if r, more := <-all; more {
		t.Fatalf("after admin has stopped comes %+v", r)
	}
}

func TestHistoryForgets(t *testing.T) {
	t.Parallel()
	var h history
	h.add([]store.Change{{Run: "a"}, {Run: "b"}, {Run: "a"}})
	if runs, now, all := h.since(0); strings.Join(runs, "") != "ba" || now != 3 || !all {
		t.Errorf("%v, %d, %t", runs, now, all)
	}
	for range len(h.last) {
		h.add([]store.Change{{Run: "c"}})
	}
	if runs, now, all := h.since(2); all || runs != nil || now != int64(len(h.last))+3 {
		t.Errorf("%v, %d, %t", runs, now, all)
	}
	if runs, _, all := h.since(3); !all || len(runs) != 1 {
		t.Errorf("%v, %t", runs, all)
	}
}
