package app

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"lightspeed/api"
	"lightspeed/event"
	"lightspeed/listener/config"
	"lightspeed/redelivery/redeliverytest"
	"lightspeed/run"
	"lightspeed/secret"
)

// TestNoPushIsMissed: hooks is away for an hour of pushes. GitHub sent each once, and sends what it is asked for late,
// twice, in another order, and only as often as its limits allow; each runs once, and those of a branch in order.
func TestNoPushIsMissed(t *testing.T) {
	out, ready := quiet()
	state, folder := t.TempDir(), t.TempDir()
	hub := redeliverytest.New(t, "repos/me/my-app/hooks/7", "github", "s3cret")
	admin := start(func(stop Stop) error {
		o := testAdmin(state)
		o.Recover = RecoverOptions{Hooks: "me/my-app/7", Token: secret.New("github"), URL: hub.URL()}
		return Admin(stop, out, o)
	})
	client, err := NewClient(ClientOptions{Admin: ready.wait(t, "ready admin ")})
	if err != nil {
		t.Fatal(err)
	}
	listen := start(func(stop Stop) error {
		return Listen(stop, out, ListenOptions{Configs: recorder(t, folder), State: state, Client: ClientOptions{Admin: client.Base()}})
	})
	ready.wait(t, "ready listen my-app")
	hooksAt := func(addr string) (*process, string) {
		out, ready := quiet()
		p := start(func(stop Stop) error {
			return Hooks(stop, out, HooksOptions{Addr: addr, State: state, Secrets: []secret.Value{secret.New("s3cret")}, Client: ClientOptions{Admin: client.Base()}})
		})
		return p, ready.wait(t, "ready hooks ")
	}
	hooks, at := hooksAt("127.0.0.1:0")
	hub.SendTo(at + "/receive_hook")

	want := map[string][]string{}
	heads := map[string]string{}
	push := func(n int) {
		branch := []string{"main", "next"}[n%2]
		sha := fmt.Sprintf("%040x", n+1)
		body, err := event.MakePush(event.PushSpec{Repo: "me/my-app", Branch: branch, SHA: sha, Before: heads[branch], Nonce: fmt.Sprint(n)})
		if err != nil {
			t.Fatal(err)
		}
		heads[branch] = sha
		want[branch] = append(want[branch], sha)
		hub.Push(fmt.Sprintf("guid-%d", n), "push", body)
	}
	for n := range 4 {
		push(n)
	}
	if err := hooks.stop(); err != nil {
		t.Fatal(err)
	}
	for n := range 60 {
		push(4 + n)
	}
	u, err := url.Parse(at)
	if err != nil {
		t.Fatal(err)
	}
	hooks, _ = hooksAt(u.Host)
	gaps, err := client.Gaps(t.Context())
	if err != nil || len(gaps.Hooks) != 1 || gaps.Hooks[0].Sent != 64 || len(gaps.Hooks[0].Missing) != 60 || len(gaps.Unsent) != 0 {
		t.Fatalf("gaps %+v, %v", gaps, err)
	}

	hub.Break(redeliverytest.Faults{ThrottleEvery: 25, Repeat: true, Delay: true})
	rounds := recoverAll(t, client)
	if rounds < 2 || hub.Resends() != 60 {
		t.Errorf("%d rounds, %d deliveries were asked for", rounds, hub.Resends())
	}
	hub.Break(redeliverytest.Faults{})
	if gaps, err = client.Gaps(t.Context()); err != nil || len(gaps.Hooks[0].Missing) != 0 || len(gaps.Unsent) != 0 {
		t.Errorf("gaps afterwards: %+v, %v", gaps, err)
	}
	if d, err := client.Delivery(t.Context(), "guid-10"); err != nil || d.RecoveredAt == nil {
		t.Errorf("a recovered one is shown as %+v, %v", d, err)
	}
	if d, err := client.Delivery(t.Context(), "guid-1"); err != nil || d.RecoveredAt != nil {
		t.Errorf("one that came is shown as %+v, %v", d, err)
	}
	awaitPassed(t, client, 64)
	for branch, shas := range want {
		text, err := os.ReadFile(filepath.Join(folder, branch))
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Fields(string(text)); !slices.Equal(got, shas) {
			t.Errorf("%s ran %d, want %d, each once and in order:\n%s", branch, len(got), len(shas), strings.Join(got, "\n"))
		}
	}
	for _, p := range []*process{listen, hooks, admin} {
		if err := p.stop(); err != nil {
			t.Error(err)
		}
	}
}

// recorder is a listener that writes down which commits ran, a file a branch.
func recorder(t *testing.T, folder string) []config.Config {
	t.Helper()
	file := filepath.Join(folder, "job.json")
	text := fmt.Sprintf(`{"name": "my-app", "repos": ["me/my-app"], "exec": "echo $LIGHTSPEED_SHA >> $LIGHTSPEED_BRANCH", "cwd": %q}`, folder)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	configs, _, err := config.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	return configs
}

// recoverAll asks admin for rounds until nothing is missing, and counts them.
func recoverAll(t *testing.T, client *api.Client) int {
	t.Helper()
	for round := 1; round <= 100; round++ {
		found, err := client.Recover(t.Context(), false)
		if err != nil {
			t.Fatal(err)
		}
		if h := found.Hooks[0]; h.Error == nil {
			return round
		} else if !strings.Contains(*h.Error, "GitHub takes no more requests") {
			t.Fatal(*h.Error)
		}
		time.Sleep(100 * time.Millisecond) // GitHub's patience
	}
	t.Fatal("deliveries are missing after 100 rounds")
	return 0
}

func awaitPassed(t *testing.T, client *api.Client, want int) {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; {
		list, err := client.Runs(t.Context(), api.RunFilter{Status: run.Passed, Limit: api.MaxLimit})
		if err != nil {
			t.Fatal(err)
		}
		if len(list.Items) == want {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%d runs have passed, want %d", len(list.Items), want)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
