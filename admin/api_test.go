package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"lightspeed/api"
	"lightspeed/event"
)

// Calls that are wrong, and the whole answer to each.
func TestWrongCalls(t *testing.T) {
	f := start(t)
	const registration = `{"instance":"i","start":"s","revision":1,"settings":%s}`
	head := []string{"X-GitHub-Delivery", "d1", "X-GitHub-Event", "push", "Content-Type", "application/json"}
	for _, c := range []struct {
		method, path, body string
		header             []string
		status             int
		code               api.Code
		message            string
	}{
		{"GET", "/nothing", "", nil, 404, "not_found", `there is nothing at /nothing`},
		{"DELETE", "/api/v1/runs", "", nil, 405, "bad_request", `DELETE is not allowed here: use GET, HEAD`},
		{"GET", "/api/v1/runs?limit=0", "", nil, 400, "bad_request", `limit \"0\" is not a whole number of at least 1`},
		{"GET", "/api/v1/runs?limit=201", "", nil, 400, "bad_request", `limit 201 is more than 200`},
		{"GET", "/api/v1/runs?limit=x", "", nil, 400, "bad_request", `limit \"x\" is not a whole number of at least 1`},
		{"GET", "/api/v1/runs?limit=1&limit=2", "", nil, 400, "bad_request", `parameter limit is given 2 times`},
		{"GET", "/api/v1/runs?state=passed", "", nil, 400, "bad_request", `unknown parameter \"state\"`},
		{"GET", "/api/v1/runs?status=done", "", nil, 400, "bad_request", `status \"done\" is none of [queued running passed failed errored timed_out cancelled superseded lost]`},
		{"GET", "/api/v1/runs?before=!", "", nil, 400, "bad_request", `before \"!\" is not a value that a list gave as next`},
		{"GET", "/api/v1/runs?%zz", "", nil, 400, "bad_request", `query is not well formed`},
		{"GET", "/api/v1/runs/none", "", nil, 404, "not_found", `there is no run \"none\"`},
		{"GET", "/api/v1/runs/..%2f..%2fetc", "", nil, 404, "not_found", `there is no run \"\"`},
		{"GET", "/api/v1/deliveries/none", "", nil, 404, "not_found", `there is no delivery \"none\"`},
		{"GET", "/api/v1/deliveries/none/explain", "", nil, 404, "not_found", `there is no delivery \"none\"`},
		{"GET", "/api/v1/deliveries/none/payload", "", nil, 404, "not_found", `there is no delivery \"none\"`},
		{"POST", "/api/v1/deliveries/none/replay", "", nil, 404, "not_found", `there is no delivery \"none\"`},
		{"GET", "/api/v1/listeners/none", "", nil, 404, "not_found", `there is no listener \"none\"`},
		{"DELETE", "/api/v1/listeners/none", "", nil, 404, "not_found", `there is no listener \"none\"`},
		{"POST", "/api/v1/listeners/none/trigger", `{"repo":"a/b","branch":"c"}`, nil, 404, "not_found", `there is no listener \"none\"`},
		{"GET", "/api/v1/runs/none/log", "", nil, 404, "not_found", `there is no run \"none\"`},
		{"POST", "/api/v1/runs/none/renew", "", nil, 400, "bad_request", `attempt is needed`},
		{"POST", "/api/v1/runs/none/renew?attempt=1", "", nil, 404, "not_found", `there is no attempt 1 of a run \"none\"`},
		{"POST", "/api/v1/runs/none/renew?attempt=1&wait=-1s", "", nil, 400, "bad_request", `wait \"-1s\" is not a duration such as 30s`},
		{"POST", "/api/v1/runs/none/log?attempt=1", "", nil, 400, "bad_request", `offset is needed`},
		{"POST", "/api/v1/runs/none/log?attempt=1&offset=0", "", nil, 404, "not_found", `there is no attempt 1 of a run \"none\"`},
		{"POST", "/api/v1/runs/none/finish?attempt=1", `{"status":"done"}`, nil, 400, "bad_request", `status \"done\" is none of [passed failed errored timed_out cancelled lost not_started]`},
		{"POST", "/api/v1/runs/none/finish?attempt=1", `{"status":`, nil, 400, "bad_request", `body is not the JSON that is wanted: unexpected EOF`},
		{"POST", "/api/v1/runs/none/finish?attempt=1", `{} {}`, nil, 400, "bad_request", `body goes on after its JSON value`},
		{"POST", "/api/v1/runs/none/finish?attempt=1", "", nil, 400, "bad_request", `body is empty`},
		{"POST", "/api/v1/deliveries/none/replay", `{"listener":["web"]}`, nil, 400, "bad_request", `body is not the JSON that is wanted: json: unknown field \"listener\"`},
		{"POST", "/api/v1/runs/none/cancel", `{"by":"` + strings.Repeat("x", 70000) + `"}`, nil, 413, "too_large", `body is larger than 65536 bytes`},
		{"POST", "/api/v1/queues/web/claim", `{"start":"s","key":"k"}`, nil, 400, "bad_request", `instance must have 1 to 100 characters`},
		{"POST", "/api/v1/queues/web/claim", `{"instance":"a b","start":"s","key":"k"}`, nil, 400, "bad_request", `instance may hold visible ASCII only`},
		{"POST", "/api/v1/queues/web/claim", `{"instance":"i","start":"s","key":"k"}`, nil, 409, "not_registered", `listener \"web\" has no instance \"i\" with start \"s\": register first`},
		{"PUT", "/api/v1/listeners/web", `{"instance":"i","start":"s"}`, nil, 400, "bad_request", `revision 0 is less than 1`},
		{"PUT", "/api/v1/listeners/web", fmt.Sprintf(registration, `{"concurrency":-1}`), nil, 400, "bad_request", `settings.concurrency -1 is not between 1 and 10000`},
		{"PUT", "/api/v1/listeners/web", fmt.Sprintf(registration, `{"when_busy":"wait"}`), nil, 400, "bad_request", `settings.when_busy \"wait\" is none of queue, supersede, latest`},
		{"PUT", "/api/v1/listeners/web", fmt.Sprintf(registration, `{"on_lost":"x"}`), nil, 400, "bad_request", `settings.on_lost \"x\" is neither fail nor requeue`},
		{"PUT", "/api/v1/listeners/web", fmt.Sprintf(registration, `{"timeout_s":-5}`), nil, 400, "bad_request", `settings.timeout_s -5 is not between 0 and 315360000`},
		{"PUT", "/api/v1/listeners/web", fmt.Sprintf(registration, `{"rules":{"name":"other"}}`), nil, 400, "bad_request", `settings.rules.name \"other\" is not the listener's \"web\"`},
		{"POST", "/api/v1/deliveries", `{}`, nil, 400, "bad_request", `header X-GitHub-Delivery is needed`},
		{"POST", "/api/v1/deliveries", `{}`, head[:2], 400, "bad_request", `header X-GitHub-Event is needed`},
		{"POST", "/api/v1/deliveries", `{}`, head[:4], 415, "unsupported_media_type", `content type \"\" is neither application/json nor application/x-www-form-urlencoded`},
		{"POST", "/api/v1/deliveries", `{}`, append([]string{"X-GitHub-Delivery", "trigger-1"}, head[2:]...), 400, "bad_request", `delivery id \"trigger-1\": ids that begin with \"trigger-\" are admin's own`},
		{"POST", "/api/v1/deliveries", `{}`, append([]string{"X-GitHub-Delivery", strings.Repeat("x", 101)}, head[2:]...), 400, "bad_request", `header X-GitHub-Delivery is longer than 100 bytes`},
		{"POST", "/api/v1/deliveries", `{}`, append([]string{"X-GitHub-Delivery", "a b"}, head[2:]...), 400, "bad_request", `header X-GitHub-Delivery may hold visible ASCII only`},
	} {
		status, body := f.call(c.method, c.path, c.body, c.header...)
		want := fmt.Sprintf(`{"error":{"code":"%s","message":"%s"}}`, c.code, c.message)
		if status != c.status || body != want {
			t.Errorf("%s %s %.60s\n got %d %s\nwant %d %s", c.method, c.path, c.body, status, body, c.status, want)
		}
	}
}

