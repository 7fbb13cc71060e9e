package listener

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lightspeed/api"
	"lightspeed/event"
	"lightspeed/listener/config"
)

// clearEnvironment leaves nothing of the real environment but what a test sets.
func clearEnvironment(t *testing.T, vars map[string]string) {
	t.Helper()
	for _, name := range append(slices.Clone(inherited), "LC_ALL", "LC_CTYPE", "LC_MESSAGES") {
		t.Setenv(name, "") // restored at the end
	}
	for name, value := range vars {
		t.Setenv(name, value)
	}
}

func TestEnvironment(t *testing.T) {
	clearEnvironment(t, map[string]string{
		"PATH": "/bin", "HOME": "/home/x", "LC_ALL": "C", "LISTENER_TOKEN": "secret", "WANTED": "w", "LIGHTSPEED_TOKEN": "secret",
	})
	c := config.Config{Cwd: "/w", Env: map[string]string{"HOME": "/other", "MINE": "1"}, PassEnv: []string{"WANTED", "NOT_SET"}}
	f := facts{
		run: "r1", attempt: 2, listener: "l", delivery: api.DeliveryHead{ID: "d", Event: "pull_request"}, payload: "/p", files: "/f",
		event: event.Event{
			Action: "opened", Repo: "a/b", Ref: "refs/pull/7/head", Branch: "feature/x", Base: "main", SHA: "abc", PR: 7, Pusher: "ann", URL: "https://x",
		},
	}
	env, leftOut := environment(c, f)
	want := []string{
		"CI=true", "HOME=/other", "LANG=", "LC_ALL=C", "LC_CTYPE=", "LC_MESSAGES=",
		"LIGHTSPEED_ACTION=opened", "LIGHTSPEED_ATTEMPT=2", "LIGHTSPEED_BASE=main", "LIGHTSPEED_BEFORE=", "LIGHTSPEED_BRANCH=feature/x",
		"LIGHTSPEED_DELIVERY=d", "LIGHTSPEED_EVENT=pull_request", "LIGHTSPEED_FILES_FILE=/f", "LIGHTSPEED_LISTENER=l",
		"LIGHTSPEED_PAYLOAD_FILE=/p", "LIGHTSPEED_PR=7", "LIGHTSPEED_PUSHER=ann", "LIGHTSPEED_REF=refs/pull/7/head",
		"LIGHTSPEED_REPO=a/b", "LIGHTSPEED_RUN_ID=r1", "LIGHTSPEED_SHA=abc", "LIGHTSPEED_TAG=", "LIGHTSPEED_URL=https://x", "LIGHTSPEED_WORKSPACE=/w",
		"LOGNAME=", "MINE=1", "PATH=/bin", "SHELL=", "TMPDIR=", "TZ=", "USER=", "WANTED=w", "branch=feature/x",
	}
	if diff := cmp.Diff(want, env); diff != "" || leftOut != nil {
		t.Error(diff, leftOut)
	}
}

func TestForksGetNoPassedVariables(t *testing.T) {
	clearEnvironment(t, map[string]string{"WANTED": "token"})
	env, _ := environment(config.Config{PassEnv: []string{"WANTED"}}, facts{event: event.Event{Fork: true}})
	if slices.Contains(env, "WANTED=token") {
		t.Error("a fork's code got what pass_env names")
	}
}

func TestConfigMaySetBranch(t *testing.T) {
	env, _ := environment(config.Config{Env: map[string]string{"branch": "own"}}, facts{event: event.Event{Branch: "main"}})
	if !slices.Contains(env, "branch=own") || !slices.Contains(env, "LIGHTSPEED_BRANCH=main") {
		t.Errorf("got %v", env)
	}
}

// TestVariablesThatCannotBePassed: text from outside may hold anything (promise 5).
func TestVariablesThatCannotBePassed(t *testing.T) {
	long := strings.Repeat("x", config.MaxArgument)
	f := facts{event: event.Event{Branch: "main\x00evil", URL: long, Pusher: "ann\nLD_PRELOAD=x"}}
	env, leftOut := environment(config.Config{}, f)
	want := []string{
		"LIGHTSPEED_BRANCH is left out: it holds a NUL byte",
		"LIGHTSPEED_URL is left out: it is longer than 131071 bytes",
		"branch is left out: it holds a NUL byte",
	}
	if diff := cmp.Diff(want, leftOut); diff != "" {
		t.Error(diff)
	}
	if !slices.Contains(env, "LIGHTSPEED_PUSHER=ann\nLD_PRELOAD=x") {
		t.Error("a line break was not kept as it is")
	}
	for _, entry := range env {
		if strings.HasPrefix(entry, "LIGHTSPEED_URL=") || strings.HasPrefix(entry, "LIGHTSPEED_BRANCH=") {
			t.Errorf("passed in part: %.40q", entry)
		}
	}
}

func TestFilesList(t *testing.T) {
	for _, c := range []struct {
		event event.Event
		want  string
	}{
		{event.Event{}, "unknown"},
		{event.Event{FilesKnown: true}, ""},
		{event.Event{FilesKnown: true, Files: []string{"a", "b c", `d"e\f`, "ü\xff"}}, "a\nb c\nd\"e\\f\nü\xff\n"},
		{event.Event{FilesKnown: true, Files: []string{"a\nb", `"q`, "r\r\\"}}, "\"a\\nb\"\n\"\\\"q\"\n\"r\\r\\\\\"\n"},
	} {
		got := "unknown"
		if list := filesList(c.event); list != nil {
			got = string(list)
		}
		if got != c.want {
			t.Errorf("%q: got %q, want %q", c.event.Files, got, c.want)
		}
	}
}
