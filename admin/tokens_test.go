package admin

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lightspeed/api"
	"lightspeed/run"
)

// token makes one by admin-1, and returns its text.
func (f *fixture) token(role string, listeners ...string) string {
	f.Helper()
	made, err := f.clientWith("admin-1").MakeToken(f.Context(), api.NewToken{Role: role, Listeners: listeners})
	if err != nil {
		f.Fatal(err)
	}
	return made.Text
}

func TestTokenLife(t *testing.T) {
	f := start(t, withTokens)
	admin := f.clientWith("admin-1")
	made, err := admin.MakeToken(t.Context(), api.NewToken{Role: api.RoleViewer, Note: "kitchen"})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(made.Text, "lightspeed_") || len(made.Text) < 50 || made.LastUsedAt != nil {
		t.Errorf("made %+v", made)
	}
	own := f.clientWith(made.Text)
	if _, err := own.Runs(t.Context(), api.RunFilter{}); err != nil {
		t.Fatal(err)
	}
	_, err = own.Prune(t.Context(), false)
	if refused := f.wantCode(err, 403, api.Forbidden); refused.Message != "this token may not do that: it can only look" {
		t.Error(refused.Message)
	}
	list, err := admin.Tokens(t.Context())
	if err != nil || len(list.Items) != 1 || *list.Items[0].Note != "kitchen" || list.Items[0].LastUsedAt == nil {
		t.Fatalf("list %+v, %v", list, err)
	}

	f.end()
	for _, file := range []string{"admin.db", "admin.db-wal"} {
		content, err := os.ReadFile(filepath.Join(f.state, file))
		if err == nil && bytes.Contains(content, []byte(made.Text)) {
			t.Errorf("%s holds the token itself", file)
		}
	}
	again := startIn(t, f.state) // the static tokens are gone: those that are kept are asked for
	_, err = again.client.Runs(t.Context(), api.RunFilter{})
	again.wantCode(err, 401, api.Unauthorized)
	if _, err := again.clientWith(made.Text).Runs(t.Context(), api.RunFilter{}); err != nil {
		t.Error(err)
	}
	again.end()

	last := startIn(t, f.state, withTokens)
	if err := last.clientWith("admin-1").RevokeToken(t.Context(), made.ID); err != nil {
		t.Fatal(err)
	}
	_, err = last.clientWith(made.Text).Runs(t.Context(), api.RunFilter{})
	last.wantCode(err, 401, api.Unauthorized)
	last.wantCode(last.clientWith("admin-1").RevokeToken(t.Context(), made.ID), 404, api.NotFound)
}

func TestFirstTokenLocks(t *testing.T) {
	f := start(t)
	_, err := f.client.MakeToken(t.Context(), api.NewToken{Role: api.RoleHooks})
	f.wantCode(err, 409, api.Conflict)
	made, err := f.client.MakeToken(t.Context(), api.NewToken{Role: api.RoleAdmin})
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.client.Runs(t.Context(), api.RunFilter{})
	f.wantCode(err, 401, api.Unauthorized)
	own := f.clientWith(made.Text)
	if refused := f.wantCode(own.RevokeToken(t.Context(), made.ID), 409, api.Conflict); refused.Message != "this is the last token of role admin: make another first" {
		t.Error(refused.Message)
	}
	second, err := own.MakeToken(t.Context(), api.NewToken{Role: api.RoleAdmin})
	if err != nil {
		t.Fatal(err)
	}
	if err := f.clientWith(second.Text).RevokeToken(t.Context(), made.ID); err != nil {
		t.Error(err)
	}
}

func TestTokensThatAreRefused(t *testing.T) {
	f := start(t, withTokens)
	for want, n := range map[string]api.NewToken{
		`role "root" is none of [admin viewer hooks listener]`: {Role: "root"},
		`only a listener's token is bound to listeners`:        {Role: api.RoleHooks, Listeners: []string{"web"}},
		`listeners: "[" is not a name or a pattern`:            {Role: api.RoleListener, Listeners: []string{"["}},
		`note is longer than 200 bytes`:                        {Role: api.RoleAdmin, Note: strings.Repeat("n", 201)},
	} {
		_, err := f.clientWith("admin-1").MakeToken(t.Context(), n)
		if refused := f.wantCode(err, 400, api.BadRequest); refused.Message != want {
			t.Errorf("%s, want %s", refused.Message, want)
		}
	}
}

// TestBoundToken: whom a listener's token speaks for is told by the token, whatever path and body say.
func TestBoundToken(t *testing.T) {
	f := start(t, withTokens)
	bound := f.clientWith(f.token(api.RoleListener, "web", "team-*"))
	f.client = f.clientWith("listen-1")
	other := f.listener("other")
	f.client = bound
	web := f.listener("web")
	f.listener("team-a")
	_, err := bound.Register(t.Context(), "other", other.reg)
	f.wantCode(err, 403, api.Forbidden)
	_, err = bound.Register(t.Context(), "team-a/x", api.Registration{})
	f.wantCode(err, 403, api.Forbidden)
	_, err = bound.Claim(t.Context(), "other", other.request(), 0)
	if refused := f.wantCode(err, 403, api.Forbidden); refused.Message != "this token may not do that: it can only speak for listeners web, team-*" {
		t.Error(refused.Message)
	}

	f.client = f.clientWith("hooks-1")
	f.push("d1", "main")
	f.client = f.clientWith("listen-1")
	theirs := other.mustClaim()
	f.client = bound
	own := web.mustClaim()
	_, err = bound.Renew(t.Context(), refOf(theirs), 0)
	f.wantCode(err, 403, api.Forbidden)
	_, err = bound.AppendLog(t.Context(), refOf(theirs), 0, []byte("x"))
	f.wantCode(err, 403, api.Forbidden)
	for range 2 { // while it runs, and when it has ended
		_, err = bound.Finish(t.Context(), refOf(theirs), api.Finish{Status: run.Failed})
		f.wantCode(err, 403, api.Forbidden)
		f.client = f.clientWith("listen-1")
		other.finish(theirs, run.Passed)
	}
	f.client = bound
	web.finish(own, run.Passed)
	_, err = bound.Renew(t.Context(), run.Ref{Run: "nothing", Attempt: 1}, 0)
	f.wantCode(err, 404, api.NotFound)
}

// TestOwnTokensLockNothing: roles in the same process have tokens, and people still need none.
func TestOwnTokensLockNothing(t *testing.T) {
	own := func(o *Options) { o.OwnHooksToken, o.OwnListenerToken = secrets("h")[0], secrets("l")[0] }
	f := start(t, own)
	if _, err := f.client.Runs(t.Context(), api.RunFilter{}); err != nil || f.server.Guarded() {
		t.Error(err)
	}
	locked := start(t, own, withTokens)
	locked.client = locked.clientWith("l")
	locked.listener("web")
	locked.client = locked.clientWith("h")
	locked.push("d1", "main")
	_, err := locked.client.Runs(t.Context(), api.RunFilter{})
	locked.wantCode(err, 403, api.Forbidden)
}
