package discord

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lightspeed/notify"
	"lightspeed/run"
)

var update = flag.Bool("update", false, "write the golden messages anew")

func changed(n notify.Notice, change func(*notify.Notice)) notify.Notice {
	change(&n)
	return n
}

func TestGoldenMessages(t *testing.T) {
	who, err := parseCall([]string{"@here", "<@80351110224678912>"})
	if err != nil {
		t.Fatal(err)
	}
	failed := notice("0d1f2g3h4j5k6m7", run.Failed)
	for name, m := range map[string]message{
		"running": render(ptr(due(notice("0d1f2g3h4j5k6m7", run.Running))), false),
		"passed":  render(ptr(due(notice("0d1f2g3h4j5k6m7", run.Passed))), false),
		"failed":  render(ptr(due(failed)), false),
		"call":    renderCall(ptr(calling(failed)), who, false),
		"recovered": render(&notify.Telling{Due: true, Recovered: true, Notice: changed(notice("r2", run.Passed), func(n *notify.Notice) {
			n.Page, n.Event.URL = "", ""
		})}, false),
		"pull-request": render(ptr(due(changed(notice("r3", run.TimedOut), func(n *notify.Notice) {
			n.Event = notify.Head{
				Name: "pull_request", Action: "synchronize", Repo: "acme/site", Ref: "refs/pull/7/head", Branch: "fix/[login]", Base: "main", PR: 7,
				SHA: commitSHA, Message: "Fix the login *form*", Author: "ann_a", URL: "https://github.com/acme/site/pull/7",
			}
			n.Reason, n.ExitCode, n.Attempt, n.Cause, n.RetryOf = "ran for longer than 1h", nil, 2, run.ByRetry, "0d1f2g3h4j5k6m6"
		}))), false),
		"tag-lost": render(ptr(due(changed(notice("r4", run.Lost), func(n *notify.Notice) {
			n.Event.Ref, n.Event.Branch, n.Event.Tag = "refs/tags/v1.0", "", "v1.0"
			n.Reason, n.Step, n.ExitCode, n.Log.Text, n.Cause = "its listener was gone for 30s", "", nil, nil, run.ByTrigger
		}))), false),
		"deleted-errored": render(ptr(due(changed(notice("r5", run.Errored), func(n *notify.Notice) {
			n.Event.SHA, n.Event.Deleted, n.Event.Message, n.Event.Author = "", true, "", ""
			n.Reason, n.Step, n.ExitCode, n.StartedAt, n.Log.Text = "cwd: no such file or directory", "", nil, time.Time{}, nil
		}))), false),
		"cancelled": render(ptr(due(changed(notice("r6", run.Cancelled), func(n *notify.Notice) {
			n.Reason, n.Step, n.ExitCode = "superseded by run r7", "", nil
		}))), false),
	} {
		golden(t, name, m)
	}
}

func ptr[T any](v T) *T { return &v }

func golden(t *testing.T, name string, m message) {
	t.Helper()
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(m); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("testdata", name+".json")
	if *update {
		if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(b.Bytes(), want) {
		t.Errorf("%s is now\n%s", path, b.String())
	}
}

func TestLinks(t *testing.T) {
	for address, want := range map[string]string{
		"https://github.com/a/b/compare/x...y": "https://github.com/a/b/compare/x...y",
		"http://ci:8080/runs/1?a=b&c=d#e":      "http://ci:8080/runs/1?a=b&c=d#e",
		"https://x.test/a)b(c[d]":              "https://x.test/a%29b%28c%5Bd%5D",
		"https://x.test/a b\n":                 "",
		"https://x.test/ö":                     "https://x.test/%C3%B6",
		"https://x<y>.test/":                   "",
		"https://x.test:/":                     "",
		"https://[::1]/":                       "",
		"javascript:alert(1)":                  "",
		"//x.test":                             "",
		"https://user@x.test":                  "",
		"":                                     "",
		"https://x.test/" + strings.Repeat("a", linkBytes): "",
	} {
		if got := link(address); got != want {
			t.Errorf("%q: got %q, want %q", address, got, want)
		}
	}
}