func TestAnswersAreJSONThatNobodyKeeps(t *testing.T) {
	f := start(t)
	for _, path := range []string{"/api/v1/runs", "/api/v1/runs/none", "/nothing", "/readyz"} {
		resp, err := http.Get(f.http.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		for key, want := range map[string]string{"Content-Type": "application/json", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"} {
			if got := resp.Header.Get(key); got != want {
				t.Errorf("%s: %s %q, want %q", path, key, got, want)
			}
		}
	}
	resp, err := http.Head(f.http.URL + "/api/v1/runs")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 200 || resp.ContentLength != int64(len(`{"items":[],"next":null}`)) {
		t.Errorf("HEAD: %d, %d bytes", resp.StatusCode, resp.ContentLength)
	}
}

func TestAbsentIsNull(t *testing.T) {
	f := start(t)
	f.listener("web")
	id := f.push("d1", "main").Runs[0].ID
	_, body := f.call("GET", "/api/v1/runs/"+id, "")
	queued := f.run(id).QueuedAt.Format(time.RFC3339Nano)
	want := `{"id":"` + id + `","listener":"web","delivery":"d1","cause":"delivery","retry_of":null,"event":"push","repo":"acme/web","ref":"refs/heads/main",` +
		`"branch":"main","tag":null,"sha":"` + sha("cd1") + `","pr":null,"status":"queued","attempt":0,"reason":null,"exit_code":null,"queued_at":"` + queued + `",` +
		`"started_at":null,"finished_at":null,"log_bytes":0,"log_cut":false,"cancel_requested_at":null,"slot_held_until":null,"attempts":[],"notices":[]}`
	if body != want {
		t.Errorf("got  %s\nwant %s", body, want)
	}
	_, body = f.call("GET", "/api/v1/listeners", "")
	if !strings.HasPrefix(body, `{"items":[{"name":"web","says":"web listens for pushes in every repository","revision":1,`) || !strings.HasSuffix(body, `"last_run":null,"paused":null}],"next":null}`) {
		t.Errorf("listeners %s", body)
	}
}

func TestDeliveriesThatLeadToNothing(t *testing.T) {
	f := start(t)
	f.listener("web", func(r *api.Registration) { r.Settings.Rules.Repos, r.Settings.Rules.Branches = nil, []string{"main"} })
	f.listener("other-project", func(r *api.Registration) { r.Settings.Rules.Repos = nil })
	skipped := f.push("d1", "dev")
	if skipped.Status != api.Accepted || len(skipped.Runs) != 0 || len(skipped.Skipped) != 1 || skipped.Skipped[0].Why != "branches: saw dev, want main" {
		t.Errorf("%+v", skipped)
	}
	head := []string{"X-GitHub-Delivery", "d2", "X-GitHub-Event", "watch", "Content-Type", "application/json; charset=utf-8"}
	if status, body := f.call("POST", "/api/v1/deliveries", `{"action":"started","repository":{"full_name":"a/b"}}`, head...); status != 202 || !strings.Contains(body, `"status":"ignored","why":"`) {
		t.Errorf("ignored: %d %s", status, body)
	}
	if d, err := f.client.Delivery(t.Context(), "d2"); err != nil || d.Status != api.Ignored || d.Why == nil {
		t.Errorf("%+v, %v", d, err)
	}
	head[1], head[3] = "d3", "ping"
	if status, body := f.call("POST", "/api/v1/deliveries", `{"zen":"x"}`, head...); status != 200 || body != `{"delivery":"d3","status":"pong","runs":[],"skipped":[]}` {
		t.Errorf("ping: %d %s", status, body)
	}
	if _, err := f.client.Delivery(t.Context(), "d3"); !api.IsCode(err, api.NotFound) {
		t.Errorf("a ping was stored: %v", err)
	}
	head[1], head[3] = "d4", "push"
	for _, body := range []string{"", "no json", "null", "[]", `{"ref":1}`} {
		if status, answer := f.call("POST", "/api/v1/deliveries", body, head...); status != 400 {
			t.Errorf("%q: %d %s", body, status, answer)
		}
	}
}

// spaces are a body without end.
type spaces struct{}

func (spaces) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

func TestBodiesHaveALimit(t *testing.T) {
	f := start(t)
	for _, length := range []int64{event.MaxPayload + 1, -1} { // told, and not told
		body := io.LimitReader(spaces{}, event.MaxPayload+1)
		req, err := http.NewRequestWithContext(t.Context(), "POST", f.http.URL+"/api/v1/deliveries", body)
		if err != nil {
			t.Fatal(err)
		}
		req.ContentLength = length
		for key, value := range map[string]string{"X-GitHub-Delivery": "d1", "X-GitHub-Event": "push", "Content-Type": "application/json"} {
			req.Header.Set(key, value)
		}
		resp, err := f.http.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		const want = `{"error":{"code":"too_large","message":"body is larger than 26214400 bytes"}}`
		if err != nil || resp.StatusCode != 413 || string(text) != want {
			t.Errorf("length %d: %d %s, %v", length, resp.StatusCode, text, err)
		}
	}
}

// A payload over the size that is handed out at once comes whole, too.
func TestLargePayload(t *testing.T) {
	f := start(t)
	l := f.listener("web")
	d := delivery(t, "d1", event.PushSpec{Repo: "acme/web", Branch: "main", SHA: sha("1"), Message: strings.Repeat("x", 300_000)})
	if _, err := f.client.Deliver(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	if c := l.mustClaim(); !bytes.Equal(c.Payload, d.Body) {
		t.Errorf("%d bytes, want %d", len(c.Payload), len(d.Body))
	}
	if body, err := f.client.Payload(t.Context(), "d1"); err != nil || !bytes.Equal(body, d.Body) {
		t.Errorf("%d bytes, %v", len(body), err)
	}
}

// Deliveries come in while rules change: each is decided by the rules that it was stored with.
func TestRulesChangeWhileDeliveriesCome(t *testing.T) {
	f := start(t)
	l := f.listener("web")
	var group sync.WaitGroup
	for i := range 4 {
		group.Go(func() {
			for n := range 10 {
				id := fmt.Sprintf("d%d-%d", i, n)
				if _, err := f.client.Deliver(t.Context(), delivery(t, id, event.PushSpec{Repo: "acme/web", Branch: "main", SHA: sha(id), Nonce: id})); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for n := range 10 {
		l.reg.Revision++
		l.reg.Settings.Rules.Branches = [][]string{{"main"}, {"dev"}}[n%2]
		l.register()
	}
	group.Wait()
	list, err := f.client.Deliveries(t.Context(), 100, "")
	if err != nil || len(list.Items) != 40 {
		t.Fatalf("%d deliveries, %v", len(list.Items), err)
	}
	for _, d := range list.Items {
		e, err := f.client.Explain(t.Context(), d.ID)
		if err != nil || len(e.Listeners) != 1 {
			t.Fatalf("%+v, %v", e, err)
		}
		if own := e.Listeners[0]; own.Matched != (own.Run != nil) || own.Matched != (len(d.Runs) == 1) {
			t.Errorf("delivery %s: %+v, runs %v", d.ID, own, d.Runs)
		}
	}
}

func TestDuplicateOverHTTP(t *testing.T) {
	f := start(t)
	f.listener("web")
	first := f.push("d1", "main")
	again := f.push("d1", "main")
	if again.Status != api.Duplicate || len(again.Runs) != 1 || again.Runs[0] != first.Runs[0] || len(again.Skipped) != 0 {
		t.Errorf("%+v", again)
	}
}

func TestReady(t *testing.T) {
	f := start(t)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	f.server.Handler().ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(gone, "GET", "http://localhost/readyz", nil))
	if status, body := f.call("GET", "/readyz", ""); status != 200 || body != `{"ready":true,"checks":{"database":"ok"}}` {
		t.Errorf("%d %s", status, body)
	}
	if status, body := f.call("GET", "/healthz", ""); status != 200 || body != "ok\n" {
		t.Errorf("%d %s", status, body)
	}
	if err := f.server.store.Close(); err != nil {
		t.Fatal(err)
	}
	f.server.probe.at = time.Time{}
	if status, body := f.call("GET", "/readyz", ""); status != 503 || body != `{"ready":false,"checks":{"database":"admin is stopping"}}` {
		t.Errorf("%d %s", status, body)
	}
	if status, body := f.call("GET", "/api/v1/runs", ""); status != 503 || body != `{"error":{"code":"unavailable","message":"admin is stopping"}}` {
		t.Errorf("%d %s", status, body)
	}
}

func TestPanicIsAnsweredAndLogged(t *testing.T) {
	f := start(t)
	f.server.rules = nil
	head := []string{"X-GitHub-Delivery", "d1", "X-GitHub-Event", "push", "Content-Type", "application/json"}
	status, body := f.call("POST", "/api/v1/deliveries", string(delivery(t, "d1", event.PushSpec{Repo: "a/b", Branch: "c", SHA: sha("1")}).Body), head...)
	if status != 500 || body != `{"error":{"code":"unavailable","message":"admin has failed: its log says how"}}` {
		t.Errorf("%d %s", status, body)
	}
}

func TestOneAdminPerFolder(t *testing.T) {
	f := start(t)
	_, err := New(Options{State: f.state})
	want := fmt.Sprintf("state folder %s is in use by another lightspeed (pid ", f.state)
	if err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Fatalf("error %v, want %s…", err, want)
	}
	f.end()
	s, err := New(Options{State: f.state})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestLeaseIsChecked(t *testing.T) {
	for _, lease := range []time.Duration{time.Second, 2500 * time.Millisecond, -time.Second} {
		_, err := New(Options{State: t.TempDir(), Lease: lease})
		if want := fmt.Sprintf("lease %s must be whole seconds and at least 2s", lease); err == nil || err.Error() != want {
			t.Errorf("error %v, want %s", err, want)
		}
	}
}

// A body that nests without end is refused after a few thousand levels, at little cost.
func TestDeepBodies(t *testing.T) {
	for _, open := range []string{"[", `{"a":`} {
		body := strings.NewReader(strings.Repeat(open, maxRegistration/len(open)))
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		var into api.Registration
		err := decodeOne(json.NewDecoder(body), &into)
		runtime.ReadMemStats(&after)
		if err == nil || !strings.Contains(err.Error(), "exceeded max depth") {
			t.Errorf("%s: %v", open, err)
		}
		if took := after.TotalAlloc - before.TotalAlloc; took > maxRegistration {
			t.Errorf("%s: %d bytes were allocated", open, took)
		}
	}
}
