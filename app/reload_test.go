package app

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"lightspeed/api"
	"lightspeed/event"
	"lightspeed/listener/config"
	"lightspeed/run"
)

// swap puts a config in the place of another, as editors and git do.
func swap(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file+".new", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		t.Fatal(err)
	}
}

// reloading starts everything in one process, with a config file that is followed.
func reloading(t *testing.T, file string) (p *process, client *api.Client, asked chan os.Signal, notes, ready *lines) {
	t.Helper()
	ready, notes = &lines{more: make(chan struct{})}, &lines{more: make(chan struct{})}
	out := Output{Ready: ready, Notes: notes, Log: slog.New(slog.DiscardHandler)}
	asked = make(chan os.Signal)
	load := func() ([]config.Config, error) {
		configs, _, err := config.Load(file)
		return configs, err
	}
	configs, err := load()
	if err != nil {
		t.Fatal(err)
	}
	p = start(func(stop Stop) error {
		return Up(stop, out, UpOptions{
			Addr: "127.0.0.1:0", HooksAddr: "127.0.0.1:0", State: t.TempDir(), Configs: configs, InsecureNoSecret: true, SpoolMax: 1 << 30,
			Source: &Source{Files: []string{file}, Load: load, Asked: asked},
		})
	})
	client, err = NewClient(ClientOptions{Admin: ready.wait(t, "ready admin ")})
	if err != nil {
		t.Fatal(err)
	}
	ready.wait(t, "ready listen a")
	return p, client, asked, notes, ready
}

// TestHundredReloads: the config is swapped 100 times while 100 deliveries come in, and each is run, once.
func TestHundredReloads(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a.json")
	text := func(version int) string {
		return fmt.Sprintf(`{"name": "a", "repos": ["me/a"], "exec": "echo %d", "concurrency": 4, "share_cwd": true}`, version)
	}
	swap(t, file, text(0))
	p, client, asked, _, _ := reloading(t, file)
	for i := range 100 {
		swap(t, file, text(i+1))
		asked <- syscall.SIGHUP
		body, err := event.MakePush(event.PushSpec{Repo: "me/a", Branch: "main", Nonce: fmt.Sprint(i)})
		if err != nil {
			t.Fatal(err)
		}
		d := event.Delivery{ID: fmt.Sprint("d", i), Event: "push", ContentType: "application/json", Body: body}
		if receipt, err := client.Deliver(t.Context(), d); err != nil || len(receipt.Runs) != 1 {
			t.Fatalf("%+v, %v", receipt, err)
		}
	}
	var list api.List[run.Run]
	for passed := 0; passed < 100; time.Sleep(20 * time.Millisecond) {
		var err error
		if list, err = client.Runs(t.Context(), api.RunFilter{Limit: 200}); err != nil {
			t.Fatal(err)
		}
		passed = 0
		for _, r := range list.Items {
			if r.Status == run.Passed {
				passed++
			} else if r.Status.Ended() {
				t.Fatalf("run %s is %s: %v", r.ID, r.Status, *r.Reason)
			}
		}
	}
	for _, r := range list.Items {
		begun := 0
		for _, a := range r.Attempts {
			if a.Status != run.NotStarted {
				begun++
			}
		}
		if begun != 1 {
			t.Errorf("run %s was started %d times", r.ID, begun)
		}
	}
	if len(list.Items) != 100 {
		t.Errorf("%d runs", len(list.Items))
	}
	if err := p.stop(); err != nil {
		t.Error(err)
	}
}

// TestReload: a changed file is seen without a signal; a broken one changes nothing; listeners come and go with it.
func TestReload(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a.json")
	const a, b = `{"name": "a", "repos": ["me/a"], "exec": "true"}`, `{"name": "b", "repos": ["me/b"], "exec": "true"}`
	swap(t, file, a)
	p, client, asked, notes, ready := reloading(t, file)
	swap(t, file, "["+a+", "+b+"]")
	ready.wait(t, "ready listen b")

	swap(t, file, `{"name": "a", "exce": "true"}`)
	notes.wait(t, "lightspeed: the configs have changed and are refused; the listeners go on as they are:")
	if text := notes.String(); !strings.Contains(text, file+`:1:15: unknown key "exce"`) {
		t.Errorf("it said %s", text)
	}
	if l, err := client.Listener(t.Context(), "b"); err != nil || !l.Connected {
		t.Errorf("after a broken config: %+v, %v", l, err)
	}
	swap(t, file, b)
	asked <- syscall.SIGHUP
	notes.wait(t, "lightspeed: a: is gone from the configs, and its runs have ended;")
	swap(t, file, strings.Replace(b, "me/b", "me/c", 1))
	notes.wait(t, "lightspeed: b: works by its new config")
	if l, err := client.Listener(t.Context(), "b"); err != nil || l.Settings.Rules.Repos[0] != "me/c" {
		t.Errorf("after a change: %+v, %v", l, err)
	}
	if err := p.stop(); err != nil {
		t.Error(err)
	}
}
