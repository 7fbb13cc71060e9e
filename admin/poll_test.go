package admin

import (
	"testing"

	"lightspeed/api"
	"lightspeed/event"
	"lightspeed/run"
)

// polledPush is what a listener finds: main has gone from one commit to another.
func polledPush(before, now string) api.Polled {
	return api.Polled{Repo: "acme/web", Branch: "main", SHA: sha(now), Before: sha(before)}
}

// A push that a webhook and a look both find is run once, whichever comes first; one that goes back is new.
func TestPolledOnce(t *testing.T) {
	f := start(t)
	f.listener("web")
	found := func(before, now string, want int) api.Receipt {
		t.Helper()
		receipt, err := f.client.Polled(t.Context(), "web", polledPush(before, now))
		if err != nil || len(receipt.Runs) != want {
			t.Fatalf("%s→%s: %+v %v, want %d runs", before, now, receipt, err, want)
		}
		return receipt
	}
	hooked := func(id, before, now string, want int) api.Receipt {
		t.Helper()
		receipt := f.deliver(id, event.PushSpec{Repo: "acme/web", Branch: "main", SHA: sha(now), Before: sha(before), Nonce: id})
		if len(receipt.Runs) != want {
			t.Fatalf("%s→%s: %+v, want %d runs", before, now, receipt, want)
		}
		return receipt
	}
	first := found("1", "2", 1)
	if r := f.run(first.Runs[0].ID); r.Cause != run.ByPoll || *r.SHA != sha("2") {
		t.Errorf("%+v", r)
	}
	if late := hooked("d1", "1", "2", 0); len(late.Skipped) != 1 || late.Skipped[0].Saw != first.Runs[0].ID {
		t.Errorf("%+v", late)
	}
	found("1", "2", 0) // handed in again after a crash
	hooked("d2", "2", "3", 1)
	found("2", "3", 0)
	found("3", "2", 1) // back to where it was
	found("2", "3", 1)
	hooked("d3", "2", "3", 0)
	found("3", "4", 1)
	found("4", "5", 1)
	hooked("d4", "3", "4", 0) // late
	found("5", "3", 1)
	hooked("d5", "3", "4", 1) // once more
}

// Who hands a push in is asked by its own rules, and no other listener is.
func TestPolledIsForOneListener(t *testing.T) {
	f := start(t)
	f.listener("web", func(r *api.Registration) { r.Settings.Rules.Repos = []string{"acme/*"} })
	f.listener("other")
	push := polledPush("1", "2")
	receipt, err := f.client.Polled(t.Context(), "web", push)
	if err != nil || len(receipt.Runs) != 1 || receipt.Runs[0].Listener != "web" {
		t.Errorf("%+v %v", receipt, err)
	}
	push.Repo = "foreign/else"
	_, err = f.client.Polled(t.Context(), "web", push)
	f.wantCode(err, 409, api.Conflict)
	_, err = f.client.Polled(t.Context(), "nobody", push)
	f.wantCode(err, 404, api.NotFound)
	push.Branch = ""
	_, err = f.client.Polled(t.Context(), "web", push)
	f.wantCode(err, 400, api.BadRequest)
}
