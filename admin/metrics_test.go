package admin

import (
	"strings"
	"testing"

	"lightspeed/api"
	"lightspeed/event"
	"lightspeed/run"
)

// numbers reads /metrics, by the text before the value.
func (f *fixture) numbers() map[string]string {
	f.Helper()
	status, text := f.call("GET", "/metrics", "")
	if status != 200 {
		f.Fatalf("status %d: %s", status, text)
	}
	found := map[string]string{}
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), "} "); ok {
			found[name+"}"] = value
		} else if name, value, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
			found[name] = value
		}
	}
	return found
}

func TestMetrics(t *testing.T) {
	f := start(t)
	l := f.listener("web")
	l.ran("d1", "hello\n")
	f.push("d1", "main")
	if _, err := f.client.Deliver(t.Context(), delivery(t, "", event.PushSpec{Repo: "acme/web", Branch: "main"})); err == nil {
		t.Error("a delivery without an id was taken")
	}
	f.push("d2", "main")
	f.push("d3", "main")
	c := l.mustClaim()
	if _, err := f.client.Cancel(t.Context(), f.push("d4", "main").Runs[0].ID, api.Cancel{}); err != nil {
		t.Fatal(err)
	}
	got := f.numbers()
	for name, want := range map[string]string{
		`lightspeed_admin_deliveries_total{answer="accepted"}`:    "4",
		`lightspeed_admin_deliveries_total{answer="duplicate"}`:   "1",
		`lightspeed_admin_deliveries_total{answer="bad_request"}`: "1",
		`lightspeed_admin_accept_seconds_count`:                   "4",
		`lightspeed_admin_runs_total{status="passed"}`:            "1",
		`lightspeed_admin_runs_total{status="cancelled"}`:         "1",
		`lightspeed_admin_claim_seconds_count`:                    "2",
		`lightspeed_admin_log_bytes_total`:                        "6",
		`lightspeed_admin_leases_lost_total`:                      "0",
		`lightspeed_admin_queued_runs{listener="web"}`:            "1",
		`lightspeed_admin_listener_connected{listener="web"}`:     "1",
	} {
		if got[name] != want {
			t.Errorf("%s is %q, want %s", name, got[name], want)
		}
	}
	if age := got[`lightspeed_admin_oldest_queued_seconds{listener="web"}`]; age == "0" || age == "" {
		t.Errorf("the oldest waits for %q", age)
	}
	f.tick(f.server.leases.full + 1)
	f.wantRun(c.Run.ID, run.Lost, "listener on box was not heard of for 30s")
	got = f.numbers()
	if got["lightspeed_admin_leases_lost_total"] != "1" || got[`lightspeed_admin_listener_connected{listener="web"}`] != "0" {
		t.Errorf("after its lease: %s lost, connected %s", got["lightspeed_admin_leases_lost_total"], got[`lightspeed_admin_listener_connected{listener="web"}`])
	}
}
