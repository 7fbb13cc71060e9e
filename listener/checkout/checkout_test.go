package checkout

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"lightspeed/secret"
)

// A tree is exactly the commit that was pushed, whatever kind of ref it came by, and git works in it.
func TestTheCommitThatWasPushed(t *testing.T) {
	t.Parallel()
	r := newRepo(t)
	one := r.push("main", "one")
	r.git("tag", "-a", "-m", "first", "v1")
	r.git("tag", "light")
	r.git("push", "-q", "origin", "v1", "light")
	two := r.push("feature/a/b", "two")
	r.git("checkout", "-q", "--orphan", "other")
	fork := r.push("refs/pull/7/head", "three")
	r.git("push", "-q", "origin", "HEAD:refs/pull/7/merge")
	web := r.serve(nil)
	f := newFixture(t)
	for _, each := range []struct{ url, ref, sha, want, describe string }{
		{web.url(), "refs/heads/main", one, one, "v1"},
		{web.url(), "refs/tags/v1", one, one, "v1"},
		{web.url(), "refs/tags/v1", "", one, "v1"},
		{web.url(), "refs/tags/light", "", one, "v1"},
		{web.url(), "refs/heads/feature/a/b", strings.ToUpper(two), two, "v1-1-g"},
		{web.url(), "refs/pull/7/head", fork, fork, ""},
		{r.dir, "refs/heads/main", one, one, "v1"},
		{"file://" + r.dir, "refs/heads/feature/a/b", "", two, "v1-1-g"},
		{"file://" + r.dir, "refs/pull/7/head", fork, fork, ""},
	} {
		request := f.want(each.url, each.ref, each.sha)
		got, err := f.store.Checkout(t.Context(), request)
		if err != nil || got != each.want {
			t.Errorf("%+v: got %s %v\n%s", each, got, err, f.said.String())
			continue
		}
		if head := in(t, request.Tree, "rev-parse", "HEAD"); head != each.want {
			t.Errorf("%+v: HEAD is %s", each, head)
		}
		if status := in(t, request.Tree, "status", "--porcelain"); status != "" {
			t.Errorf("%+v: not clean: %s", each, status)
		}
		if each.describe != "" {
			if name := in(t, request.Tree, "describe"); !strings.HasPrefix(name, each.describe) {
				t.Errorf("%+v: describes itself as %s", each, name)
			}
			if log := in(t, request.Tree, "log", "--format=%s", "origin/main"); log != "one" {
				t.Errorf("%+v: log says %q", each, log)
			}
		}
		in(t, request.Tree, "fsck", "--full")
	}
	if text := content(t, filepath.Join(f.get(f.want(web.url(), "refs/pull/7/head", fork)), "file")); text != "three" {
		t.Errorf("the pull request's file says %q", text)
	}
}

// A repository whose hashes are SHA-256 is no different.
func TestSHA256(t *testing.T) {
	t.Parallel()
	r := newRepo(t, "--object-format=sha256")
	sha := r.push("main", "one")
	f := newFixture(t)
	tree := f.get(f.want(r.dir, "refs/heads/main", sha))
	if head := in(t, tree, "rev-parse", "HEAD"); head != sha || len(sha) != 64 {
		t.Errorf("HEAD is %s, want %s", head, sha)
	}
}

// What is there is not fetched; of twenty that want new commits of one repository at once, one fetches for all.
func TestFetchesAreShared(t *testing.T) {
	t.Parallel()
	r := newRepo(t)
	commits := []string{r.push("main", "first")}
	web := r.serve(nil)
	f := newFixture(t)
	f.get(f.want(web.url(), "refs/heads/main", commits[0]))
	first := web.fetches.Load()
	f.get(f.want(web.url(), "refs/heads/main", commits[0]))
	if again := web.fetches.Load(); again != first {
		t.Errorf("a commit that is there was fetched: %d requests, then %d", first, again)
	}
	commits = append(commits, r.many("main", 20)...)
	var all sync.WaitGroup
	for _, sha := range commits {
		request := f.want(web.url(), "refs/heads/main", sha)
		all.Go(func() {
			if _, err := Open(f.store.dir).Checkout(t.Context(), request); err != nil {
				t.Errorf("%s: %v\n%s", sha, err, f.said.String())
				return
			}
			if head := in(t, request.Tree, "rev-parse", "HEAD"); head != sha {
				t.Errorf("HEAD is %s, want %s", head, sha)
			}
		})
	}
	all.Wait()
	if one := web.fetches.Load() - first; one > first {
		t.Errorf("20 new commits at once took %d requests, one fetch takes %d", one, first)
	}
}

