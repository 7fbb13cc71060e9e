package admin

import (
	"context"
	"testing"

	"lightspeed/secret"
)

// TestSessionsAreKnown has a page that stays open keep its connection like a caller with a token, for as long as its
// session lasts.
func TestSessionsAreKnown(t *testing.T) {
	t.Parallel()
	known := 0
	f := start(t, func(o *Options) {
		o.AdminTokens = []secret.Value{secret.New("right")}
		o.Known = func(context.Context) { known++ }
	})
	session, _, ok, err := f.server.Login(t.Context(), "right")
	if err != nil || !ok {
		t.Fatalf("login: %t, %v", ok, err)
	}
	known = 0
	for _, visit := range []struct {
		session string
		known   int
	}{{"made up", 0}, {session, 1}} {
		if _, ok, err := f.server.Visitor(t.Context(), visit.session); err != nil || ok != (visit.known > 0) || known != visit.known {
			t.Errorf("session %q: there is %t, known %d times: %v", visit.session, ok, known, err)
		}
	}
	if err := f.server.Logout(t.Context(), session); err != nil {
		t.Fatal(err)
	}
	if _, ok, _ := f.server.Visitor(t.Context(), session); ok || known != 1 {
		t.Errorf("a session that is over: there is %t, known %d times", ok, known)
	}
}
