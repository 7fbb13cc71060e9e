package app

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lightspeed/api"
	"lightspeed/event"
	"lightspeed/listener/config"
	"lightspeed/notify/commitstatus/githubtest"
	"lightspeed/notify/discord/discordtest"
	"lightspeed/run"
)

const statusToken = "ghp_statusTokenOfTheTests"

// town is an `up` whose listeners tell a Discord and a GitHub that the test has in hand.
type town struct {
	t       *testing.T
	discord *discordtest.Server
	github  *githubtest.Server
	state   string
	api     string // where Discord's calls go
	client  *api.Client
	up      *process
	out     Output
}

// newTown starts the far ends. Nothing of ours runs yet.
func newTown(t *testing.T) *town {
	out, _ := quiet()
	w := &town{
		t: t, discord: discordtest.New(t), github: githubtest.New(t, githubtest.Gitea, statusToken), state: t.TempDir(), out: out,
	}
	w.api = w.discord.API()
	return w
}

// configs loads what a config file would say; GITHUB and TOKEN stand for the town's own.
func (w *town) configs(text string) []config.Config {
	w.t.Helper()
	text = strings.NewReplacer("GITHUB", w.github.URL(), "TOKEN", statusToken).Replace(text)
	file := filepath.Join(w.t.TempDir(), "config.json")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
	configs, _, err := config.Load(file)
	if err != nil {
		w.t.Fatal(err)
	}
	return configs
}

// start starts everything, and waits until the listeners listen.
func (w *town) start(configs []config.Config) {
	w.t.Helper()
	ready := &lines{more: make(chan struct{})}
	out := w.out
	out.Ready = ready
	w.up = start(func(stop Stop) error {
		return Up(stop, out, UpOptions{
			Addr: "127.0.0.1:0", HooksAddr: "127.0.0.1:0", State: w.state, Configs: configs, DiscordAPI: w.api, AllowIdenticalBodies: true,
			PublicURL: "https://ci.example.com/",
		})
	})
	w.t.Cleanup(func() { _ = w.stop() })
	var err error
	if w.client, err = NewClient(ClientOptions{Admin: ready.wait(w.t, "ready admin ")}); err != nil {
		w.t.Fatal(err)
	}
	for _, c := range configs {
		ready.wait(w.t, "ready listen "+c.Rules.Name)
	}
}

func (w *town) stop() error {
	if w.up == nil {
		return nil
	}
	up := w.up
	w.up = nil
	return up.stop()
}

// push delivers a push and returns its one run.
func (w *town) push(spec event.PushSpec) string {
	w.t.Helper()
	body, err := event.MakePush(spec)
	if err != nil {
		w.t.Fatal(err)
	}
	return w.deliver("push", body)
}

func (w *town) deliver(name string, body []byte) string {
	w.t.Helper()
	runs := w.delivered(name, body)
	if len(runs) != 1 {
		w.t.Fatalf("delivery led to %+v", runs)
	}
	return runs[0].ID
}

// delivered hands in a delivery and returns all its runs.
func (w *town) delivered(name string, body []byte) []api.RunRef {
	w.t.Helper()
	receipt, err := w.client.Deliver(w.t.Context(), event.Delivery{ID: "d-" + rand.Text(), Event: name, ContentType: "application/json", Body: body})
	if err != nil {
		w.t.Fatal(err)
	}
	return receipt.Runs
}

// ended waits for the end of a run.
func (w *town) ended(id string) run.Run {
	w.t.Helper()
	var r run.Run
	w.until("run "+id+" ends", func() bool {
		var err error
		if r, err = w.client.Run(context.Background(), id); err != nil {
			w.t.Fatal(err)
		}
		return r.Status.Ended()
	})
	return r
}

// until looks again and again whether something holds.
func (w *town) until(what string, holds func() bool) {
	w.t.Helper()
	until(w.t, what, func() error {
		if !holds() {
			return fmt.Errorf("messages: %+v; statuses: %+v", w.discord.Messages(), w.github.Statuses())
		}
		return nil
	})
}

// told waits until Discord has n messages and the last one's title ends with verb.
func (w *town) told(n int, verb string) discordtest.Message {
	w.t.Helper()
	var last discordtest.Message
	w.until("there are messages, the last of them: "+verb, func() bool {
		all := w.discord.Messages()
		if len(all) > n {
			w.t.Fatalf("%d messages, want %d: %+v", len(all), n, all)
		}
		if len(all) == n {
			last = all[n-1]
		}
		return len(all) == n && strings.HasSuffix(last.Embeds[0].Title, verb)
	})
	return last
}

const commitOfMain = "1a2b3c4d5e6f7a8b9c0d1a2b3c4d5e6f7a8b9c0d"

