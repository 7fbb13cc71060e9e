package web_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"lightspeed/admin/web"
	"lightspeed/event"
	"lightspeed/match"
	"lightspeed/run"
)

// TestWhyItWaits is said in the list of runs and on the run's page.
func TestWhyItWaits(t *testing.T) {
	t.Parallel()
	s := serve(t)
	m := s.listener("tests", match.Rules{})
	for range 4 { // as many as it runs at once
		s.push(event.PushSpec{Branch: "main"})
		m.take()
	}
	s.push(event.PushSpec{Branch: "dev", Message: "Not yet"})
	page := s.wants("/?status=queued", "Not yet", "4 of 4 places taken")
	s.wants("/", "4 of 4 places taken")
	_, after, _ := strings.Cut(page, `class="open" href="`)
	path, _, _ := strings.Cut(after, `"`)
	s.wants(path, "It waits for", "4 of 4 places taken")
	s.post("/listeners/tests/pause", url.Values{"note": {"moving <house>"}})
	s.wants("/", "the listener is paused by the page: moving &lt;house&gt;")
	s.wants(path, "moving &lt;house&gt;")
}

// TestWhyItFailed is said in the list of runs, beside what was pushed.
func TestWhyItFailed(t *testing.T) {
	t.Parallel()
	s := serve(t)
	m := s.listener("tests", match.Rules{})
	s.push(event.PushSpec{Branch: "main", Message: "Break it"})
	s.finish(m.take(), run.Failed, "step 2, <test>: exit status 1")
	s.wants("/", "Break it", `s-failed"><bdi>step 2, &lt;test&gt;: exit status 1`)
}

func TestWaits(t *testing.T) {
	t.Parallel()
	now := time.Now()
	there := []web.Machine{{Connected: true, Waits: "waits for lock deploy"}}
	for name, test := range map[string]struct {
		listener web.Listener
		want     string
	}{
		"its turn":         {web.Listener{Connected: true, Concurrency: 1, Machines: []web.Machine{{Connected: true}}}, ""},
		"a lock":           {web.Listener{Connected: true, Concurrency: 1, Machines: there}, "waits for lock deploy"},
		"a place":          {web.Listener{Connected: true, Concurrency: 1, Running: 1, Machines: there}, "1 of 1 places taken"},
		"a lost run":       {web.Listener{Connected: true, Concurrency: 2, Running: 1, Held: 1}, "2 of 2 places taken, 1 by runs that were lost and may still run"},
		"somebody":         {web.Listener{Concurrency: 1}, "the listener is away"},
		"who was there":    {web.Listener{Concurrency: 1, Machines: []web.Machine{{LastSeen: now.Add(-time.Hour)}, {LastSeen: now.Add(-2 * time.Minute)}}}, "the listener is away, last seen 2 min ago"},
		"newer settings":   {web.Listener{Concurrency: 1, Machines: []web.Machine{{Connected: true, Outdated: true}}}, "the listener runs with older settings than its newest: restart it"},
		"end of the pause": {web.Listener{Connected: true, Paused: &web.Paused{By: "ops", Note: "moving"}}, "the listener is paused by ops: moving"},
	} {
		if got := test.listener.Waits(now); got != test.want {
			t.Errorf("for %s: %q, want %q", name, got, test.want)
		}
	}
}

// TestTriggerForm is filled in where there is one repository, and proposes where there are more.
func TestTriggerForm(t *testing.T) {
	t.Parallel()
	s := serve(t)
	s.listener("named", match.Rules{Repos: []string{"acme/api"}, Branches: []string{"main"}})
	s.wants("/listeners/named", `value="acme/api">`, `value="main">`)
	m := s.listener("seen", match.Rules{Repos: []string{"acme/*", "!acme/docs"}})
	s.wants("/listeners/seen", `list="repos" autocomplete="off" value="">`)
	m.ran(event.PushSpec{Branch: "dev"}, run.Passed, "")
	m.ran(event.PushSpec{Branch: "a\"b"}, run.Passed, "")
	s.wants("/listeners/seen", `list="repos" autocomplete="off" value="acme/web">`, `list="refs" autocomplete="off" value="a&#34;b">`, `<option value="dev">`)
	m.ran(event.PushSpec{Repo: "acme/Other", Branch: "main"}, run.Passed, "")
	s.wants("/listeners/seen", `list="repos" autocomplete="off" value="">`, `list="refs" autocomplete="off" value="">`, `<option value="acme/web">`, `<option value="acme/Other">`)
}
