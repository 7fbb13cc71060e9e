package admin

import (
	"context"
	"slices"
	"testing"
	"time"

	"lightspeed/api"
	"lightspeed/event"
	"lightspeed/redelivery"
)

// sendingHook is one of GitHub's hooks, as a test plays it.
type sendingHook struct {
	sent   []redelivery.Attempt
	asked  []string
	arrive func(guid string)
}

func (h *sendingHook) Name() string { return "me/my-app/7" }

func (h *sendingHook) Sent(_ context.Context, since time.Time) ([]redelivery.Attempt, error) {
	var list []redelivery.Attempt
	for _, one := range slices.Backward(h.sent) {
		if !one.At.Before(since) {
			list = append(list, one)
		}
	}
	return list, nil
}

func (h *sendingHook) Kept() time.Duration { return 3 * 24 * time.Hour }

func (h *sendingHook) Resend(_ context.Context, id int64) error {
	guid := h.sent[id-1].GUID
	h.asked = append(h.asked, guid)
	if h.arrive != nil {
		h.arrive(guid)
	}
	return nil
}

func (h *sendingHook) send(guid, name string, at time.Time, ok bool) {
	h.sent = append(h.sent, redelivery.Attempt{ID: int64(len(h.sent) + 1), GUID: guid, Event: name, At: at, OK: ok})
}

// TestRecoverWhileHooksIsAway asks for one, sees that it does not come, and asks for no other before it; once more when
// GitHub has tried in vain.
func TestRecoverWhileHooksIsAway(t *testing.T) {
	h := &sendingHook{}
	f := start(t, func(o *Options) { o.Senders = []Sender{h} })
	f.server.arrival = 10 * time.Millisecond
	hour := time.Now().Add(-time.Hour)
	h.send("ping", event.Ping, hour, false)
	h.send("g1", "push", hour, false)
	h.send("g2", "push", hour.Add(time.Minute), false)
	round := func(failed bool, asked ...string) api.HookGaps {
		t.Helper()
		h.asked = nil
		found, err := f.client.Recover(t.Context(), false)
		if err != nil {
			t.Fatal(err)
		}
		if (found.Hooks[0].Error != nil) != failed || !slices.Equal(h.asked, asked) {
			t.Fatalf("asked for %q, %+v", h.asked, found)
		}
		return found.Hooks[0]
	}
	if got := round(true, "g1"); *got.Error != "what GitHub was asked for has not come in: is hooks reachable?" {
		t.Error(*got.Error)
	}
	round(true, "g2") // g1 may still come
	round(false)
	h.send("g1", "push", time.Now().Add(time.Second), false)
	h.arrive = func(guid string) { f.push(guid, "main") }
	round(false, "g1")
	h.send("g2", "push", time.Now().Add(time.Second), false)
	round(false, "g2")
	if got := round(false); got.Sent == 0 || len(got.Missing) != 0 {
		t.Errorf("at the end %+v", got)
	}
	if got := round(false); got.Since.Before(hour) {
		t.Errorf("the next round looks back to %s", got.Since)
	}
}

// TestAnsweredIsAskedForOnce: GitHub was told 2xx, and admin has it not. It may be known by its body.
func TestAnsweredIsAskedForOnce(t *testing.T) {
	h := &sendingHook{}
	f := start(t, func(o *Options) { o.Senders = []Sender{h} })
	f.server.arrival = 10 * time.Millisecond
	h.send("g1", "push", time.Now().Add(-time.Hour), true)
	for range 2 {
		if found, err := f.client.Recover(t.Context(), false); err != nil || found.Hooks[0].Error != nil {
			t.Fatal(found, err)
		}
	}
	if len(h.asked) != 1 {
		t.Errorf("asked %d times", len(h.asked))
	}
	f.push("by-hand", "main")
	gaps, err := f.client.Gaps(t.Context())
	if err != nil || len(gaps.Hooks[0].Missing) != 1 || !slices.Equal(gaps.Unsent, []string{"by-hand"}) {
		t.Errorf("gaps %+v, %v", gaps, err)
	}
}

func TestRecoverWithoutHooks(t *testing.T) {
	f := start(t)
	_, err := f.client.Recover(t.Context(), false)
	f.wantCode(err, 409, api.Conflict)
	_, err = f.client.Gaps(t.Context())
	f.wantCode(err, 409, api.Conflict)
}
