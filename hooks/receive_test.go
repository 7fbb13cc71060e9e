package hooks

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lightspeed/api"
	"lightspeed/event"
	"lightspeed/secret"
)

// failure is the whole body of an answer that is not 2xx.
func failure(code api.Code, message string) string {
	return fmt.Sprintf(`{"error":{"code":"%s","message":"%s"}}`+"\n", code, message)
}

const unsigned = `{"error":{"code":"unauthorized","message":"the signature is missing or wrong"}}` + "\n"

func form(payload string) string { return url.Values{"payload": {payload}}.Encode() }

func TestRefusals(t *testing.T) {
	never := admins(func(context.Context, event.Delivery) (api.Receipt, error) {
		t.Error("admin was asked")
		return api.Receipt{}, errors.New("never")
	})
	s := newSetup(t, never)
	at, c := s.serve(t), client(t)
	signed := sign(key, push)
	for name, test := range map[string]struct {
		request *http.Request
		status  int
		body    string
	}{
		"GET": {post(at, "1", "", func(r *http.Request) { r.Method = http.MethodGet }),
			405, failure(api.BadRequest, `method \"GET\": want POST`)},
		"other path": {post(at, "1", push, func(r *http.Request) { r.URL.Path = "/receive_hook/x" }),
			404, failure(api.NotFound, "no such path: deliveries go to /receive_hook")},
		"PUT ready": {post(at, "1", push, func(r *http.Request) { r.URL.Path, r.Method = "/readyz", "PUT" }),
			405, failure(api.BadRequest, `method \"PUT\": want GET or HEAD`)},

		"text": {post(at, "1", push, header("Content-Type", "text/plain")),
			415, failure(api.UnsupportedMT, `content type \"text/plain\" is neither application/json nor application/x-www-form-urlencoded`)},
		"no type": {post(at, "1", push, without("Content-Type")),
			415, failure(api.UnsupportedMT, `content type \"\" is neither application/json nor application/x-www-form-urlencoded`)},
		"gzip": {post(at, "1", push, header("Content-Encoding", "gzip")),
			415, failure(api.UnsupportedMT, `content encoding \"gzip\": a body must come as it was signed`)},

		"no signature":    {post(at, "1", push, without("X-Hub-Signature-256")), 401, unsigned},
		"sha1 alone":      {post(at, "1", push, without("X-Hub-Signature-256"), header("X-Hub-Signature", "sha1="+signed[7:47])), 401, unsigned},
		"sha1 inside":     {post(at, "1", push, header("X-Hub-Signature-256", "sha1="+signed[7:47])), 401, unsigned},
		"no prefix":       {post(at, "1", push, header("X-Hub-Signature-256", signed[7:])), 401, unsigned},
		"short":           {post(at, "1", push, header("X-Hub-Signature-256", signed[:70])), 401, unsigned},
		"long":            {post(at, "1", push, header("X-Hub-Signature-256", signed+"0")), 401, unsigned},
		"not hex":         {post(at, "1", push, header("X-Hub-Signature-256", signed[:70]+"g")), 401, unsigned},
		"twice":           {post(at, "1", push, added("X-Hub-Signature-256", signed)), 401, unsigned},
		"in a list":       {post(at, "1", push, header("X-Hub-Signature-256", signed+", "+signed)), 401, unsigned},
		"other key":       {post(at, "1", push, header("X-Hub-Signature-256", sign("other", push))), 401, unsigned},
		"empty key":       {post(at, "1", push, header("X-Hub-Signature-256", sign("", push))), 401, unsigned},
		"other body":      {post(at, "1", push+" ", header("X-Hub-Signature-256", signed)), 401, unsigned},
		"unsigned, no id": {post(at, "1", "x", header("X-Hub-Signature-256", signed), without("X-GitHub-Delivery")), 401, unsigned},

		"no id":    {post(at, "1", push, without("X-GitHub-Delivery")), 400, failure(api.BadRequest, "X-GitHub-Delivery is missing")},
		"empty id": {post(at, "", push), 400, failure(api.BadRequest, "X-GitHub-Delivery is missing")},
		"two ids":  {post(at, "1", push, added("X-GitHub-Delivery", "2")), 400, failure(api.BadRequest, "X-GitHub-Delivery is there 2 times")},
		"long id": {post(at, strings.Repeat("1", 101), push),
			400, failure(api.BadRequest, "X-GitHub-Delivery is longer than 100 characters")},
		"odd id": {post(at, "../<b>\t", push),
			400, failure(api.BadRequest, `X-GitHub-Delivery \"../\u003cb\u003e\" holds more than letters, digits and - . _, or does not begin with a letter or digit`)},
		"admin's id": {post(at, "trigger-1", push),
			400, failure(api.BadRequest, `X-GitHub-Delivery begins with \"trigger-\": such ids are admin's own`)},
		"no event": {post(at, "1", push, without("X-GitHub-Event")), 400, failure(api.BadRequest, "X-GitHub-Event is missing")},
		"long event": {post(at, "1", push, header("X-GitHub-Event", strings.Repeat("e", 65))),
			400, failure(api.BadRequest, "X-GitHub-Event is longer than 64 characters")},

		"empty":           {post(at, "1", ""), 400, failure(api.BadRequest, "body is empty")},
		"list":            {post(at, "1", "[]"), 400, failure(api.BadRequest, "body is a JSON array, want an object")},
		"null":            {post(at, "1", "null"), 400, failure(api.BadRequest, "body is a JSON null, want an object")},
		"no payload":      {post(at, "1", "a=b", header("Content-Type", typeForm)), 400, failure(api.BadRequest, `body is a form without the field \"payload\"`)},
		"ping, not JSON":  {post(at, "1", "[]", header("X-GitHub-Event", "ping")), 400, failure(api.BadRequest, "body is a JSON array, want an object")},
		"too large":       {post(at, "1", strings.Repeat(" ", event.MaxPayload+1)), 413, failure(api.TooLarge, "the body is larger than 26214400 bytes")},
		"too large, long": {post(at, "1", strings.Repeat(" ", event.MaxPayload+1), unknownLength), 413, failure(api.TooLarge, "the body is larger than 26214400 bytes")},
	} {
		r := do(t, c, test.request)
		if r.status != test.status || r.body != test.body {
			t.Errorf("%s: got %d %s\nwant %d %s", name, r.status, r.body, test.status, test.body)
		}
		if got := r.header.Get("Content-Type"); got != "application/json" {
			t.Errorf("%s: content type %q", name, got)
		}
		if name == "GET" && r.header.Get("Allow") != "POST" {
			t.Errorf("405 has Allow %q, want POST", r.header.Get("Allow"))
		}
	}
	if !s.spool.Empty() {
		t.Error("something refused is in the spool")
	}
}

