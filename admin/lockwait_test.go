package admin

import (
	"testing"
	"time"

	"lightspeed/api"
)

// TestWhoWaitsForALock is shown until that instance asks for work, or is gone.
func TestWhoWaitsForALock(t *testing.T) {
	f := start(t)
	waiting := func() *api.LockWait {
		t.Helper()
		one, err := f.client.Listener(t.Context(), "web")
		if err != nil || len(one.Instances) != 1 {
			t.Fatal(one, err)
		}
		return one.Instances[0].Waiting
	}
	l := f.listener("web")
	if w := waiting(); w != nil {
		t.Errorf("got %+v", w)
	}
	since := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	l.reg.Waiting = &api.LockWait{Lock: "lock deploy", HeldBy: 4711, Since: since}
	l.register()
	if w := waiting(); w == nil || w.String() != "waits for lock deploy, held by process 4711" || !w.Since.Equal(since) {
		t.Errorf("got %+v", w)
	}
	l.claim()
	if w := waiting(); w != nil {
		t.Errorf("after a claim: %+v", w)
	}
	l.reg.Waiting.HeldBy = 0
	l.register()
	if w := waiting(); w == nil || w.String() != "waits for lock deploy, held by another process" {
		t.Errorf("got %+v", w)
	}
	f.tick(31)
	if w := waiting(); w != nil {
		t.Errorf("after it has gone: %+v", w)
	}
}
