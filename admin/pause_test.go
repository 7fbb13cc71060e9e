package admin

import (
	"testing"
	"time"

	"lightspeed/api"
	"lightspeed/run"
)

func TestPausedListenerGetsNoRuns(t *testing.T) {
	f := start(t)
	l := f.listener("web")
	first := f.push("d1", "main")
	running := l.mustClaim()
	paused, err := f.client.Pause(t.Context(), "web", api.Pause{Note: "moving", By: "ada"})
	if err != nil || paused.Paused == nil || paused.Paused.Note != "moving" || paused.Paused.By != "ada" || paused.Paused.At.IsZero() {
		t.Fatalf("paused %+v, %v", paused.Paused, err)
	}
	second := f.push("d2", "main")
	l.finish(running, run.Passed)
	f.wantRun(first.Runs[0].ID, run.Passed, "")
	if c := l.claim(); c != nil {
		t.Fatalf("a paused listener got run %s", c.Run.ID)
	}
	l.register() // a listener that comes back stays paused
	got := make(chan *api.Claim, 1)
	go func() {
		c, _ := f.client.Claim(t.Context(), "web", l.request(), 30*time.Second)
		got <- c
	}()
	resumed, err := f.client.Resume(t.Context(), "web")
	if err != nil || resumed.Paused != nil {
		t.Fatalf("resumed %+v, %v", resumed.Paused, err)
	}
	if c := <-got; c == nil || c.Run.ID != second.Runs[0].ID {
		t.Fatalf("after resuming it got %+v", c)
	}
	_, err = f.client.Pause(t.Context(), "nobody", api.Pause{})
	f.wantCode(err, 404, api.NotFound)
}

// A listener that was removed and comes back is a new one.
func TestRemovingEndsAPause(t *testing.T) {
	f := start(t)
	l := f.listener("web")
	if _, err := f.client.Pause(t.Context(), "web", api.Pause{}); err != nil {
		t.Fatal(err)
	}
	if err := f.client.RemoveListener(t.Context(), "web", true); err != nil {
		t.Fatal(err)
	}
	l.reg.Start = "s2"
	l.register()
	f.push("d1", "main")
	l.mustClaim()
}