// A run is one message, posted when it starts and edited when it ends, and one status on its commit. Who is to be
// called is called by the end, once.
func TestRunIsTold(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	w.github.Commit("acme/site", commitOfMain)
	gate := filepath.Join(t.TempDir(), "gate")
	w.start(w.configs(`{
		"name": "site", "repos": ["acme/site"], "cwd": "/",
		"exec": ["echo begun", "while [ ! -e ` + gate + ` ]; do sleep 0.02; done; echo '@everyone broke it' && exit 7"],
		"discord_hook": "` + strings.Replace(w.discord.Hook(), "discord.com", "ptb.discordapp.com", 1) + `", "discord_notify": "@here <@&80351110224678912>",
		"github_status_token": "TOKEN", "github_url": "GITHUB",
	}`))
	id := w.push(event.PushSpec{Repo: "acme/site", Branch: "main", SHA: commitOfMain, Message: "Fix @everyone's login", Pusher: "ann"})
	m := w.told(1, "site is running")
	if m.Called != nil || !strings.Contains(m.Body, "login") {
		t.Errorf("the start called %v: %s", m.Called, m.Body)
	}
	w.until("the status is pending", func() bool { return len(w.github.Statuses()) == 1 })

	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if r := w.ended(id); r.Status != run.Failed {
		t.Fatalf("run: %+v", r)
	}
	call := w.told(2, "site failed")
	edited := w.discord.Messages()[0]
	if edited.ID != m.ID || edited.Edits != 1 || edited.Called != nil || !strings.HasSuffix(edited.Embeds[0].Title, "site failed") {
		t.Errorf("the first message: %+v", edited)
	}
	for _, part := range []string{"step 2", "exit status 7", "broke it", "begun", id} {
		if !strings.Contains(edited.Body, part) {
			t.Errorf("%q is not in %s", part, edited.Body)
		}
	}
	if got := strings.Join(call.Called, ", "); got != "role 80351110224678912, @here" {
		t.Errorf("called %s", got)
	}
	w.until("the status is failure", func() bool { return len(w.github.Statuses()) == 2 })
	for i, s := range w.github.Statuses() {
		if s.SHA != commitOfMain || s.Repo != "acme/site" || s.Context != "lightspeed/site" || s.State != []string{"pending", "failure"}[i] {
			t.Errorf("status %d: %+v", i, s)
		}
	}
	if refused := w.discord.Refused(); refused != nil {
		t.Errorf("refused: %q", refused)
	}
	if err := w.stop(); err != nil {
		t.Error(err)
	}
}

// onMessage runs commands that fail when the push's message is "fail".
const onMessage = `["! grep -q '\"message\":\"fail\"' \"$LIGHTSPEED_PAYLOAD_FILE\""]`

// What is told by each rule of notify_on: a run that ends as the one before is no change, and a recovery is always told.
func TestNotifyOn(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	var rules []string
	hooks := map[string]string{}
	for _, when := range []string{"always", "change", "failure"} {
		hook := w.discord.Hook()
		hooks[strings.Split(hook, "/")[5]] = when
		rules = append(rules, `{"name": "`+when+`", "repos": ["acme/*"], "exec": `+onMessage+`, "cwd": "/",
			"discord_hook": "`+hook+`", "discord_notify": "@here", "notify_on": "`+when+`"}`)
	}
	w.start(w.configs("[" + strings.Join(rules, ",") + "]"))
	for _, message := range []string{"ok", "ok", "fail", "fail", "ok", "ok"} {
		body, err := event.MakePush(event.PushSpec{Repo: "acme/site", Branch: "main", Message: message, Nonce: rand.Text()})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range w.delivered("push", body) {
			w.ended(r.ID)
		}
	}
	want := map[string]string{
		"always":  "passed passed failed failed passed again passed",
		"change":  "passed failed passed again",
		"failure": "failed failed passed again",
	}
	got := map[string]string{}
	w.until("everything is told", func() bool {
		got = map[string]string{}
		calls := map[string]int{}
		for _, m := range w.discord.Messages() {
			when := hooks[m.Hook]
			if calls[when] += len(m.Called); m.Embeds[0].Footer.Text == "" { // one that only calls
				continue
			}
			_, verb, _ := strings.Cut(m.Embeds[0].Title, " "+when+" ")
			got[when] = strings.TrimSpace(got[when] + " " + verb)
		}
		return got["always"] == want["always"] && got["change"] == want["change"] && got["failure"] == want["failure"] &&
			calls["always"] == 6 && calls["change"] == 3 && calls["failure"] == 3
	})
}

