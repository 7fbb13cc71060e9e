package checkout

import (
	"fmt"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if os.Getenv(otherProcess) != "" {
		beOther()
		return
	}
	home, err := os.MkdirTemp("", "checkout-home-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(home)
	for name, value := range map[string]string{
		"HOME": home, "GIT_CONFIG_NOSYSTEM": "1", "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@example.com",
		"GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@example.com",
	} {
		os.Setenv(name, value)
	}
	goleak.VerifyTestMain(m)
}

// repo is a repository that people push to.
type repo struct {
	t   testing.TB
	dir string // a bare one
	src string // where commits are made
}

func newRepo(t testing.TB, args ...string) *repo {
	t.Helper()
	r := &repo{t: t, dir: filepath.Join(t.TempDir(), "repo.git"), src: t.TempDir()}
	r.run("/", append([]string{"init", "-q", "--bare", "-b", "main"}, append(args, r.dir)...)...)
	r.run("/", append([]string{"init", "-q", "-b", "main"}, append(args, r.src)...)...)
	r.git("remote", "add", "origin", r.dir)
	return r
}

func (r *repo) run(dir string, args ...string) string {
	r.t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		r.t.Fatalf("git %q: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

func (r *repo) git(args ...string) string { r.t.Helper(); return r.run(r.src, args...) }

func (r *repo) write(name, text string) {
	r.t.Helper()
	path := filepath.Join(r.src, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		r.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		r.t.Fatal(err)
	}
}

// push commits a file and pushes HEAD to a ref. It returns the commit.
func (r *repo) push(ref, text string) string {
	r.t.Helper()
	r.write("file", text)
	r.git("add", "-A")
	r.git("commit", "-q", "-m", text)
	r.git("push", "-q", "--force", "origin", "HEAD:"+ref)
	return r.git("rev-parse", "HEAD")
}

// many adds commits to a branch, at once, and returns them.
func (r *repo) many(branch string, n int) []string {
	r.t.Helper()
	var stream strings.Builder
	for i := range n {
		fmt.Fprintf(&stream, "commit refs/heads/%s\ncommitter a <a@example.com> %d +0000\ndata 1\n%d\n", branch, 1700000000+i, i%10)
		if i == 0 {
			fmt.Fprintf(&stream, "from refs/heads/%s^0\n", branch)
		}
		fmt.Fprintf(&stream, "M 644 inline file\ndata 1\n%d\n\n", i%10)
	}
	cmd := exec.Command("git", "fast-import", "--quiet")
	cmd.Dir, cmd.Stdin = r.dir, strings.NewReader(stream.String())
	if out, err := cmd.CombinedOutput(); err != nil {
		r.t.Fatalf("fast-import: %v\n%s", err, out)
	}
	return strings.Fields(r.run(r.dir, "rev-list", "--reverse", fmt.Sprint("-", n), branch))
}

// web serves a repository over HTTP, as servers do, and counts the fetches.
type web struct {
	*httptest.Server
	fetches atomic.Int64
	mu      sync.Mutex
	auth    []string // Authorization of each request
}

func (r *repo) serve(check func(http.ResponseWriter, *http.Request) bool) *web {
	w := &web{}
	core := r.run("/", "--exec-path")
	w.Server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		w.mu.Lock()
		w.auth = append(w.auth, req.Header.Get("Authorization"))
		w.mu.Unlock()
		if check != nil && !check(rw, req) {
			return
		}
		if req.Method == http.MethodGet {
			w.fetches.Add(1)
		}
		(&cgi.Handler{
			Path: filepath.Join(core, "git-http-backend"),
			Env:  []string{"GIT_PROJECT_ROOT=" + filepath.Dir(r.dir), "GIT_HTTP_EXPORT_ALL=1", "GIT_PROTOCOL=" + req.Header.Get("Git-Protocol")},
		}).ServeHTTP(rw, req)
	}))
	r.t.Cleanup(func() { w.CloseClientConnections(); w.Close() })
	return w
}

func (w *web) url() string { return w.URL + "/repo.git" }

// said collects what a checkout says.
type said struct {
	mu    sync.Mutex
	lines []string
}

func (s *said) say(line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = append(s.lines, line)
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.lines, "\n")
}

var trees atomic.Int64

// fixture is a store, and a folder for trees beside it.
type fixture struct {
	t     testing.TB
	store *Store
	dir   string
	said  said
}

func newFixture(t testing.TB) *fixture {
	dir := t.TempDir()
	return &fixture{t: t, store: Open(filepath.Join(dir, "mirrors")), dir: dir}
}

// want makes a request; the tree gets a folder of its own.
func (f *fixture) want(url, ref, sha string) Request {
	return Request{URL: url, Ref: ref, SHA: sha, Tree: filepath.Join(f.dir, fmt.Sprint("tree-", trees.Add(1))), Say: f.said.say}
}

// get checks a request out, and returns the tree.
func (f *fixture) get(r Request) string {
	f.t.Helper()
	if _, err := f.store.Checkout(f.t.Context(), r); err != nil {
		f.t.Fatalf("%s %s: %v\n%s", r.Ref, r.SHA, err, f.said.String())
	}
	return r.Tree
}

func in(t testing.TB, tree string, args ...string) string {
	t.Helper()
	return (&repo{t: t}).run(tree, args...)
}

func content(t testing.TB, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
