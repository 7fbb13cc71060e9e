package app

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"lightspeed/api"
	"lightspeed/event"
	"lightspeed/notify/discord/discordtest"
	"lightspeed/run"
)

// What /metrics of `up` says is what has happened: deliveries, runs by their ends, starts, output, and people who could and
// could not be told.
func TestNumbersAreWhatHappened(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	w.discord.Before(func(*http.Request) *discordtest.Answer {
		return &discordtest.Answer{Status: http.StatusForbidden, Body: `{"message":"Missing Access","code":50001}`}
	})
	w.start(w.configs(`[
		{"name": "good", "repos": ["acme/site"], "cwd": "/", "exec": "echo hello"},
		{"name": "bad", "repos": ["acme/site"], "cwd": "/", "exec": "echo no; exit 3", "discord_hook": "` + w.discord.Hook() + `"},
		{"name": "none", "repos": ["acme/site"], "cwd": "/", "exec": [["/nowhere/at/all"]]}
	]`))
	body, err := event.MakePush(event.PushSpec{Repo: "acme/site", Branch: "main", SHA: commitOfMain})
	if err != nil {
		t.Fatal(err)
	}
	var bytes int64
	for range 2 {
		for _, ref := range w.delivered("push", body) {
			bytes += w.ended(ref.ID).LogBytes
		}
	}
	w.until("it is known how the notices went", func() bool {
		list, err := w.client.Runs(t.Context(), api.RunFilter{Listener: "bad"})
		return err == nil && len(list.Items) == 2 && settled(list.Items[0]) && settled(list.Items[1])
	})
	want := map[string]string{
		`lightspeed_admin_deliveries_total{answer="accepted"}`:                     "2",
		`lightspeed_admin_accept_seconds_count`:                                    "2",
		`lightspeed_admin_runs_total{status="passed"}`:                             "2",
		`lightspeed_admin_runs_total{status="failed"}`:                             "2",
		`lightspeed_admin_runs_total{status="errored"}`:                            "2",
		`lightspeed_admin_claim_seconds_count`:                                     "6",
		`lightspeed_admin_leases_lost_total`:                                       "0",
		`lightspeed_admin_log_bytes_total`:                                         strconv.FormatInt(bytes, 10),
		`lightspeed_admin_queued_runs{listener="bad"}`:                             "0",
		`lightspeed_admin_oldest_queued_seconds{listener="bad"}`:                   "0",
		`lightspeed_admin_listener_connected{listener="none"}`:                     "1",
		`lightspeed_listener_attempts_total{listener="good",status="passed"}`:      "2",
		`lightspeed_listener_attempts_total{listener="bad",status="failed"}`:       "2",
		`lightspeed_listener_attempts_total{listener="none",status="errored"}`:     "2",
		`lightspeed_listener_start_seconds_count{listener="good"}`:                 "2",
		`lightspeed_listener_reconnects_total`:                                     "0",
		`lightspeed_hooks_spool_deliveries`:                                        "0",
		`lightspeed_admin_notices_total{status="` + string(run.ToldToNoOne) + `"}`: "2",
	}
	got := w.numbers()
	for name, value := range want {
		if got[name] != value {
			t.Errorf("%s is %q, want %s", name, got[name], value)
		}
	}
	if err := w.stop(); err != nil {
		t.Error(err)
	}
}

// settled reports whether it is known of a run that nobody will be told of its end.
func settled(r run.Run) bool {
	return len(r.Notices) == 1 && r.Notices[0].Status == run.ToldToNoOne
}

// numbers reads /metrics, by the text before the value.
func (w *town) numbers() map[string]string {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, w.client.Base()+"/metrics", nil)
	if err != nil {
		w.t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		w.t.Fatalf("%d %s, %v", answer.StatusCode, text, err)
	}
	found := map[string]string{}
	for line := range strings.Lines(string(text)) {
		if at := strings.LastIndexByte(line, ' '); at > 0 {
			found[line[:at]] = strings.TrimSpace(line[at:])
		}
	}
	return found
}
