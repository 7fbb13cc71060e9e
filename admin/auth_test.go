package admin

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"lightspeed/api"
	"lightspeed/secret"
)

func secrets(texts ...string) []secret.Value {
	var list []secret.Value
	for _, text := range texts {
		list = append(list, secret.New(text))
	}
	return list
}

func withTokens(o *Options) {
	o.AdminTokens, o.HooksTokens, o.ListenerTokens = secrets("admin-1", "admin-2"), secrets("hooks-1"), secrets("listen-1")
}

// call makes a request as it is told, and returns the status and the body.
func (f *fixture) call(method, path, body string, header ...string) (int, string) {
	f.Helper()
	req, err := http.NewRequestWithContext(f.Context(), method, f.http.URL+path, strings.NewReader(body))
	if err != nil {
		f.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			req.Host = header[i+1]
		}
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := f.http.Client().Do(req)
	if err != nil {
		f.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		f.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// Which kind of token may use which route; every route is asked for with every kind.
func TestWhoMayDoWhat(t *testing.T) {
	f := start(t, withTokens)
	const unauthorized = `{"error":{"code":"unauthorized","message":"a bearer token that admin knows is needed"}}`
	tokens := map[string]who{
		"": 0, "wrong": 0, "lightspeed_wrong": 0, "admin-1": people, "admin-2": people, "hooks-1": hooks, "listen-1": listening,
		f.token(api.RoleAdmin): people, f.token(api.RoleViewer): viewing, f.token(api.RoleHooks): hooks, f.token(api.RoleListener): listening,
	}
	for _, r := range f.server.table() {
		path := strings.NewReplacer("{id}", "x1", "{name}", "web").Replace(r.path)
		if strings.HasSuffix(path, "/events") {
			path += "?unknown" // is refused after the token was looked at: the stream would not end
		}
		for token, kind := range tokens {
			header := []string{}
			if token != "" {
				header = []string{"Authorization", "Bearer " + token}
			}
			status, body := f.call(r.method, path, "", header...)
			switch {
			case r.may == anyone || kind == people || kind&r.may != 0:
				if status == 401 || (status == 403 && r.method != "DELETE") {
					t.Errorf("%s %s with token %q: %d %s", r.method, path, token, status, body)
				}
			case kind == 0:
				if status != 401 || body != unauthorized {
					t.Errorf("%s %s with token %q: %d %s", r.method, path, token, status, body)
				}
			case status != 403:
				t.Errorf("%s %s with token %q: %d %s", r.method, path, token, status, body)
			}
		}
	}
	for _, c := range []struct{ path, token string }{{"/nothing", ""}, {"/api/v1/nothing", "wrong"}} {
		if status, body := f.call("GET", c.path, "", "Authorization", "Bearer "+c.token); status != 401 || body != unauthorized {
			t.Errorf("GET %s: %d %s", c.path, status, body)
		}
	}
	for _, header := range []string{"Basic admin-1", "admin-1", "Bearer", "Bearer admin-1 x", "Bearer admin"} {
		if status, body := f.call("GET", "/api/v1/runs", "", "Authorization", header); status != 401 || body != unauthorized {
			t.Errorf("%s: %d %s", header, status, body)
		}
	}
}

// TestEveryRouteSaysWhoMay: what changes something is no reader's, and every route has a known kind.
func TestEveryRouteSaysWhoMay(t *testing.T) {
	f := start(t)
	for _, r := range f.server.table() {
		if r.method != "GET" && r.may&viewing != 0 {
			t.Errorf("%s %s is open to viewers", r.method, r.path)
		}
		if r.may == anyone && r.path != "/healthz" && r.path != "/readyz" && r.path != "/api/v1/openapi.json" {
			t.Errorf("%s %s is open to anyone", r.method, r.path)
		}
		if r.may&listening != 0 && !strings.Contains(r.path, "{name}") && !strings.Contains(r.path, "{id}") {
			t.Errorf("%s %s names no listener that a token could be bound to", r.method, r.path)
		}
	}
}

func TestRefusedTokensSayWhatTheyMayDo(t *testing.T) {
	f := start(t, withTokens)
	for token, want := range map[string]string{
		"hooks-1":  `{"error":{"code":"forbidden","message":"this token may not do that: it can only hand in deliveries"}}`,
		"listen-1": `{"error":{"code":"forbidden","message":"this token may not do that: it can only do what listeners do"}}`,
	} {
		if status, body := f.call("GET", "/api/v1/runs", "", "Authorization", "Bearer "+token); status != 403 || body != want {
			t.Errorf("%s: %d %s", token, status, body)
		}
	}
}

// A listener's token may take away only what leaves with its listener.
func TestListenerTokenRemovesOnlyTemporaryListeners(t *testing.T) {
	f := start(t, withTokens)
	own := f.clientWith("listen-1")
	f.client = own
	f.listener("web")
	f.listener("test", func(r *api.Registration) { r.Temporary = true })
	f.wantCode(own.RemoveListener(t.Context(), "web", true), 403, api.Forbidden)
	if err := own.RemoveListener(t.Context(), "test", false); err != nil {
		t.Error(err)
	}
	if err := f.clientWith("admin-1").RemoveListener(t.Context(), "web", true); err != nil {
		t.Error(err)
	}
}

func TestWithoutTokensOnlyLoopbackNamesAreServed(t *testing.T) {
	f := start(t)
	for host, want := range map[string]int{
		"localhost": 200, "LOCALHOST:8080": 200, "127.0.0.1": 200, "127.9.9.9:1": 200, "[::1]:8080": 200, "[::1]": 200,
		"evil.example": 403, "evil.example:8080": 403, "10.0.0.1": 403, "localhost.evil.example": 403, "127.0.0.1.evil.example": 403,
	} {
		for _, path := range []string{"/api/v1/runs", "/healthz"} {
			if status, body := f.call("GET", path, "", "Host", host); status != want {
				t.Errorf("%s of %s: %d %s", path, host, status, body)
			}
		}
	}
	status, body := f.call("POST", "/api/v1/runs/x/cancel", "", "Sec-Fetch-Site", "cross-site")
	if status != 403 || !strings.Contains(body, "cross-origin") {
		t.Errorf("another origin's page: %d %s", status, body)
	}
	if status, _ := f.call("POST", "/api/v1/runs/x/cancel", "", "Sec-Fetch-Site", "same-origin"); status != 404 {
		t.Errorf("its own page: %d", status)
	}
}

func TestInsecureNoAuthServesEveryName(t *testing.T) {
	f := start(t, func(o *Options) { o.InsecureNoAuth = true })
	if status, _ := f.call("GET", "/api/v1/runs", "", "Host", "ci.example"); status != 200 {
		t.Errorf("status %d", status)
	}
}

func TestWithTokensEveryNameIsServed(t *testing.T) {
	f := start(t, withTokens)
	if status, _ := f.call("GET", "/api/v1/runs", "", "Host", "ci.example", "Authorization", "bearer admin-2"); status != 200 {
		t.Errorf("status %d", status)
	}
}