// A tag that was moved, and one that came later than its commit, are known in the tree.
func TestTagsAreThere(t *testing.T) {
	t.Parallel()
	r := newRepo(t)
	one := r.push("main", "one")
	f := newFixture(t)
	f.get(f.want(r.dir, "refs/heads/main", one))
	r.git("tag", "v1")
	r.git("push", "-q", "origin", "v1")
	if name := in(t, f.get(f.want(r.dir, "refs/tags/v1", one)), "describe", "--tags"); name != "v1" {
		t.Errorf("describes itself as %s", name)
	}
	two := r.push("main", "two")
	r.git("tag", "-f", "v1")
	r.git("push", "-q", "--force", "origin", "v1")
	if name := in(t, f.get(f.want(r.dir, "refs/tags/v1", two)), "describe", "--tags"); name != "v1" {
		t.Errorf("describes itself as %s", name)
	}
}

// A commit that was pushed away is still had where the server has it; else that is the reason.
func TestForcedPush(t *testing.T) {
	t.Parallel()
	r := newRepo(t)
	r.push("main", "one")
	gone := r.push("main", "two")
	r.git("reset", "-q", "--hard", "HEAD^")
	r.push("main", "instead")
	f := newFixture(t)
	if text := content(t, filepath.Join(f.get(f.want(r.dir, "refs/heads/main", gone)), "file")); text != "two" {
		t.Errorf("the file says %q", text)
	}
	r.run(r.dir, "gc", "-q", "--prune=now")
	f = newFixture(t)
	_, err := f.store.Checkout(t.Context(), f.want(r.dir, "refs/heads/main", gone))
	want := "the commit " + gone[:12] + " is not in the repository any more: a forced push or a deleted branch has taken it away"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	_, err = f.store.Checkout(t.Context(), f.want(r.dir, "refs/heads/nowhere", ""))
	if err == nil || err.Error() != "the branch or tag is not in the repository any more" {
		t.Errorf("got %v", err)
	}
}

// Names that look like options, commands or paths are data, and what a commit holds stays in its tree.
func TestHostileNames(t *testing.T) {
	t.Parallel()
	r := newRepo(t)
	sha := r.push("main", "one")
	f := newFixture(t)
	f.get(f.want(r.dir, "refs/heads/main", sha))
	branches := []string{"$(touch pwned)", "a;touch", "`touch`", "a'b", "a\"b", "<script>", "@here", "\u202e", "a&&b", "x--upload-pack=touch"}
	for _, branch := range branches {
		r.git("update-ref", "refs/heads/"+branch, "HEAD")
	}
	r.git("push", "-q", "--all", "origin")
	for _, branch := range branches {
		if got, err := f.store.mirror(f.want(r.dir, "", "")).ensure(t.Context(), wanted(t, "refs/heads/"+branch)); got != sha || err != nil {
			t.Errorf("%q: got %s %v", branch, got, err)
		}
	}
	for _, ref := range []string{
		"--upload-pack=touch pwned", "refs/heads/-x", "refs/heads/a b", "refs/heads/a..b", "refs/heads/a:refs/heads/b", "refs/heads/*", "refs/heads/a.lock",
		"refs/heads/../../config", "refs/heads/a@{1}", "refs/heads/a^{tree}", "refs/heads/a\nb", "refs/heads//a", "refs/heads/.a", "refs/tags/", "HEAD", "+main",
	} {
		_, err := f.store.Checkout(t.Context(), f.want(r.dir, ref, ""))
		if err == nil || err.Error() != "the event names no commit, and no branch or tag that git could have" {
			t.Errorf("%q: got %v", ref, err)
		}
	}
	f.get(f.want(r.dir, "--upload-pack=touch pwned", sha)) // the commit is known all the same
	for _, name := range []string{"--help", "-x", "HEAD", "main", sha[:12], "../../etc"} {
		if _, err := f.store.Checkout(t.Context(), f.want(r.dir, "", name)); err == nil {
			t.Errorf("%q was taken for a commit", name)
		}
	}
	for _, url := range []string{"ext::sh -c touch% " + f.dir + "/pwned", "--upload-pack=touch " + f.dir + "/pwned", "-oProxyCommand=x:y", "fd::3"} {
		if _, err := f.store.Checkout(t.Context(), f.want(url, "refs/heads/main", sha)); err == nil {
			t.Errorf("%q was taken for a repository", url)
		}
	}
	if _, err := os.Stat(filepath.Join(f.dir, "pwned")); err == nil {
		t.Error("a name was run")
	}
}

