package listener

import (
	"bytes"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lightspeed/api"
	"lightspeed/event"
	"lightspeed/listener/config"
	"lightspeed/run"
)

// repository makes a repository with one commit on main, and returns its folder and the commit.
func repository(t *testing.T) (dir, sha string) {
	t.Helper()
	dir = t.TempDir()
	git := func(args ...string) string {
		cmd := exec.Command("git", append([]string{"-c", "user.name=a", "-c", "user.email=a@example.com"}, args...)...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("git %q: %v\n%s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	git("init", "-q", "-b", "main")
	for _, name := range []string{"file", "sub/inner"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte("committed\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	git("add", "-A")
	git("commit", "-q", "-m", "first")
	return dir, git("rev-parse", "HEAD")
}

// inTree is a config whose runs get a tree from a repository.
func inTree(dir string, scripts ...string) config.Config {
	c := conf(scripts...)
	c.Cwd, c.Checkout = "/nowhere", &config.Checkout{URL: dir}
	return c
}

// pushed queues a run for a push of a commit.
func (f *fakeAdmin) pushed(id string, spec event.PushSpec) *fakeRun {
	f.t.Helper()
	spec.Repo, spec.Branch, spec.Nonce = "a/b", "main", id
	body, err := event.MakePush(spec)
	if err != nil {
		f.t.Fatal(err)
	}
	return f.enqueue(id, run.ByDelivery, "d-"+id, body)
}

// workspacesLeft are the workspaces in a listener's state folder.
func workspacesLeft(t *testing.T, state string) []string {
	t.Helper()
	var left []string
	for _, folder := range []string{treesFolder, trashFolder} {
		found, err := filepath.Glob(filepath.Join(state, folder, "*"))
		if err != nil {
			t.Fatal(err)
		}
		left = append(left, found...)
	}
	return left
}

// TestWorkspace: a run's steps work in a tree of its commit, which is gone when the run is.
func TestWorkspace(t *testing.T) {
	dir, sha := repository(t)
	f := newFakeAdmin(t)
	c := inTree(dir, `cat file; git rev-parse HEAD; [ "$PWD" = "$LIGHTSPEED_WORKSPACE" ] && echo here; echo more >> file; mkdir -m 500 closed`)
	c.Exec = append(c.Exec, config.Step{Name: "inner", Run: "cat inner; pwd >&2", Cwd: "sub"})
	state := t.TempDir()
	s := listen(t, f, c, state)
	for _, id := range []string{"r1", "r2"} {
		r := f.pushed(id, event.PushSpec{SHA: sha})
		end, log := f.awaitEnd(r), f.logOf(r)
		if want := "committed\n" + sha + "\nhere\ncommitted\n"; end.Status != run.Passed || !strings.Contains(log, want) {
			t.Errorf("%s: %+v, log\n%s\nwant in it\n%s", id, end, log, want)
		}
	}
	deleted := f.pushed("r3", event.PushSpec{SHA: strings.Repeat("0", 40)})
	if end := f.awaitEnd(deleted); end.Status != run.Errored { // the config does not ask for deletes
		t.Errorf("got %+v", end)
	}
	s.stop()
	s.wait(t)
	if left := workspacesLeft(t, state); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}

// TestWorkspaceEach: runs at the same time have one each.
func TestWorkspaceEach(t *testing.T) {
	dir, sha := repository(t)
	f := newFakeAdmin(t)
	gate := filepath.Join(t.TempDir(), "gate")
	c := inTree(dir, `[ -e mine ] && exit 1; echo x > mine; echo begun; while [ ! -e `+gate+` ]; do sleep 0.02; done`)
	c.Concurrency = 3
	listen(t, f, c, t.TempDir())
	var all []*fakeRun
	for i := range 3 {
		all = append(all, f.pushed(fmt.Sprint("r", i), event.PushSpec{SHA: sha}))
	}
	for _, r := range all {
		f.awaitLog(r, "begun")
	}
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, r := range all {
		if end := f.awaitEnd(r); end.Status != run.Passed {
			t.Errorf("got %+v\n%s", end, f.logOf(r))
		}
	}
}

// TestWorkspaceAfterDeath: a listener that was killed removes the workspace at its next start; one that is to be
// kept stays.
func TestWorkspaceAfterDeath(t *testing.T) {
	dir, sha := repository(t)
	f := newFakeAdmin(t)
	state := t.TempDir()
	c := inTree(dir, "pwd; sleep 600")
	c.Grace = time.Second
	v := startVictim(t, f, c, state)
	r := f.pushed("r1", event.PushSpec{SHA: sha})
	f.awaitLog(r, "trees/r1.1\n")
	v.kill()
	if left := workspacesLeft(t, state); len(left) != 2 {
		t.Fatalf("there is %q, want a tree and its lock", left)
	}
	c = inTree(dir, "pwd; exit 1")
	c.Checkout.Keep = true
	s := listen(t, f, c, state)
	if end := f.awaitEnd(r); end.Status != run.Lost {
		t.Errorf("got %+v", end)
	}
	f.awaitEnd(f.pushed("r2", event.PushSpec{SHA: sha}))
	s.stop()
	s.wait(t)
	if left := workspacesLeft(t, state); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
	if _, err := os.Stat(filepath.Join(state, keptFolder, "r2.1", "file")); err != nil {
		t.Error(err)
	}
}

// TestNoWorkspace: what keeps a run from its tree is how the run ends, in words, and no command is run.
func TestNoWorkspace(t *testing.T) {
	dir, _ := repository(t)
	gone := strings.Repeat("1234567890", 4)
	f := newFakeAdmin(t)
	listen(t, f, inTree(dir, "echo ran"), t.TempDir())
	r := f.pushed("r1", event.PushSpec{SHA: gone})
	want := "checkout: the commit 123456789012 is not in the repository any more: a forced push or a deleted branch has taken it away"
	if end := f.awaitEnd(r); end.Status != run.Errored || end.Reason != want {
		t.Errorf("got %+v", end)
	}
	if log := f.logOf(r); strings.Contains(log, "ran\n") || !strings.HasSuffix(log, "lightspeed: "+want+"\n") {
		t.Errorf("log is\n%s", log)
	}
}

// TestWorkspaceTakesTooLong: the run's timeout counts while it is fetched for, and a cancel is heard.
func TestWorkspaceTakesTooLong(t *testing.T) {
	asked := make(chan struct{}, 100)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		<-r.Context().Done()
	}))
	defer server.Close()
	f := newFakeAdmin(t)
	c := inTree(server.URL+"/{repo}", "echo ran")
	c.Timeout = time.Second
	listen(t, f, c, t.TempDir())
	sha := strings.Repeat("1", 40)
	if end := f.awaitEnd(f.pushed("r1", event.PushSpec{SHA: sha})); end.Status != run.TimedOut || end.Reason != "timeout of 1s was over" {
		t.Errorf("got %+v", end)
	}
	c.Timeout, c.Rules.Name = time.Hour, "m"
	g := newFakeAdmin(t)
	listen(t, g, c, t.TempDir())
	for len(asked) > 0 {
		<-asked
	}
	r := g.pushed("r2", event.PushSpec{SHA: sha})
	<-asked
	g.with(func() { r.cancel = &api.Cancel{By: "ann"} })
	if end := g.awaitEnd(r); end.Status != run.Cancelled || end.Reason != "cancelled by ann" {
		t.Errorf("got %+v", end)
	}
}

// TestHereInATree: so does a run without servers.
func TestHereInATree(t *testing.T) {
	dir, sha := repository(t)
	body, err := event.MakePush(event.PushSpec{Repo: "a/b", Branch: "main", SHA: sha})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	state := t.TempDir()
	got, err := Here(t.Context(), HereOptions{
		Config: inTree(dir, "cat file; git log --format=%s"), Out: &out, Log: slog.New(slog.DiscardHandler), State: state, Mirrors: filepath.Join(state, "mirrors"),
		Delivery: event.Delivery{ID: "d", Event: "push", ContentType: "application/json", Body: body},
	})
	if err != nil || got.Status != run.Passed || !strings.HasSuffix(out.String(), "committed\nfirst\n") {
		t.Errorf("got %+v %v\n%s", got, err, out.String())
	}
	if left := workspacesLeft(t, state); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
	if _, err := fs.Stat(os.DirFS(state), "mirrors"); err != nil {
		t.Error(err)
	}
}
