package admin

import (
	"testing"
	"time"

	"lightspeed/api"
	"lightspeed/run"
)

// Who looks learns that there is a run, also while it waits, and gets none of it.
func TestLook(t *testing.T) {
	f := start(t)
	l := f.listener("web")
	look := func(wait time.Duration) bool {
		t.Helper()
		work, err := f.client.Look(t.Context(), "web", l.request(), wait)
		if err != nil {
			t.Fatal(err)
		}
		return work
	}
	if look(0) {
		t.Error("an empty queue has work")
	}
	found := make(chan bool, 1)
	go func() {
		work, err := f.client.Look(t.Context(), "web", api.ClaimRequest{Instance: "i1", Start: "s1", Revision: 1, Key: "standing"}, time.Minute)
		found <- work && err == nil
	}()
	id := f.push("d1", "main").Runs[0].ID
	if !<-found || !look(time.Minute) || !look(0) {
		t.Error("a queued run is not seen")
	}
	if r := f.run(id); r.Status != run.Queued || r.Attempt != 0 {
		t.Errorf("looking changed it: %+v", r)
	}
	c := l.mustClaim()
	if look(0) {
		t.Error("a run that was handed out is still seen")
	}
	l.finish(c, run.Passed)
	l.reg.Start = "s2"
	_, err := f.client.Look(t.Context(), "web", l.request(), 0)
	f.wantCode(err, 409, api.NotRegistered)
}
