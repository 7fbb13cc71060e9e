package app

import (
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"lightspeed/api"
	"lightspeed/event"
	"lightspeed/fleet"
	"lightspeed/listener/config"
	"lightspeed/redelivery/redeliverytest"
	"lightspeed/run"
	"lightspeed/secret"
)

// TestNoPushIsMissed: hooks is away for an hour of pushes. GitHub sent each once, and sends what it is asked for late,
// twice, in another order, and only as often as its limits allow; each runs once, and those of a branch in order.
func TestNoPushIsMissed(t *testing.T) {
	folder := t.TempDir()
	s := newSite(t, recorder(t, folder))
	push := func(n int) {
		sha := fmt.Sprintf("%040x", n+1)
		s.push(n, sha, sha)
	}
	for n := range 4 {
		push(n)
	}
	s.stopHooks()
	for n := range 60 {
		push(4 + n)
	}
	s.startHooks()
	gaps, err := s.client.Gaps(t.Context())
	if err != nil || len(gaps.Hooks) != 1 || gaps.Hooks[0].Sent != 64 || len(gaps.Hooks[0].Missing) != 60 || len(gaps.Unsent) != 0 {
		t.Fatalf("gaps %+v, %v", gaps, err)
	}

	s.hub.Break(redeliverytest.Faults{ThrottleEvery: 25, Repeat: true, Delay: true})
	rounds := recoverAll(t, s.client)
	if rounds < 2 || s.hub.Resends() != 60 {
		t.Errorf("%d rounds, %d deliveries were asked for", rounds, s.hub.Resends())
	}
	s.hub.Break(redeliverytest.Faults{})
	if gaps, err = s.client.Gaps(t.Context()); err != nil || len(gaps.Hooks[0].Missing) != 0 || len(gaps.Unsent) != 0 {
		t.Errorf("gaps afterwards: %+v, %v", gaps, err)
	}
	if d, err := s.client.Delivery(t.Context(), "guid-10"); err != nil || d.RecoveredAt == nil {
		t.Errorf("a recovered one is shown as %+v, %v", d, err)
	}
	if d, err := s.client.Delivery(t.Context(), "guid-1"); err != nil || d.RecoveredAt != nil {
		t.Errorf("one that came is shown as %+v, %v", d, err)
	}
	awaitPassed(t, s.client, 64)
	s.end(folder)
}

// site is admin, which asks a GitHub for what was missed, a listener, and hooks, which can go away.
type site struct {
	t                    *testing.T
	hub                  *redeliverytest.Server
	state                string
	client               *api.Client
	at                   string // where hooks is
	admin, hooks, listen *process
	heads                map[string]string
	want                 map[string][]string // what is to run of each branch, in order
}

// newSite starts admin, and hooks with the listener.
func newSite(t *testing.T, configs []config.Config) *site {
	t.Helper()
	port, err := fleet.Port()
	if err != nil {
		t.Fatal(err)
	}
	out, ready := quiet()
	s := &site{
		t: t, hub: redeliverytest.New(t, "repos/me/my-app/hooks/7", "github", "s3cret"), state: t.TempDir(),
		at: fmt.Sprintf("127.0.0.1:%d", port), heads: map[string]string{}, want: map[string][]string{},
	}
	s.admin = start(func(stop Stop) error {
		o := testAdmin(s.state)
		o.Recover = RecoverOptions{Hooks: "me/my-app/7", Token: secret.New("github"), URL: s.hub.URL()}
		return Admin(stop, out, o)
	})
	if s.client, err = NewClient(ClientOptions{Admin: ready.wait(t, "ready admin ")}); err != nil {
		t.Fatal(err)
	}
	s.startHooks()
	s.hub.SendTo("http://" + s.at + "/receive_hook")
	s.listen = start(func(stop Stop) error {
		return Listen(stop, out, ListenOptions{Configs: configs, State: s.state, Client: ClientOptions{Admin: s.client.Base()}})
	})
	ready.wait(t, "ready listen my-app")
	return s
}

// startHooks starts hooks, at the same address each time.
func (s *site) startHooks() {
	s.t.Helper()
	out, ready := quiet()
	s.hooks = start(func(stop Stop) error {
		return Hooks(stop, out, HooksOptions{Addr: s.at, State: s.state, Secrets: []secret.Value{secret.New("s3cret")}, Client: ClientOptions{Admin: s.client.Base()}})
	})
	ready.wait(s.t, "ready hooks ")
}

// stopHooks takes hooks away.
func (s *site) stopHooks() {
	s.t.Helper()
	if err := s.hooks.stop(); err != nil {
		s.t.Fatal(err)
	}
}

// branchOf is the branch of the nth push.
func branchOf(n int) string { return []string{"main", "next"}[n%2] }

// push has GitHub send the nth push, of which a line is to be written down when it has run.
func (s *site) push(n int, sha, line string) {
	s.t.Helper()
	branch := branchOf(n)
	body, err := event.MakePush(event.PushSpec{Repo: "me/my-app", Branch: branch, SHA: sha, Before: s.heads[branch], Nonce: rand.Text()})
	if err != nil {
		s.t.Fatal(err)
	}
	s.heads[branch] = sha
	s.want[branch] = append(s.want[branch], line)
	s.hub.Push(fmt.Sprintf("guid-%d", n), "push", body)
}

// end compares what ran of each branch with what was to, and stops everything.
func (s *site) end(folder string) {
	s.t.Helper()
	for branch, want := range s.want {
		text, err := os.ReadFile(filepath.Join(folder, branch))
		if got := strings.Split(strings.TrimSpace(string(text)), "\n"); err != nil || !slices.Equal(got, want) {
			s.t.Errorf("%s ran %d, want %d, each once and in order:\n%s\nwant\n%s\n%v",
				branch, len(got), len(want), strings.Join(got, "\n"), strings.Join(want, "\n"), err)
		}
	}
	for _, p := range []*process{s.listen, s.hooks, s.admin} {
		if err := p.stop(); err != nil {
			s.t.Error(err)
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
	until(t, fmt.Sprintf("%d runs have passed", want), func() error {
		list, err := client.Runs(t.Context(), api.RunFilter{Status: run.Passed, Limit: api.MaxLimit})
		if err == nil && len(list.Items) != want {
			err = fmt.Errorf("%d have", len(list.Items))
		}
		return err
	})
}
