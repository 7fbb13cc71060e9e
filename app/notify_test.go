package app

import (
	"context"
	"crypto/rand"
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
	client  *api.Client
	up      *process
	out     Output
}

// newTown starts the far ends. Nothing of ours runs yet.
func newTown(t *testing.T) *town {
	out, _ := quiet()
	return &town{
		t: t, discord: discordtest.New(t), github: githubtest.New(t, githubtest.Gitea, statusToken), state: t.TempDir(), out: out,
	}
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
			Addr: "127.0.0.1:0", HooksAddr: "127.0.0.1:0", State: w.state, Configs: configs, DiscordAPI: w.discord.API(), AllowIdenticalBodies: true,
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
	receipt, err := w.client.Deliver(w.t.Context(), event.Delivery{ID: "d-" + rand.Text(), Event: name, ContentType: "application/json", Body: body})
	if err != nil {
		w.t.Fatal(err)
	}
	if len(receipt.Runs) != 1 {
		w.t.Fatalf("delivery led to %+v", receipt)
	}
	return receipt.Runs[0].ID
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

// until looks again and again whether something holds, for at most 20 s.
func (w *town) until(what string, holds func() bool) {
	w.t.Helper()
	for end := time.Now().Add(20 * time.Second); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			w.t.Fatalf("within 20 s it never came that %s; messages: %+v; statuses: %+v", what, w.discord.Messages(), w.github.Statuses())
		}
	}
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
