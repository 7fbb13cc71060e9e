package app

import (
	"context"
	"crypto/rand"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lightspeed/api"
	"lightspeed/event"
	"lightspeed/notify/commitstatus/githubtest"
	"lightspeed/run"
)

// The sample pull requests are number 7 of this repository.
const (
	pullRepo = "Octocoders/Hello-World"
	pullSHA  = "ad782ecdac770fc6eb9a62e44f90873fb97fb26b"
)

// sample reads a delivery as GitHub sends it.
func sample(t *testing.T, name string) []byte {
	t.Helper()
	body, err := os.ReadFile(filepath.Join("..", "testdata", "deliveries", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// Which pull requests run: plain pull_request for a new state of the commits, with an action for just that; from forks
// only where that is asked for.
func TestPullRequestsThatRun(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	w.start(w.configs(`[
		{"name": "plain", "repos": ["**"], "events": ["pull_request"], "exec": "true", "cwd": "/"},
		{"name": "closed", "repos": ["**"], "events": ["pull_request:closed"], "exec": "true", "cwd": "/"},
		{"name": "forks", "repos": ["**"], "events": ["pull_request"], "forks": "always", "exec": "true", "cwd": "/"},
		{"name": "base", "repos": ["**"], "events": ["pull_request"], "branches": ["release"], "exec": "true", "cwd": "/"},
		{"name": "pushes", "repos": ["**"], "exec": "true", "cwd": "/"}
	]`))
	for name, want := range map[string]string{
		"pull_request-opened":         "forks plain",
		"pull_request-synchronize":    "forks plain",
		"pull_request-closed":         "closed",
		"pull_request-labeled":        "",
		"pull_request-from-fork":      "forks",
		"pull_request-head-repo-gone": "forks",
	} {
		var got []string
		for _, r := range w.delivered("pull_request", sample(t, name)) {
			got = append(got, r.Listener)
			w.ended(r.ID)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s runs %q, want %q", name, got, want)
		}
	}
}

// A pull request from a fork gets neither secrets nor pass_env, unless that is asked for.
func TestForksGetNoSecrets(t *testing.T) {
	w := newTown(t)
	t.Setenv("OF_THE_MACHINE", "handed-on")
	t.Setenv("SECRET_OF_THE_MACHINE", "s3cret-value")
	listener := func(name, more string) string {
		return `{"name": "` + name + `", "repos": ["**"], "events": ["pull_request"], "forks": "always", "cwd": "/",
			"exec": "echo got ${OF_THE_MACHINE:-nothing} and ${KEY:+a key}", "pass_env": ["OF_THE_MACHINE"],
			"secrets": {"KEY": {"env": "SECRET_OF_THE_MACHINE"}}` + more + `}`
	}
	w.start(w.configs("[" + listener("careful", "") + "," + listener("open", `, "fork_secrets": true`) + "]"))
	for name, want := range map[string]map[string]string{
		"pull_request-from-fork": {"careful": "got nothing and\n", "open": "got handed-on and a key\n"},
		"pull_request-opened":    {"careful": "got handed-on and a key\n", "open": "got handed-on and a key\n"},
	} {
		for _, r := range w.delivered("pull_request", sample(t, name)) {
			w.ended(r.ID)
			if got := w.log(r.ID); got != want[r.Listener] {
				t.Errorf("%s: %s printed %q, want %q", name, r.Listener, got, want[r.Listener])
			}
		}
	}
}

func (w *town) log(id string) string {
	w.t.Helper()
	body, err := w.client.Log(context.Background(), id, api.LogQuery{})
	if err != nil {
		w.t.Fatal(err)
	}
	defer body.Close()
	text, err := io.ReadAll(body)
	if err != nil {
		w.t.Fatal(err)
	}
	return string(text)
}

// What a pull request changes is asked for where there is a token, and then the rules about files count: what they do
// not name is not run, and nobody hears of it. Where it is not known, it runs.
func TestChangedFilesOfAPullRequest(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	w.github.Commit(pullRepo, pullSHA)
	w.start(w.configs(`[
		{"name": "told", "repos": ["**"], "events": ["pull_request"], "files": ["docs/**"], "cwd": "/",
			"exec": "cat \"${LIGHTSPEED_FILES_FILE:-/dev/null}\"", "discord_hook": "` + w.discord.Hook() + `",
			"github_status_token": "TOKEN", "github_url": "GITHUB"},
		{"name": "blind", "repos": ["**"], "events": ["pull_request"], "files": ["docs/**"], "cwd": "/",
			"exec": "echo \"files: $LIGHTSPEED_FILES_FILE\""}
	]`))
	body := sample(t, "pull_request-opened")
	e, err := event.Parse(event.Delivery{ID: rand.Text(), Event: "pull_request", ContentType: "application/json", Body: body})
	if err != nil {
		t.Fatal(err)
	}
	play := func() (told, blind run.Run) {
		t.Helper()
		for _, r := range w.delivered("pull_request", body) {
			if r.Listener == "told" {
				told = w.ended(r.ID)
			} else {
				blind = w.ended(r.ID)
			}
		}
		return told, blind
	}

	w.github.Pull(pullRepo, e.PR, githubtest.File{Name: "src/main.go"}, githubtest.File{Name: "Makefile"})
	told, blind := play()
	const why = "not for this listener, as what the pull request changes shows: files: "
	if told.Status != run.Cancelled || told.Reason == nil || !strings.HasPrefix(*told.Reason, why) {
		t.Errorf("without a file that is named: %+v", told)
	}
	if blind.Status != run.Passed || w.log(blind.ID) != "files: \n" {
		t.Errorf("without a token: %+v, %q", blind, w.log(blind.ID))
	}

	w.github.Pull(pullRepo, e.PR, githubtest.File{Name: "src/main.go"}, githubtest.File{Name: "guide.md", Previous: "docs/guide.md"})
	told, _ = play()
	if got := w.log(told.ID); told.Status != run.Passed || got != "docs/guide.md\nguide.md\nsrc/main.go\n" {
		t.Errorf("with one: %+v, %q", told, got)
	}
	w.told(1, "told passed") // of the first nobody has heard

	w.github.Before(func(r *http.Request) *githubtest.Answer {
		if strings.Contains(r.URL.Path, "/pulls/") {
			return &githubtest.Answer{Status: 403, Body: `{"message": "Resource not accessible by personal access token"}`}
		}
		return nil
	})
	told, _ = play()
	if got := w.log(told.ID); told.Status != run.Passed || got != "" {
		t.Errorf("with a token that may not ask: %+v, %q", told, got)
	}
	w.told(2, "told passed")
	w.until("statuses are set for the runs that ran", func() bool {
		all := w.github.Statuses()
		return len(all) > 0 && all[len(all)-1].State == "success"
	})
	for _, s := range w.github.Statuses() {
		if s.State != "pending" && s.State != "success" {
			t.Errorf("status %+v", s)
		}
	}
}