// 50 runs within a second or so, at a Discord that takes 5 calls a tenth of a second: each has one message, in the order
// of the runs, hardly a call is made in vain, and the listener's work takes no longer than where nobody is told.
func TestFiftyRunsAreTold(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	w.discord.Limit(5, 100*time.Millisecond)
	w.start(w.configs(`[
		{"name": "silent", "repos": ["acme/silent"], "exec": "true", "cwd": "/"},
		{"name": "told", "repos": ["acme/told"], "exec": "true", "cwd": "/", "discord_hook": "` + w.discord.Hook() + `"}
	]`))
	fifty := func(repo string) (ids []string, took time.Duration) {
		start := time.Now()
		for range 50 {
			ids = append(ids, w.push(event.PushSpec{Repo: repo, Branch: "main", Nonce: rand.Text()}))
		}
		for _, id := range ids {
			if r := w.ended(id); r.Status != run.Passed {
				t.Errorf("run %s: %+v", id, r)
			}
		}
		return ids, time.Since(start)
	}
	_, silent := fifty("acme/silent")
	ids, told := fifty("acme/told")
	t.Logf("50 runs took %v where nobody is told, %v where Discord is", silent, told)
	if told > 3*silent+3*time.Second {
		t.Errorf("50 runs took %v, and %v where nobody is told", told, silent)
	}
	w.until("all are told", func() bool {
		messages := w.discord.Messages()
		for _, m := range messages {
			if !strings.HasSuffix(m.Embeds[0].Title, "told passed") {
				return false
			}
		}
		return len(messages) == 50
	})
	for i, m := range w.discord.Messages() {
		if want := "https://ci.example.com/runs/" + ids[i]; m.Embeds[0].URL != want {
			t.Errorf("message %d is about %s, not %s", i, m.Embeds[0].URL, want)
		}
	}
	if n := w.discord.Requests(); n > 104 || w.discord.Refused() != nil {
		t.Errorf("%d calls, refused %q", n, w.discord.Refused())
	}
}

// The status is set on the commit that is built: an annotated tag's own, a pull request's head in the repository that it
// is to be merged into. What has no commit has no status.
func TestStatusIsOnTheRightCommit(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	w.start(w.configs(`{"name": "all", "repos": ["**"], "events": ["push", "pull_request"], "deletes": true, "forks": "always", "exec": "true", "cwd": "/",
		"github_status_token": "TOKEN", "github_url": "GITHUB"}`))
	for _, c := range []struct{ file, name, repo, sha string }{
		{"push-delete.json", "push", "", ""},
		{"push-annotated-tag.json", "push", "Octocoders/Hello-World", "ad782ecdac770fc6eb9a62e44f90873fb97fb26b"},
		{"pull_request-opened.json", "pull_request", "Octocoders/Hello-World", "ad782ecdac770fc6eb9a62e44f90873fb97fb26b"},
		{"pull_request-from-fork.json", "pull_request", "Octocoders/Hello-World", "ad782ecdac770fc6eb9a62e44f90873fb97fb26b"},
	} {
		body, err := os.ReadFile(filepath.Join("..", "testdata", "deliveries", c.file))
		if err != nil {
			t.Fatal(err)
		}
		if c.repo != "" {
			w.github.Commit(c.repo, c.sha)
		}
		before := len(w.github.Statuses())
		if r := w.ended(w.deliver(c.name, body)); r.Status != run.Passed {
			t.Errorf("%s: %+v", c.file, r)
		}
		if c.repo == "" {
			continue
		}
		w.until(c.file+" succeeds", func() bool {
			all := w.github.Statuses()[before:]
			return len(all) > 0 && all[len(all)-1].State == "success"
		})
		for _, s := range w.github.Statuses()[before:] {
			if s.Repo != c.repo || s.SHA != c.sha || s.Context != "lightspeed/all" || !strings.HasPrefix(s.TargetURL, "https://ci.example.com/runs/") {
				t.Errorf("%s: %+v", c.file, s)
			}
		}
	}
}

// Hours without a network, and a restart in between, lose nothing; what waits is seen on the run, in the end that it was
// told.
func TestWithoutNetwork(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	configs := w.configs(`{"name": "site", "repos": ["acme/*"], "exec": ` + onMessage + `, "cwd": "/", "discord_hook": "` + w.discord.Hook() + `"}`)
	w.api = "http://127.0.0.1:1/api/v10"
	w.start(configs)
	for _, message := range []string{"ok", "fail", "ok"} {
		w.ended(w.push(event.PushSpec{Repo: "acme/site", Branch: "main", Message: message, Nonce: rand.Text()}))
	}
	if err := w.stop(); err != nil {
		t.Fatal(err)
	}
	w.api = w.discord.API()
	w.start(configs)
	w.until("all are told, in order", func() bool {
		var titles []string
		for _, m := range w.discord.Messages() {
			_, verb, _ := strings.Cut(m.Embeds[0].Title, " site ")
			titles = append(titles, verb)
		}
		return strings.Join(titles, ", ") == "passed, failed, passed again"
	})
}

// A webhook that was deleted fails no run; the run says what to do about it.
func TestNoticeThatFailedIsSeenOnTheRun(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	configs := w.configs(`{"name": "site", "repos": ["acme/*"], "exec": "true", "cwd": "/", "discord_hook": "` + w.discord.Hook() + `"}`)
	w.discord.DeleteHooks()
	w.start(configs)
	id := w.push(event.PushSpec{Repo: "acme/site", Branch: "main"})
	w.until("the run shows it", func() bool {
		r, err := w.client.Run(t.Context(), id)
		return err == nil && r.Status == run.Passed && len(r.Notices) == 1
	})
	r, err := w.client.Run(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if n := r.Notices[0]; n.Target != "discord" || n.Status != run.ToldToNoOne || n.Error == nil || !strings.Contains(*n.Error, "Unknown Webhook") || n.Hint == nil {
		t.Errorf("%+v", n)
	}
}
