package match

import (
	"testing"

	"lightspeed/event"
)

func pushTo(branch string, files ...string) event.Event {
	return event.Event{Name: event.Push, Repo: "me/my-repo", Ref: "refs/heads/" + branch, Branch: branch,
		SHA: "6113728f27ae82c7b1a177c8d03f9e96e0adf246", Files: files, FilesKnown: files != nil, Message: "fix the build"}
}

func TestSmoke(t *testing.T) {
	m, err := Compile(Rules{Name: "my-repo-tests", Branches: []string{"main"}})
	if err != nil {
		t.Fatal(err)
	}
	d := m.Match(pushTo("dev"))
	if d.Why != "branches: saw dev, want main" {
		t.Error(d)
	}
	if d := m.Match(pushTo("main")); !d.Matched {
		t.Error(d)
	}
	t.Log(m.Rules().Sentence())
}
