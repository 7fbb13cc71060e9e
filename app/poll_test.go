package app

import (
	"fmt"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"lightspeed/api"
	"lightspeed/listener/config"
	"lightspeed/run"
)

// A listener looks for pushes at a repository that is served by HTTP to who has a token, and GitHub sends the same
// pushes: before hooks goes away, not at all while it is away, and late when it is asked to. Each runs once, in its own
// tree, and those of a branch in order.
func TestPollAndWebhooks(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	origin := newOrigin(t)
	first := origin.push("main", "first")
	s := newSite(t, origin.listener(folder))
	s.heads["main"] = first
	awaitFile(t, filepath.Join(s.state, "listener", "my-app", "polled.json"), first)
	push := func(n int) {
		t.Helper()
		message := fmt.Sprint("push ", n)
		sha := origin.push(branchOf(n), message)
		s.push(n, sha, sha+" "+message)
		awaitPassed(t, s.client, n+1) // of pushes that come between two looks only the last is found
	}
	for n := range 2 {
		push(n)
	}
	s.stopHooks()
	for n := range 4 {
		push(2 + n)
	}
	s.startHooks()
	recoverAll(t, s.client)
	if d, err := s.client.Delivery(t.Context(), "guid-5"); err != nil || d.RecoveredAt == nil {
		t.Errorf("one that was sent again is shown as %+v, %v", d, err)
	}
	push(6) // what was sent again would have run by now

	list, err := s.client.Runs(t.Context(), api.RunFilter{})
	if err != nil {
		t.Fatal(err)
	}
	polled := 0
	for _, r := range list.Items {
		if r.Cause == run.ByPoll {
			polled++
		}
	}
	if polled < 4 || len(list.Items) != 7 {
		t.Errorf("%d runs for seven pushes, %d found by looking, of four that nothing else could bring", len(list.Items), polled)
	}
	if origin.served.Load() == 0 || origin.refused.Load() == 0 {
		t.Errorf("%d requests were served, %d had no token", origin.served.Load(), origin.refused.Load())
	}
	s.end(folder)
}

// origin is a repository that is served by HTTP to who has its token.
type origin struct {
	t               *testing.T
	bare, work      string
	url             string
	served, refused atomic.Int64
}

const originToken = "t0ken-of-the-origin"

func newOrigin(t *testing.T) *origin {
	t.Helper()
	o := &origin{t: t, bare: filepath.Join(t.TempDir(), "repo.git"), work: t.TempDir()}
	o.git("init", "-q", "--bare", o.bare)
	o.git("init", "-q", "-b", "main")
	backend := &cgi.Handler{
		Path: filepath.Join(o.git("--exec-path"), "git-http-backend"),
		Env:  []string{"GIT_PROJECT_ROOT=" + filepath.Dir(o.bare), "GIT_HTTP_EXPORT_ALL=1"},
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, password, _ := r.BasicAuth(); password != originToken {
			o.refused.Add(1)
			w.Header().Set("WWW-Authenticate", `Basic realm="origin"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		o.served.Add(1)
		backend.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	o.url = server.URL + "/repo.git"
	return o
}

func (o *origin) git(args ...string) string {
	o.t.Helper()
	cmd := exec.Command("git", append([]string{"-c", "user.name=a", "-c", "user.email=a@example.com"}, args...)...)
	cmd.Dir = o.work
	text, err := cmd.CombinedOutput()
	if err != nil {
		o.t.Fatalf("git %q: %v\n%s", args, err, text)
	}
	return strings.TrimSpace(string(text))
}

// push pushes an empty commit to a branch, and returns it.
func (o *origin) push(branch, message string) string {
	o.t.Helper()
	o.git("checkout", "-q", "-B", branch)
	o.git("commit", "-q", "--allow-empty", "-m", message)
	o.git("push", "-q", "--force", o.bare, branch)
	return o.git("rev-parse", "HEAD")
}

// listener is one that looks twice a second, and writes down what ran, a file a branch: the commit that it was
// told of, and what the tree's says.
func (o *origin) listener(folder string) []config.Config {
	o.t.Helper()
	token, file := filepath.Join(folder, "token"), filepath.Join(folder, "job.json")
	text := fmt.Sprintf(`{"name": "my-app", "repos": ["me/my-app"], "poll": "1m", "checkout": {"url": %q, "token": {"file": %q}},
		"exec": "echo $LIGHTSPEED_SHA $(git log -1 --format=%%s) >> %s/$LIGHTSPEED_BRANCH"}`, o.url, token, folder)
	for path, text := range map[string]string{token: originToken, file: text} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			o.t.Fatal(err)
		}
	}
	configs, _, err := config.Load(file)
	if err != nil {
		o.t.Fatal(err)
	}
	configs[0].Poll = time.Second / 2
	return configs
}

// awaitFile waits until a file holds a text.
func awaitFile(t *testing.T, path, text string) {
	t.Helper()
	until(t, path+" holds "+text, func() error {
		content, err := os.ReadFile(path)
		if err == nil && !strings.Contains(string(content), text) {
			err = fmt.Errorf("it holds %q", content)
		}
		return err
	})
}