// wanted is what a request for a ref alone asks for.
func wanted(t *testing.T, ref string) want {
	t.Helper()
	w, err := Request{Ref: ref}.want()
	if err != nil {
		t.Error(err)
	}
	return w
}

// Symlinks and odd file names of a commit are made as they are, and removing the tree touches nothing else.
func TestHostileFiles(t *testing.T) {
	t.Parallel()
	r := newRepo(t)
	outside := filepath.Join(t.TempDir(), "outside")
	if err := os.Mkdir(outside, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, target := range map[string]string{"out": outside, "up": "../../../..", "self": "self"} {
		if err := os.Symlink(target, filepath.Join(r.src, name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"a\nb", "--help", "-rf", "$(x)", "x\u202ey", "\xff\xfe", "a b/c d"} {
		r.write(name, "x")
	}
	r.write(".gitattributes", "* filter=evil\n")
	sha := r.push("main", "one")
	f := newFixture(t)
	tree := f.get(f.want(r.dir, "refs/heads/main", sha))
	if status := in(t, tree, "status", "--porcelain"); status != "" {
		t.Errorf("not clean: %s", status)
	}
	if err := os.Mkdir(filepath.Join(tree, "closed"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.WriteFile(filepath.Join(tree, "closed", "file"), nil, 0o400), os.Chmod(filepath.Join(tree, "closed"), 0o500)); err != nil {
		t.Fatal(err)
	}
	if err := Remove(tree); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(tree); err == nil {
		t.Error("the tree is still there")
	}
	if _, err := os.Stat(outside); err != nil {
		t.Error("removing the tree has followed a link")
	}
}

// What a script does in its tree stays there: the next tree is as clean as the first.
func TestTreesAreApart(t *testing.T) {
	t.Parallel()
	r := newRepo(t)
	sha := r.push("main", "one")
	f := newFixture(t)
	tree := f.get(f.want(r.dir, "refs/heads/main", sha))
	in(t, tree, "config", "core.hooksPath", "/evil")
	in(t, tree, "checkout", "-q", "-b", "work")
	in(t, tree, "tag", "mine")
	in(t, tree, "commit", "-q", "--allow-empty", "-m", "x")
	in(t, tree, "gc", "-q", "--prune=now")
	in(t, tree, "fetch", "-q", "origin")
	next := f.get(f.want(r.dir, "refs/heads/main", sha))
	for _, args := range [][]string{{"branch", "--list", "work"}, {"tag", "--list", "mine"}} {
		if got := in(t, next, args...); got != "" {
			t.Errorf("git %q says %q in the next tree", args, got)
		}
	}
	if text := content(t, filepath.Join(next, ".git", "config")); strings.Contains(text, "hooksPath") {
		t.Errorf("the next tree's settings are %s", text)
	}
	if err := os.RemoveAll(f.store.dir); err != nil {
		t.Fatal(err)
	}
	in(t, next, "fsck", "--full") // a tree that is kept stands on its own
}

// Credentials of the config go to the host that they are for, and stand in no argument, no file and no line.
func TestToken(t *testing.T) {
	t.Parallel()
	r := newRepo(t)
	sha := r.push("main", "one")
	const token = "t0ken-that-nobody-sees"
	web := r.serve(func(w http.ResponseWriter, req *http.Request) bool {
		user, password, _ := req.BasicAuth()
		if user == "x-access-token" && password == token {
			return true
		}
		w.Header().Set("WWW-Authenticate", `Basic realm="r"`)
		http.Error(w, "who? "+token, http.StatusUnauthorized)
		return false
	})
	f := newFixture(t)
	request := f.want(web.url(), "refs/heads/main", sha)
	_, err := f.store.Checkout(t.Context(), request)
	if err == nil || !strings.Contains(err.Error(), "could not read Username for") {
		t.Fatalf("without a token: %v", err)
	}
	request.Token = secret.New(token)
	tree := f.get(request)
	if text := f.said.String(); strings.Contains(text, token) {
		t.Errorf("said %s", text)
	}
	err = filepath.WalkDir(f.dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.Contains(content(t, path), token) {
			t.Errorf("%s holds the token", path)
		}
		return err
	})
	if err != nil || tree == "" {
		t.Error(err)
	}
}

// Submodules come when they are asked for, by http alone: a commit cannot name a folder of this machine.
func TestSubmodules(t *testing.T) {
	t.Parallel()
	sub := newRepo(t)
	sub.push("main", "the submodule")
	subWeb := sub.serve(nil)
	r := newRepo(t)
	r.git("submodule", "--quiet", "add", subWeb.url(), "sub")
	sha := r.push("main", "one")
	web := r.serve(nil)
	f := newFixture(t)
	request := f.want(web.url(), "refs/heads/main", sha)
	if _, err := os.Stat(filepath.Join(f.get(request), "sub", "file")); err == nil {
		t.Error("submodules came, and nobody asked")
	}
	request = f.want(web.url(), "refs/heads/main", sha)
	request.Submodules = true
	if text := content(t, filepath.Join(f.get(request), "sub", "file")); text != "the submodule" {
		t.Errorf("the submodule's file says %q", text)
	}
	r.git("config", "-f", ".gitmodules", "submodule.sub.url", sub.dir)
	request = f.want(web.url(), "refs/heads/main", r.push("main", "a folder of this machine"))
	request.Submodules = true
	_, err := f.store.Checkout(t.Context(), request)
	if err == nil || !strings.Contains(f.said.String(), "transport 'file' not allowed") {
		t.Errorf("got %v\n%s", err, f.said.String())
	}
	if _, err := os.Stat(request.Tree); err == nil {
		t.Error("the tree that failed is still there")
	}
}

// A short history is short, also of a commit that is not the newest.
func TestDepth(t *testing.T) {
	t.Parallel()
	r := newRepo(t)
	r.push("main", "first")
	commits := r.many("main", 5)
	web := r.serve(nil)
	f := newFixture(t)
	for _, sha := range []string{commits[4], commits[1], commits[3]} {
		request := f.want(web.url(), "refs/heads/main", sha)
		request.Depth = 1
		tree := f.get(request)
		if head := in(t, tree, "rev-parse", "HEAD"); head != sha {
			t.Errorf("HEAD is %s, want %s", head, sha)
		}
		in(t, tree, "status")
	}
	request := f.want(web.url(), "refs/heads/main", commits[4])
	request.Depth = 2
	if log := in(t, f.get(request), "log", "--format=%s"); log != "4\n3" {
		t.Errorf("log is %q", log)
	}
}

// A checkout that is cut short ends at once, says why, leaves nothing, and does not hold up the next.
func TestCutShort(t *testing.T) {
	t.Parallel()
	r := newRepo(t)
	sha := r.push("main", "one")
	reached, stuck := make(chan struct{}), make(chan struct{})
	var once sync.Once
	web := r.serve(func(_ http.ResponseWriter, req *http.Request) bool {
		select {
		case <-stuck:
			return true
		default:
		}
		once.Do(func() { close(reached) })
		select {
		case <-stuck:
		case <-req.Context().Done():
		}
		return false
	})
	f := newFixture(t)
	why := errors.New("no more time")
	ctx, cancel := context.WithCancelCause(t.Context())
	var ended time.Time
	go func() {
		<-reached
		ended = time.Now()
		cancel(why)
	}()
	request := f.want(web.url(), "refs/heads/main", sha)
	_, err := f.store.Checkout(ctx, request)
	if took := time.Since(ended); !errors.Is(err, why) || took > 3*time.Second {
		t.Errorf("got %v after %v", err, took)
	}
	close(stuck)
	f.get(f.want(web.url(), "refs/heads/main", sha))
}