// unknownLength makes the client send the body in chunks.
func unknownLength(r *http.Request) { r.ContentLength = -1 }

func TestAccepts(t *testing.T) {
	admin := newFakeAdmin(t)
	s := newSetup(t, admin.client(t), func(o *Options) {
		o.Secrets = []secret.Value{secret.New("old"), secret.New(key)}
	})
	at, c := s.serve(t), client(t)
	for id, test := range map[string]struct {
		request *http.Request
		want    event.Delivery
	}{
		"json":    {post(at, "json", push), event.Delivery{Event: "push", ContentType: typeJSON, Body: []byte(push)}},
		"charset": {post(at, "charset", push, header("Content-Type", "Application/JSON; charset=utf-8")), event.Delivery{Event: "push", ContentType: typeJSON, Body: []byte(push)}},
		"form":    {post(at, "form", form(push), header("Content-Type", typeForm)), event.Delivery{Event: "push", ContentType: typeForm, Body: []byte(form(push))}},
		"old":     {post(at, "old", push, header("X-Hub-Signature-256", sign("old", push))), event.Delivery{Event: "push", ContentType: typeJSON, Body: []byte(push)}},
		"chunked": {post(at, "chunked", push, unknownLength), event.Delivery{Event: "push", ContentType: typeJSON, Body: []byte(push)}},
		"issues":  {post(at, "issues", "{}", header("X-GitHub-Event", "issues")), event.Delivery{Event: "issues", ContentType: typeJSON, Body: []byte("{}")}},
	} {
		r := do(t, c, test.request)
		want := fmt.Sprintf(`{"delivery":"%s","status":"accepted","runs":[{"id":"run-of-%s","listener":"hello"}],`+
			`"skipped":[{"listener":"other","rule":"branches","saw":"main","want":"dev","why":"branches: saw main, want dev"}]}`+"\n", id, id)
		if r.status != http.StatusAccepted || r.body != want {
			t.Errorf("%s: got %d %s\nwant 202 %s", id, r.status, r.body, want)
		}
		test.want.ID = id
		if diff := cmp.Diff(test.want, admin.delivery(id)); diff != "" {
			t.Errorf("%s: admin has got another delivery: %s", id, diff)
		}
	}
	r := do(t, c, post(at, "json", push))
	if want := `{"delivery":"json","status":"duplicate","runs":[],"skipped":[]}` + "\n"; r.status != http.StatusAccepted || r.body != want {
		t.Errorf("a second time: got %d %s, want 202 %s", r.status, r.body, want)
	}
	if got := len(s.log.with("delivery")); got != 7 {
		t.Errorf("%d log lines, want one a delivery", got)
	}
	if got := s.log.with("delivery")[6]; got["delivery"] != "json" || got["event"] != "push" || got["status"] != "duplicate" || got["bytes"] != float64(len(push)) {
		t.Errorf("the log line is %v", got)
	}
}

func TestTheLargestDeliveryComesThroughWhole(t *testing.T) {
	admin := newFakeAdmin(t)
	s := newSetup(t, admin.client(t))
	s.run(t)
	at, c := s.serve(t), client(t)
	for id, length := range map[string]int{"known": event.MaxPayload, "chunks": 2*largeBody + 1} {
		large := `{"a":"` + strings.Repeat("x", length-8) + `"}`
		r := post(at, id, large)
		if id == "chunks" {
			unknownLength(r)
		}
		if got := do(t, c, r); got.status != http.StatusAccepted { // accepted, or on a slow machine spooled
			t.Errorf("%s: got %d %s", id, got.status, got.body)
		}
		s.waitEmpty(t)
		if got := admin.delivery(id).Body; string(got) != large {
			t.Errorf("%s: admin has got another body, of %d bytes", id, len(got))
		}
	}
}

