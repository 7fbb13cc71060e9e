package admin

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"lightspeed/api"
	"lightspeed/run"
)

// logged keeps a log's lines.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

// lines returns those with a message, without their time, as JSON.
func (l *logged) lines(t *testing.T, msg string) []string {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	var found []string
	for line := range strings.Lines(l.text.String()) {
		var fields map[string]any
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			t.Fatal(err)
		}
		if fields["msg"] != msg {
			continue
		}
		delete(fields, "time")
		delete(fields, "msg")
		text, _ := json.Marshal(fields)
		found = append(found, string(text))
	}
	return found
}

// Each step of a run is one line, with its ids; what only tells more of a run is none, and counts nothing.
func TestLinesAndCountsOfARun(t *testing.T) {
	log := &logged{}
	f := start(t, func(o *Options) { o.Log = slog.New(slog.NewJSONHandler(log, nil)) })
	l := f.listener("web")
	id := f.push("d1", "main").Runs[0].ID
	c := l.mustClaim()
	l.finish(c, run.NotStarted)
	c = l.mustClaim()
	f.tick(f.server.leases.full + 1)
	f.wantRun(id, run.Lost, "listener on box was not heard of for 30s")
	if _, err := f.client.Release(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	l.finish(c, run.Passed)
	for _, target := range []string{"discord", "commit-status"} {
		n := api.Notified{Target: target, Status: run.Told, At: time.Now()}
		if err := f.client.Notified(t.Context(), refOf(c), n); err != nil {
			t.Fatal(err)
		}
	}
	waits := f.push("d2", "main").Runs[0].ID
	if _, err := f.client.Cancel(t.Context(), waits, api.Cancel{By: "ann", Why: "no"}); err != nil {
		t.Fatal(err)
	}
	of := func(attempt int, rest string) string {
		return fmt.Sprintf(`{"attempt":%d,"delivery":"d1",%s}`, attempt, strings.ReplaceAll(rest, "ID", id))
	}
	for msg, want := range map[string][]string{
		"delivery": {
			`{"delivery":"d1","event":"push","level":"INFO","ref":"refs/heads/main","repo":"acme/web","runs":["` + id + `"],"status":"accepted"}`,
			`{"delivery":"d2","event":"push","level":"INFO","ref":"refs/heads/main","repo":"acme/web","runs":["` + waits + `"],"status":"accepted"}`,
		},
		"run handed out": {
			of(1, `"host":"box","level":"INFO","listener":"web","run":"ID"`),
			of(2, `"host":"box","level":"INFO","listener":"web","run":"ID"`),
		},
		"run waits again": {of(1, `"level":"INFO","listener":"web","reason":"","run":"ID"`)},
		"run ended": {
			of(2, `"level":"INFO","listener":"web","reason":"listener on box was not heard of for 30s","run":"ID","status":"lost"`),
			of(2, `"level":"INFO","listener":"web","reason":"reported late","run":"ID","status":"passed"`),
			`{"attempt":0,"delivery":"d2","level":"INFO","listener":"web","reason":"cancelled by ann: no","run":"` + waits + `","status":"cancelled"}`,
		},
		"release asked for": {`{"asked_by":"anyone, since no token is asked for","attempt":2,"delivery":"d1","level":"INFO","listener":"web","run":"` + id + `"}`},
		"cancel asked for": {`{"asked_by":"anyone, since no token is asked for","attempt":0,"by":"ann","delivery":"d2","level":"INFO","listener":"web","run":"` +
			waits + `","why":"no"}`},
	} {
		if got := log.lines(t, msg); strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("%s:\n%s\nwant\n%s", msg, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
	numbers := f.numbers()
	for _, status := range []string{"lost", "passed", "cancelled"} {
		if got := numbers[`lightspeed_admin_runs_total{status="`+status+`"}`]; got != "1" {
			t.Errorf("%s runs that are %s are counted, want 1", got, status)
		}
	}
}
