package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lightspeed/api"
	"lightspeed/fleet"
	"lightspeed/run"
	"lightspeed/secret"
)

// TestUpgrade starts `up` on the state folders that earlier versions left when they were killed, testdata/states. What waited
// runs, also a delivery in the spool; what was cut off is told by its listener's journal; the rest is as it was.
func TestUpgrade(t *testing.T) {
	files, err := filepath.Glob("testdata/states/schema-*.tar.gz")
	if err != nil || len(files) == 0 {
		t.Fatalf("no state folders of earlier versions: %v", err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".tar.gz")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			schema, err := strconv.Atoi(strings.TrimPrefix(name, "schema-"))
			if err != nil {
				t.Fatal(err)
			}
			u := upgrade(t, file, schema)
			byListener := u.awaitRuns()
			u.wantOutputs(byListener)
			u.wantArrangements()
		})
	}
}

// upgraded is today's `up` over an earlier version's state folder.
type upgraded struct {
	*testing.T
	schema int
	dir    string
	hooks  string
	client *api.Client
}

func upgrade(t *testing.T, file string, schema int) *upgraded {
	u := &upgraded{T: t, schema: schema, dir: t.TempDir()}
	state := u.unpack(file)
	configs := u.configs("passes", "fails", "waits", "cut", "late")
	p, err := fleet.Start(fleet.Command{Name: "up", Path: "lightspeed", Dir: u.dir, Args: append([]string{"up", "--state", state,
		"--addr", "127.0.0.1:0", "--hooks-addr", "127.0.0.1:0", "--keep-runs", "all", "--keep-logs", "all", "--keep-artifacts", "all", "--keep-deliveries", "all"}, configs...)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Stop(patience); err != nil {
			t.Error(err)
		}
		if strings.Contains(p.Log(), "made a webhook secret") {
			t.Error("the secret is another than it was")
		}
		if t.Failed() {
			t.Log(p.Log())
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 3*patience)
	defer cancel()
	admin, err := p.Ready(ctx, "admin")
	if err == nil {
		u.hooks, err = p.Ready(ctx, "hooks")
	}
	if err != nil {
		t.Fatal(err)
	}
	var token secret.Value // where there are any, nobody gets in without
	if schema >= 4 {
		if token, err = secret.FromFile(filepath.Join(state, "token-of-admin")); err != nil {
			t.Fatal(err)
		}
	}
	if u.client, err = api.NewClient(admin, token, http.DefaultClient); err != nil {
		t.Fatal(err)
	}
	return u
}

// unpack returns the state folder. Its journals are told that they are of this machine, and that it was not started anew.
func (u *upgraded) unpack(file string) string {
	u.Helper()
	state := filepath.Join(u.dir, "state")
	if err := os.Mkdir(state, 0o700); err != nil {
		u.Fatal(err)
	}
	if out, err := exec.Command("tar", "-xzf", file, "-C", state).CombinedOutput(); err != nil {
		u.Fatalf("tar: %v\n%s", err, out)
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		u.Fatal(err)
	}
	journals, err := filepath.Glob(filepath.Join(state, "listener", "*", "instance.json"))
	if err != nil || len(journals) != 5 {
		u.Fatalf("journals %v, %v", journals, err)
	}
	for _, journal := range journals {
		if err := setBoot(journal, strings.TrimSpace(string(boot))); err != nil {
			u.Fatal(err)
		}
	}
	return state
}

func setBoot(journal, boot string) error {
	text, err := os.ReadFile(journal)
	if err != nil {
		return err
	}
	known := map[string]string{}
	if err := json.Unmarshal(text, &known); err != nil {
		return err
	}
	known["boot_id"] = boot
	if text, err = json.Marshal(known); err != nil {
		return err
	}
	return os.WriteFile(journal, text, 0o600)
}

func (u *upgraded) configs(names ...string) (files []string) {
	u.Helper()
	for _, name := range names {
		files = append(files, name+".json")
		text := fmt.Sprintf(`{"name": %q, "repos": ["me/my-app"], "branches": ["main", "late"], "exec": "echo $LIGHTSPEED_LISTENER runs $LIGHTSPEED_BRANCH"}`, name)
		if name != "late" {
			text = strings.Replace(text, `, "late"`, "", 1)
		}
		if err := os.WriteFile(filepath.Join(u.dir, name+".json"), []byte(text), 0o600); err != nil {
			u.Fatal(err)
		}
	}
	return files
}

// awaitRuns waits until every run has ended as it must, and returns the newest of each listener.
func (u *upgraded) awaitRuns() map[string]run.Run {
	u.Helper()
	want := []string{"cut lost", "fails failed", "fails failed", "late passed", "passes passed", "waits cancelled", "waits passed"}
	for deadline := time.Now().Add(2 * patience); ; time.Sleep(20 * time.Millisecond) {
		list, err := u.client.Runs(u.Context(), api.RunFilter{Limit: 20})
		if err != nil {
			u.Fatal(err)
		}
		var got []string
		newest := map[string]run.Run{}
		for _, r := range list.Items {
			got = append(got, r.Listener+" "+string(r.Status))
			if _, known := newest[r.Listener]; !known || r.Status == run.Passed {
				newest[r.Listener] = r
			}
		}
		slices.Sort(got)
		diff := cmp.Diff(want, got)
		if diff == "" {
			return newest
		}
		if time.Now().After(deadline) {
			u.Fatalf("runs (-want +got):\n%s", diff)
		}
	}
}

// wantOutputs reads what earlier versions kept of runs, and what those printed that have run since.
func (u *upgraded) wantOutputs(runs map[string]run.Run) {
	u.Helper()
	for name, want := range map[string]string{"passes": "passed here\n", "cut": "before the cut\n", "waits": "waits runs main\n", "late": "late runs late\n"} {
		if got := u.read(u.client.Log(u.Context(), runs[name].ID, api.LogQuery{})); !strings.Contains(got, want) {
			u.Errorf("the log of %s is %q", name, got)
		}
	}
	if u.schema >= 6 {
		if got := u.read(u.client.Artifact(u.Context(), runs["passes"].ID, "dist/kept", 1)); got != "kept\n" {
			u.Errorf("the artifact is %q", got)
		}
	}
	if diff := cmp.Diff(new("the listener was ended while it ran; what became of it is not known"), runs["cut"].Reason); diff != "" {
		u.Errorf("why what was cut off is lost (-want +got):\n%s", diff)
	}
}

func (u *upgraded) read(body io.ReadCloser, err error) string {
	u.Helper()
	if err != nil {
		u.Error(err)
		return ""
	}
	defer body.Close()
	text, err := io.ReadAll(body)
	if err != nil {
		u.Error(err)
	}
	return string(text)
}

// wantArrangements checks what people had arranged, and that the kept secret is still what deliveries are signed with.
func (u *upgraded) wantArrangements() {
	u.Helper()
	known, err := u.client.Listener(u.Context(), "fails")
	if err != nil || (known.Paused != nil) != (u.schema >= 6) {
		u.Errorf("the paused listener: %+v, %v", known, err)
	}
	if out, err := exec.Command("lightspeed", "send", "--state", filepath.Join(u.dir, "state"), "--url", u.hooks+"/receive_hook",
		"--repo", "me/my-app", "--branch", "nobody's").CombinedOutput(); err != nil {
		u.Errorf("a delivery: %v\n%s", err, out)
	}
}