func TestPingIsNotStored(t *testing.T) {
	admin := newFakeAdmin(t)
	s := newSetup(t, admin.client(t))
	r := s.direct(post("", "p", `{"zen":"Design for failure."}`, header("X-GitHub-Event", "ping")))
	if want := `{"delivery":"p","status":"pong","runs":[],"skipped":[]}` + "\n"; r.status != http.StatusOK || r.body != want {
		t.Errorf("got %d %s, want 200 %s", r.status, r.body, want)
	}
	if len(admin.stored()) != 0 || !s.spool.Empty() {
		t.Error("a ping was stored")
	}
}

func TestInsecureNoSecretAsksForNoSignature(t *testing.T) {
	s := newSetup(t, admins(accepting), func(o *Options) { o.Secrets, o.InsecureNoSecret = nil, true })
	for _, change := range []func(*http.Request){without("X-Hub-Signature-256"), header("X-Hub-Signature-256", "nonsense")} {
		if r := s.direct(post("", "1", push, change)); r.status != http.StatusAccepted {
			t.Errorf("got %d %s, want 202", r.status, r.body)
		}
	}
}

// A client that sends its whole body before it reads must see the answer, and not a broken connection.
func TestARefusalIsSeenByWhoSendsFirst(t *testing.T) {
	s := newSetup(t, admins(accepting))
	at := strings.TrimPrefix(s.serve(t), "http://")
	for _, length := range []int{event.MaxPayload - 1, event.MaxPayload * 3 / 2} {
		conn, err := net.Dial("tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		head := fmt.Sprintf("POST /receive_hook HTTP/1.1\r\nHost: hooks\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", length)
		if _, err := io.Copy(conn, io.MultiReader(strings.NewReader(head), io.LimitReader(zeros{}, int64(length)))); err != nil {
			t.Fatalf("the connection broke while the body was sent: %v", err)
		}
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if want := map[bool]int{true: 413, false: 401}[length > event.MaxPayload]; resp.StatusCode != want {
			t.Errorf("%d bytes: got %d, want %d", length, resp.StatusCode, want)
		}
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestABodyThatIsCutOffIsNoDelivery(t *testing.T) {
	s := newSetup(t, admins(func(context.Context, event.Delivery) (api.Receipt, error) {
		t.Error("admin was asked")
		return api.Receipt{}, errors.New("never")
	}))
	cut := post("", "1", push)
	cut.Body = io.NopCloser(io.LimitReader(cut.Body, 10))
	if r := s.direct(cut); r.status != 400 || r.body != failure(api.BadRequest, "the body was cut off") {
		t.Errorf("got %d %s", r.status, r.body)
	}
}

func TestHostileHeadersDoNotReachTheLog(t *testing.T) {
	s := newSetup(t, admins(accepting))
	hostile := "\x1b[31m\nlevel=ERROR " + strings.Repeat("A", 5000) + "\u202e"
	for _, change := range []func(*http.Request){
		header("X-GitHub-Delivery", hostile), header("X-GitHub-Event", hostile), header("Content-Type", hostile),
		header("Content-Encoding", hostile), header("X-Hub-Signature-256", hostile),
		func(r *http.Request) { r.Method = hostile },
	} {
		r := s.direct(post("", "1", push, change))
		if r.status < 400 || len(r.body) > 400 || strings.Contains(r.body, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA") {
			t.Errorf("got %d with %d bytes: %.500s", r.status, len(r.body), r.body)
		}
	}
	for line := range strings.Lines(s.log.String()) {
		if len(line) > 600 || strings.ContainsAny(line[:len(line)-1], "\x1b\n\u202e") || strings.Contains(line, `\u001b`) {
			t.Errorf("log line of %d bytes: %.700q", len(line), line)
		}
	}
	if got := len(s.log.with("refused")); got != 5 {
		t.Errorf("%d lines about refused deliveries, want 5", got)
	}
}

func TestCallersAreNotToldWhatGoesOnInside(t *testing.T) {
	admin := admins(func(context.Context, event.Delivery) (api.Receipt, error) {
		return api.Receipt{}, errors.New("dial tcp 10.0.0.7:8080: the inner network")
	})
	s := newSetup(t, admin, func(o *Options) { o.SpoolMax = 1 })
	r := s.direct(post("", "1", push))
	want := failure(api.Unavailable, "admin does not take it now, and the spool is full")
	if r.status != http.StatusServiceUnavailable || r.body != want || r.header.Get("Retry-After") == "" {
		t.Errorf("got %d %s %v, want 503 %s", r.status, r.body, r.header, want)
	}
	lines := s.log.with("refused")
	if len(lines) != 1 || lines[0]["level"] != "ERROR" || !strings.Contains(lines[0]["error"].(string), "10.0.0.7") {
		t.Errorf("the log does not say why: %v", lines)
	}
}
