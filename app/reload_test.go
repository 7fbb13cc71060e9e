package app

import (
	"errors"
	"fmt"
	"io"
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
	"lightspeed/notify/discord/discordtest"
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

// world is everything in one process, with a config file that is followed.
type world struct {
	*process
	client *api.Client
	file   string
	state  string
	asked  chan os.Signal
	notes  *lines
	ready  *lines
}

// reloading starts a world of the listener "a".
func reloading(t *testing.T, text string) *world { return reloadingWith(t, text, "") }

// reloadingWith is reloading with a Discord.
func reloadingWith(t *testing.T, text, discord string) *world {
	t.Helper()
	w := &world{
		file: filepath.Join(t.TempDir(), "a.json"), state: t.TempDir(), asked: make(chan os.Signal),
		notes: &lines{more: make(chan struct{})}, ready: &lines{more: make(chan struct{})},
	}
	swap(t, w.file, text)
	load := func() ([]config.Config, error) {
		configs, _, err := config.Load(w.file)
		return configs, err
	}
	source := NewSource([]string{w.file}, load, w.asked)
	configs, err := load()
	if err != nil {
		t.Fatal(err)
	}
	out := Output{Ready: w.ready, Notes: w.notes, Log: slog.New(slog.DiscardHandler)}
	w.process = start(func(stop Stop) error {
		return Up(stop, out, UpOptions{
			Addr: "127.0.0.1:0", HooksAddr: "127.0.0.1:0", State: w.state, Configs: configs, InsecureNoSecret: true, SpoolMax: 1 << 30,
			Source: source, DiscordAPI: discord,
		})
	})
	t.Cleanup(w.end)
	w.client, err = NewClient(ClientOptions{Admin: w.ready.wait(t, "ready admin ")})
	if err != nil {
		t.Fatal(err)
	}
	w.ready.wait(t, "ready listen a")
	return w
}

// reload puts a text in the config's place, and asks that it be read.
func (w *world) reload(t *testing.T, text string) {
	t.Helper()
	swap(t, w.file, text)
	select {
	case w.asked <- syscall.SIGHUP:
	case <-time.After(patience):
		t.Fatalf("within %v nobody took the signal to read the configs", patience)
	}
}

// push hands in a delivery that is to lead to one run, and returns that.
func (w *world) push(t *testing.T, id, branch string) string {
	t.Helper()
	body, err := event.MakePush(event.PushSpec{Repo: "me/a", Branch: branch, Nonce: id})
	if err != nil {
		t.Fatal(err)
	}
	receipt, err := w.client.Deliver(t.Context(), event.Delivery{ID: id, Event: "push", ContentType: "application/json", Body: body})
	if err != nil || len(receipt.Runs) != 1 {
		t.Fatalf("%+v, %v", receipt, err)
	}
	return receipt.Runs[0].ID
}

// ended waits for the end of a run.
func (w *world) ended(t *testing.T, id string) (r run.Run) {
	t.Helper()
	until(t, "run "+id+" ends", func() (err error) {
		if r, err = w.client.Run(t.Context(), id); err == nil && !r.Status.Ended() {
			err = fmt.Errorf("it is %s", r.Status)
		}
		return err
	})
	return r
}

// begun waits until a run has printed something: at admin it runs before the listener has begun it.
func (w *world) begun(t *testing.T, id string) {
	t.Helper()
	until(t, "run "+id+" begins", func() error {
		if w.log(t, id) == "" {
			return errors.New("it has printed nothing")
		}
		return nil
	})
}

// log is what a run has printed.
func (w *world) log(t *testing.T, id string) string {
	t.Helper()
	body, err := w.client.Log(t.Context(), id, api.LogQuery{})
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	text, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// version is a config whose rules, and what it prints, say which it is.
func version(n int) string {
	return fmt.Sprintf(`{"name": "a", "repos": ["me/a"], "branches": ["main", "v%d"], "exec": "echo %d", "concurrency": 4, "share_cwd": true}`, n, n)
}

// inForce is the version whose rules hold at admin.
func (w *world) inForce(t *testing.T) (n int) {
	t.Helper()
	l, err := w.client.Listener(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Sscanf(l.Settings.Rules.Branches[1], "v%d", &n); err != nil {
		t.Fatal(err)
	}
	return n
}

// TestHundredReloads: the config is swapped 100 times while 100 deliveries come in. Each is run, once, by no older config
// than the one that held when it came in, and at the end the newest holds, and nothing is left over.
func TestHundredReloads(t *testing.T) {
	w := reloading(t, version(0))
	atLeast, ids := map[string]int{}, []string{}
	for i := range 100 {
		w.reload(t, version(i+1))
		held := w.inForce(t)
		id := w.push(t, fmt.Sprint("d", i), "main")
		ids, atLeast[id] = append(ids, id), held
	}
	for _, id := range ids {
		r, by := w.ended(t, id), 0
		if r.Status != run.Passed {
			t.Fatalf("run %s is %s: %v", id, r.Status, *r.Reason)
		}
		if _, err := fmt.Sscanln(w.log(t, id), &by); err != nil || by < atLeast[id] || by > 100 {
			t.Errorf("run %s was run by version %d, and came in under %d: %v", id, by, atLeast[id], err)
		}
		begun := 0
		for _, a := range r.Attempts {
			if a.Status != run.NotStarted {
				begun++
			}
		}
		if begun != 1 {
			t.Errorf("run %s was started %d times", id, begun)
		}
	}
	until(t, "the newest config holds", func() error {
		if n := w.inForce(t); n != 100 {
			return fmt.Errorf("version %d of 100 holds", n)
		}
		return nil
	})
	if l, err := w.client.Listener(t.Context(), "a"); err != nil || len(l.Instances) != 1 || !l.Connected || l.Queued+l.Running+l.Held > 0 {
		t.Errorf("%+v, %v", l, err)
	}
	if list, err := w.client.Runs(t.Context(), api.RunFilter{Limit: 200}); err != nil || len(list.Items) != 100 {
		t.Errorf("%d runs, %v", len(list.Items), err)
	}
	if err := w.stop(); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(filepath.Join(w.state, "listener", "a", "attempts")); err != nil || len(left) > 0 {
		t.Errorf("the journal holds %v, %v", left, err)
	}
}

// TestSwapWhileARunGoesOn: new rules and a new concurrency hold at once, and the run keeps the config that it started with.
func TestSwapWhileARunGoesOn(t *testing.T) {
	gate := filepath.Join(t.TempDir(), "gate")
	w := reloading(t, fmt.Sprintf(
		`{"name": "a", "repos": ["me/a"], "exec": ["echo begun; while [ ! -e %s ]; do sleep 0.02; done", "echo $V"], "env": {"V": "old"}}`, gate))
	first := w.push(t, "d1", "main")
	w.begun(t, first)
	unwanted := w.push(t, "d2", "dev")
	w.reload(t, fmt.Sprintf(
		`{"name": "a", "repos": ["me/a"], "branches": ["main"], "exec": "echo $V", "env": {"V": "new"}, "concurrency": 2, "share_cwd": true, "cwd": %q}`, t.TempDir()))
	w.notes.wait(t, "lightspeed: a: works by its changed config; runs that are under way keep theirs")

	r := w.ended(t, unwanted)
	if want := "the listener's rules have changed and no longer match: "; r.Status != run.Cancelled || !strings.HasPrefix(*r.Reason, want) {
		t.Errorf("a run that waited is %s: %s", r.Status, *r.Reason)
	}
	second := w.push(t, "d3", "main")
	if r := w.ended(t, second); r.Status != run.Passed || w.log(t, second) != "new\n" {
		t.Errorf("by the new config: %s, %q", r.Status, w.log(t, second))
	}
	if r, err := w.client.Run(t.Context(), first); err != nil || r.Status != run.Running {
		t.Errorf("the run that was under way is %s, %v", r.Status, err)
	}
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if r := w.ended(t, first); r.Status != run.Passed || w.log(t, first) != "begun\nold\n" {
		t.Errorf("the run that was under way: %s, %q", r.Status, w.log(t, first))
	}
	if err := w.stop(); err != nil {
		t.Error(err)
	}
}

// TestSwapOfWhoIsTold: the end of a run is told where its start was, and later runs to whom the new config names.
func TestSwapOfWhoIsTold(t *testing.T) {
	discord := discordtest.New(t)
	gate := filepath.Join(t.TempDir(), "gate")
	told := func(exec, hook string) string {
		return fmt.Sprintf(`{"name": "a", "repos": ["me/a"], "exec": %q, "discord_hook": %q}`, exec, hook)
	}
	w := reloadingWith(t, told("while [ ! -e "+gate+" ]; do sleep 0.02; done", discord.Hook()), discord.API())
	first := w.push(t, "d1", "main")
	titles := func(title string, want int) {
		t.Helper()
		until(t, "Discord is told", func() error {
			text := ""
			for _, m := range discord.Messages() {
				text += m.Embeds[0].Title + "\n"
			}
			if strings.Count(text, title) != want {
				return fmt.Errorf("%q, want %d times %q", text, want, title)
			}
			return nil
		})
	}
	titles("\n", 1)
	w.reload(t, told("true", discord.Hook()))
	w.notes.wait(t, "lightspeed: a: works by its changed config")
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	w.ended(t, first)
	w.ended(t, w.push(t, "d2", "main"))
	titles("passed", 2)
	if all := discord.Messages(); len(all) != 2 || all[0].Hook == all[1].Hook {
		t.Errorf("told %+v", all)
	}
	if err := w.stop(); err != nil {
		t.Error(err)
	}
}

// TestReload: a changed file is seen without a signal; a broken one changes nothing; listeners come and go with it.
func TestReload(t *testing.T) {
	const a, b = `{"name": "a", "repos": ["me/a"], "exec": "true"}`, `{"name": "b", "repos": ["me/b"], "exec": "true"}`
	w := reloading(t, a)
	swap(t, w.file, "["+a+", "+b+"]")
	w.ready.wait(t, "ready listen b")

	for _, wrong := range []struct{ text, says string }{
		{`{"name": "a", "exce": "true"}`, `:1:15: unknown key "exce"`},
		{`[{"name": "a", "exec": "false"}, {"name": "b", "exec": "true", "lock_file": "none/lock"}]`, `none/lock of listener "b": open `},
		{`[{"name": "a", "exec": "false"}, {"name": "b", "exec": "true", "cwd": "none"}]`, `cwd of listener "b": stat `},
	} {
		w.reload(t, wrong.text)
		w.notes.wait(t, "lightspeed: the configs have changed and are refused; the listeners go on as they are:")
		until(t, "it says "+wrong.says, func() error {
			if said := w.notes.String(); !strings.Contains(said, wrong.says) {
				return fmt.Errorf("it said %q", said)
			}
			return nil
		})
	}
	for _, name := range []string{"a", "b"} {
		if l, err := w.client.Listener(t.Context(), name); err != nil || !l.Connected || l.Revision != 1 {
			t.Errorf("after broken configs: %+v, %v", l, err)
		}
	}
	w.reload(t, "["+a+", "+b+"]")
	w.notes.wait(t, "lightspeed: the configs are read and have no mistake; the listeners are as they were")
	w.reload(t, b)
	w.notes.wait(t, "lightspeed: a: is gone from the configs, and its runs have ended;")
	swap(t, w.file, strings.Replace(b, "me/b", "me/c", 1))
	w.notes.wait(t, "lightspeed: b: works by its changed config")
	if l, err := w.client.Listener(t.Context(), "b"); err != nil || l.Settings.Rules.Repos[0] != "me/c" {
		t.Errorf("after a change: %+v, %v", l, err)
	}
	if err := w.stop(); err != nil {
		t.Error(err)
	}
}

// TestListenerComesBack: one that is taken out while a run goes on, and put in again, starts when that has ended.
func TestListenerComesBack(t *testing.T) {
	gate := filepath.Join(t.TempDir(), "gate")
	a := fmt.Sprintf(`{"name": "a", "repos": ["me/a"], "exec": "echo begun; while [ ! -e %s ]; do sleep 0.02; done"}`, gate)
	w := reloading(t, a)
	first := w.push(t, "d1", "main")
	w.begun(t, first)
	w.reload(t, `{"name": "b", "repos": ["me/b"], "exec": "true"}`)
	w.notes.wait(t, "lightspeed: a: is gone from the configs: takes nothing new and finishes what runs: 1 run")
	w.reload(t, a)
	w.notes.wait(t, "lightspeed: a: is in the configs again, and starts when its runs have ended: 1 run")
	second := w.push(t, "d2", "main")
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{first, second} {
		if r := w.ended(t, id); r.Status != run.Passed {
			t.Errorf("%s: %v", r.Status, *r.Reason)
		}
	}
	if err := w.stop(); err != nil {
		t.Error(err)
	}
}

// TestSecretFileIsWatched: a secret that is rotated in the file that it stands in reaches the next run, without a signal.
func TestSecretFileIsWatched(t *testing.T) {
	key := filepath.Join(t.TempDir(), "key")
	write(t, key, "the-first-key")
	w := reloading(t, `{"name": "a", "repos": ["*/*"], "exec": [["sh", "-c", "test \"$KEY\" = the-second-key"]], "secrets": {"KEY": {"file": "`+key+`"}}}`)
	if r := w.ended(t, w.push(t, "before", "main")); r.Status != run.Failed {
		t.Errorf("it is %s with the first key", r.Status)
	}
	swap(t, key, "the-second-key")
	n := 0
	until(t, "a run with the second key", func() error {
		n++
		if r := w.ended(t, w.push(t, fmt.Sprint("after-", n), "main")); r.Status != run.Passed {
			return fmt.Errorf("it is %s", r.Status)
		}
		return nil
	})
	if err := w.stop(); err != nil {
		t.Error(err)
	}
}
