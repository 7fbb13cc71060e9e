package admin

import (
	"strings"
	"testing"

	"lightspeed/api"
	"lightspeed/event"
	"lightspeed/run"
)

func TestReplay(t *testing.T) {
	f := start(t)
	f.listener("early", func(r *api.Registration) { r.Settings.Rules.Branches = []string{"dev"} })
	f.push("d1", "main")
	l := f.listener("late")
	dry, err := f.client.Replay(t.Context(), "d1", api.Replay{}, true)
	if err != nil || !dry.DryRun || len(dry.Runs) != 1 || dry.Runs[0] != (api.RunRef{Listener: "late"}) || len(dry.Skipped) != 1 {
		t.Fatalf("dry: %+v, %v", dry, err)
	}
	if list, err := f.client.Runs(t.Context(), api.RunFilter{}); err != nil || len(list.Items) != 0 {
		t.Fatalf("a dry run made %d runs, %v", len(list.Items), err)
	}
	for range 2 { // as often as one likes
		receipt, err := f.client.Replay(t.Context(), "d1", api.Replay{}, false)
		if err != nil || receipt.Status != api.Accepted || len(receipt.Runs) != 1 || receipt.Runs[0].Listener != "late" {
			t.Fatalf("%+v, %v", receipt, err)
		}
	}
	c := l.mustClaim()
	if c.Run.Cause != run.ByReplay || c.Delivery.ID != "d1" {
		t.Errorf("%+v", c.Run)
	}
	named, err := f.client.Replay(t.Context(), "d1", api.Replay{Listeners: []string{"early", "late", "late"}}, false)
	if err != nil || len(named.Runs) != 1 || len(named.Skipped) != 1 || named.Skipped[0].Why != "branches: saw main, want dev" {
		t.Errorf("named: %+v, %v", named, err)
	}
	_, err = f.client.Replay(t.Context(), "d1", api.Replay{Listeners: []string{"nobody"}}, false)
	f.wantCode(err, 404, api.NotFound)
}

