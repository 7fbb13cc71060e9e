package cli

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"lightspeed/run"
)

// A table that is drawn again starts where the one before did, and leaves nothing of it.
func TestDrawnAgainInPlace(t *testing.T) {
	var out bytes.Buffer
	p := &program{System: System{Stdout: &out}, out: style{terminal: true}}
	w := &watcher{p: p, seen: map[string]run.State{}}
	runs := []run.Run{{ID: "b", Status: run.Queued, QueuedAt: time.Now(), Listener: "x\x1b[2J"}, {ID: "a", Status: run.Running, QueuedAt: time.Now()}}
	if err := w.show(runs, 80); err != nil {
		t.Fatal(err)
	}
	first := out.String()
	if !strings.HasPrefix(first, "\x1b[KRUN") {
		t.Errorf("the first table moves up: %q", first)
	}
	if strings.Contains(first, "\x1b[2J") || strings.Count(first, "\n") != 3 {
		t.Errorf("the first table is %q", first)
	}
	out.Reset()
	if err := w.show(runs[:1], 80); err != nil {
		t.Fatal(err)
	}
	if second := out.String(); !strings.HasPrefix(second, "\x1b[3F") || !strings.HasSuffix(second, "\x1b[J") || strings.Count(second, "\n") != 2 || strings.Count(second, "\x1b[K") != 2 {
		t.Errorf("the second table is %q", second)
	}
}

// Without a terminal each change is one line, and nothing is said twice.
func TestWatchedWithoutATerminal(t *testing.T) {
	var out bytes.Buffer
	w := &watcher{p: &program{System: System{Stdout: &out}}, seen: map[string]run.State{}}
	r := run.Run{ID: "a", Status: run.Queued, Listener: "tests", Repo: "acme/web"}
	for range 2 {
		if err := w.show([]run.Run{r}, 80); err != nil {
			t.Fatal(err)
		}
	}
	r.Status = run.Passed
	if err := w.show([]run.Run{r}, 80); err != nil {
		t.Fatal(err)
	}
	if lines := strings.Split(strings.TrimSpace(out.String()), "\n"); len(lines) != 2 || !strings.Contains(lines[0], " a queued tests acme/web") || !strings.Contains(lines[1], " a passed tests acme/web") {
		t.Errorf("it said %q", out.String())
	}
}
