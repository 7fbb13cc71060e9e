package listener

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"lightspeed/api"
	"lightspeed/listener/config"
)

// polled keeps what a listener has found.
func (f *fakeAdmin) polled(_ http.ResponseWriter, r *http.Request) (any, *api.Error) {
	var p api.Polled
	if err := json.NewDecoder(r.Body).Decode(&p); err != nil {
		return nil, api.Errorf(400, api.BadRequest, "%v", err)
	}
	f.with(func() { f.found = append(f.found, p) })
	return api.Receipt{Status: api.Accepted}, nil
}

// TestPoll: what is there at first counts as known; what came while the listener was away is found, once, with what
// the mirror knows of it.
func TestPoll(t *testing.T) {
	dir, first := repository(t)
	git := func(args ...string) string {
		cmd := exec.Command("git", append([]string{"-c", "user.name=a", "-c", "user.email=a@example.com"}, args...)...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("git %q: %v\n%s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	git("branch", "old")
	f := newFakeAdmin(t)
	c := inTree(dir, "true")
	c.Rules.Branches, c.Rules.Tags, c.Rules.Deletes = []string{"*"}, []string{"v*"}, true
	c.Poll = time.Hour
	state := t.TempDir()
	look := func(want int) []api.Polled {
		t.Helper()
		s := listen(t, f, c, state)
		eventually(t, "a look", func() bool {
			text, err := os.ReadFile(state + "/" + polledFile)
			f.mu.Lock()
			defer f.mu.Unlock()
			return err == nil && len(f.found) >= want && strings.Contains(string(text), git("rev-parse", "HEAD")) && strings.Contains(string(text), "refs/tags/v1") == (want > 0)
		})
		s.stop()
		s.wait(t)
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.found
	}
	if found := look(0); len(found) > 0 {
		t.Errorf("found %+v at first", found)
	}
	if err := os.WriteFile(dir+"/file", []byte("changed\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	git("commit", "-q", "-a", "-m", "second")
	second := git("rev-parse", "HEAD")
	git("tag", "-a", "-m", "tagged", "v1")
	git("tag", "other")
	git("branch", "-D", "old")
	zeros := strings.Repeat("0", 40)
	found := look(3)
	if len(found) != 3 {
		t.Fatalf("found %+v", found)
	}
	for i, want := range []api.Polled{
		{Repo: "a/b", Branch: "main", SHA: second, Before: first, Files: []string{"file"}, Message: "second"},
		{Repo: "a/b", Branch: "old", SHA: zeros, Before: first},
		{Repo: "a/b", Tag: "v1", SHA: second, Before: zeros, Message: "second"},
	} {
		if got, _ := json.Marshal(found[i]); string(got) != jsonOf(t, want) {
			t.Errorf("found %s, want %s", got, jsonOf(t, want))
		}
	}
	if again := look(3); len(again) != 3 {
		t.Errorf("found again: %+v", again[3:])
	}
}

func jsonOf(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestPollWhileItCannot: a repository that is not there is said once, and nothing is found.
func TestPollWhileItCannot(t *testing.T) {
	f := newFakeAdmin(t)
	c := conf("true")
	c.Checkout, c.Poll = &config.Checkout{URL: "/nowhere/at/all"}, 20*time.Millisecond
	s := listen(t, f, c, t.TempDir())
	eventually(t, "that it is said", func() bool { return s.said.times("repository cannot be looked at") > 0 })
	s.stop()
	s.wait(t)
	if n := s.said.times("repository cannot be looked at"); n != 1 || len(f.found) > 0 {
		t.Errorf("said %d times, found %+v", n, f.found)
	}
}