func TestReplayOfIgnored(t *testing.T) {
	f := start(t)
	f.listener("web")
	d := event.Delivery{ID: "d1", Event: "watch", ContentType: "application/json", Body: []byte(`{"action":"started"}`)}
	if _, err := f.client.Deliver(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	if r, err := f.client.Replay(t.Context(), "d1", api.Replay{}, false); err != nil || r.Status != api.Ignored || r.Why == "" || len(r.Runs) != 0 {
		t.Errorf("%+v, %v", r, err)
	}
	if e, err := f.client.Explain(t.Context(), "d1"); err != nil || e.Status != api.Ignored || e.Why == nil || len(e.Listeners) != 0 {
		t.Errorf("%+v, %v", e, err)
	}
}

func TestRetry(t *testing.T) {
	f := start(t)
	l := f.listener("web")
	id := f.push("d1", "main").Runs[0].ID
	_, err := f.client.Retry(t.Context(), id)
	f.wantCode(err, 409, api.Conflict)
	l.finish(l.mustClaim(), run.Failed)
	again, err := f.client.Retry(t.Context(), id)
	if err != nil || again.ID == id || again.Cause != run.ByRetry || *again.RetryOf != id || again.Status != run.Queued {
		t.Fatalf("%+v, %v", again, err)
	}
	l.finish(l.mustClaim(), run.Failed)
	l.reg.Revision, l.reg.Settings.Rules.Branches = 2, []string{"dev"}
	l.register()
	_, err = f.client.Retry(t.Context(), id)
	if refused := f.wantCode(err, 409, api.Conflict); refused.Message != `listener "web" no longer matches: branches: saw main, want dev` {
		t.Error(refused.Message)
	}
	if err := f.client.RemoveListener(t.Context(), "web", true); err != nil {
		t.Fatal(err)
	}
	_, err = f.client.Retry(t.Context(), id)
	f.wantCode(err, 404, api.NotFound)
}

func TestTrigger(t *testing.T) {
	f := start(t)
	l := f.listener("web", func(r *api.Registration) {
		r.Settings.Rules.Repos, r.Settings.Rules.Branches = []string{"acme/*"}, []string{"main"}
	})
	for _, trigger := range []api.Trigger{
		{Repo: "acme/web", Branch: "dev", SHA: sha("1")}, {Repo: "acme/web", Branch: "dev", SHA: sha("1")}, {Repo: "acme/web", Tag: "v1"},
	} {
		receipt, err := f.client.Trigger(t.Context(), "web", trigger)
		if err != nil || receipt.Status != api.Accepted || len(receipt.Runs) != 1 || !strings.HasPrefix(receipt.Delivery, api.TriggerPrefix) {
			t.Fatalf("%+v, %v", receipt, err)
		}
		e, err := f.client.Explain(t.Context(), receipt.Delivery)
		if err != nil || len(e.Listeners) != 1 || !e.Listeners[0].Matched || *e.Listeners[0].Run != receipt.Runs[0].ID {
			t.Errorf("%+v, %v", e, err)
		}
	}
	c := l.mustClaim()
	if c.Run.Cause != run.ByTrigger || *c.Run.Branch != "dev" || *c.Run.SHA != sha("1") {
		t.Errorf("%+v", c.Run)
	}
	l.finish(c, run.Failed)
	if again, err := f.client.Retry(t.Context(), c.Run.ID); err != nil || again.Cause != run.ByRetry {
		t.Errorf("a retry of it: %+v, %v", again, err)
	}
	_, err := f.client.Trigger(t.Context(), "web", api.Trigger{Repo: "other/web", Branch: "main"})
	if refused := f.wantCode(err, 409, api.Conflict); refused.Message != `listener "web" is not about this repository: repos: saw other/web, want acme/*` {
		t.Error(refused.Message)
	}
	for _, wrong := range []api.Trigger{
		{Repo: "acme/web"}, {Repo: "acme/web", Branch: "a", Tag: "b"}, {Branch: "a"}, {Repo: "acme/web", Branch: "a", SHA: "nope"},
		{Repo: "acme/web", Branch: "a", SHA: strings.Repeat("0", 40)},
	} {
		_, err := f.client.Trigger(t.Context(), "web", wrong)
		f.wantCode(err, 400, api.BadRequest)
	}
}

// Explain answers by the rules of then, also for listeners that are gone.
func TestExplainAsOfThen(t *testing.T) {
	f := start(t)
	l := f.listener("web", func(r *api.Registration) { r.Settings.Rules.Branches = []string{"main"} })
	f.listener("gone")
	f.push("d1", "dev")
	l.reg.Revision, l.reg.Settings.Rules.Branches = 2, []string{"dev"}
	l.register()
	if err := f.client.RemoveListener(t.Context(), "gone", true); err != nil {
		t.Fatal(err)
	}
	f.listener("new")
	f.push("d2", "dev")
	e, err := f.client.Explain(t.Context(), "d1")
	if err != nil || e.Status != api.Accepted || len(e.Listeners) != 2 {
		t.Fatalf("%+v, %v", e, err)
	}
	if gone := e.Listeners[0]; gone.Listener != "gone" || !gone.Matched || gone.Run == nil {
		t.Errorf("%+v", gone)
	}
	if web := e.Listeners[1]; web.Listener != "web" || web.Matched || web.Why != "branches: saw dev, want main" || web.Run != nil {
		t.Errorf("%+v", web)
	}
	e, err = f.client.Explain(t.Context(), "d2")
	if err != nil || len(e.Listeners) != 2 || e.Listeners[0].Listener != "new" || !e.Listeners[1].Matched {
		t.Errorf("%+v, %v", e, err)
	}
}

func TestReleaseAndCancelOverHTTP(t *testing.T) {
	f := start(t)
	l := f.listener("web")
	first, second := f.push("d1", "main").Runs[0].ID, f.push("d2", "main").Runs[0].ID
	l.mustClaim()
	_, err := f.client.Release(t.Context(), first)
	f.wantCode(err, 409, api.Conflict)
	f.tick(31)
	if c := l.claim(); c != nil {
		t.Fatal("a lost run's slot was given away")
	}
	if r, err := f.client.Release(t.Context(), first); err != nil || r.Status != run.Lost || r.SlotHeldUntil != nil {
		t.Fatalf("%+v, %v", r, err)
	}
	if r, err := f.client.Cancel(t.Context(), second, api.Cancel{By: "ann"}); err != nil || r.Status != run.Cancelled || *r.Reason != "cancelled by ann" {
		t.Fatalf("%+v, %v", r, err)
	}
}
