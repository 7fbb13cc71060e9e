package hooks

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/hex"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lightspeed/event"
)

// forges are what Gitea and Forgejo put above a delivery: GitHub's headers, and several families of their own.
// https://forgejo.org/docs/latest/user/webhooks/ and https://docs.gitea.com/usage/webhooks
var forges = map[string][]string{
	"Gitea":   {"X-GitHub", "X-Gogs", "X-Gitea"},
	"Forgejo": {"X-GitHub", "X-Gogs", "X-Gitea", "X-Forgejo"},
}

// sendAs makes a request as a forge sends it.
func sendAs(forge, at, id, name, kind, body string) *http.Request {
	r := post(at, id, body, header("User-Agent", "Go-http-client/1.1"))
	for _, family := range forges[forge] {
		r.Header.Set(family+"-Delivery", id)
		r.Header.Set(family+"-Event", name)
		r.Header.Set(family+"-Event-Type", kind)
		if family != "X-GitHub" {
			r.Header.Set(family+"-Signature", strings.TrimPrefix(sign(key, body), "sha256="))
		}
	}
	mac := hmac.New(sha1.New, []byte(key))
	mac.Write([]byte(body))
	r.Header.Set("X-Hub-Signature", "sha1="+hex.EncodeToString(mac.Sum(nil)))
	return r
}

// Pushes and pull requests of Gitea and Forgejo, as they send them, are accepted and read as GitHub's are.
func TestOtherForges(t *testing.T) {
	admin := newFakeAdmin(t)
	at, c := newSetup(t, admin.client(t)).serve(t), client(t)
	for _, one := range []struct {
		file, event, kind string
		want              event.Event
	}{
		{"push-gitea.json", "push", "push", event.Event{Name: event.Push, Branch: "main"}},
		{"push-gitea-new-branch.json", "push", "push", event.Event{Name: event.Push, Branch: "topic/new"}},
		{"push-gitea-delete.json", "push", "push", event.Event{Name: event.Push, Branch: "topic/old", Deleted: true}},
		{"pull_request-gitea-synchronized.json", "pull_request", "pull_request_sync",
			event.Event{Name: event.PullRequest, Action: "synchronize", Branch: "topic/hello"}},
	} {
		body, err := os.ReadFile(filepath.Join("../testdata/deliveries", one.file))
		if err != nil {
			t.Fatal(err)
		}
		for forge := range forges {
			id := forge + "-" + strings.TrimSuffix(one.file, ".json")
			if r := do(t, c, sendAs(forge, at, id, one.event, one.kind, string(body))); r.status != http.StatusAccepted {
				t.Errorf("%s %s: %d %s", forge, one.file, r.status, r.body)
				continue
			}
			got, err := event.Parse(admin.delivery(id))
			if err != nil || got.Name != one.want.Name || got.Action != one.want.Action || got.Branch != one.want.Branch ||
				got.Deleted != one.want.Deleted || got.Repo != "octocat/hello-world" || got.Fork {
				t.Errorf("%s %s is read as %+v, %v", forge, one.file, got, err)
			}
		}
	}
}

// The forges' own signatures, and SHA-1, open nothing.
func TestOtherSignaturesCountForNothing(t *testing.T) {
	at, c := newSetup(t, newFakeAdmin(t).client(t)).serve(t), client(t)
	r := sendAs("Forgejo", at, "unsigned", "push", "push", push)
	r.Header.Del("X-Hub-Signature-256")
	if got := do(t, c, r); got.status != http.StatusUnauthorized {
		t.Errorf("without X-Hub-Signature-256: %d %s", got.status, got.body)
	}
}
