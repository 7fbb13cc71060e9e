package admin

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"lightspeed/admin/store"
	"lightspeed/api"
	"lightspeed/event"
	"lightspeed/run"
)

// ask makes a call within the process, as an admin unless the header says otherwise.
func (f *fixture) ask(method, path, body string, header ...string) *httptest.ResponseRecorder {
	f.Helper()
	r := httptest.NewRequestWithContext(f.Context(), method, path, strings.NewReader(body))
	r.Host = "127.0.0.1"
	r.Header.Set("Authorization", "Bearer admin-1")
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	if host := r.Header.Get("Host"); host != "" {
		r.Host = host
	}
	w := httptest.NewRecorder()
	f.calls.ServeHTTP(w, r)
	return w
}

// gets makes a call whose answer must have a status, and decodes it into out, when there is one.
func (f *fixture) gets(status int, out any, method, path, body string, header ...string) {
	f.Helper()
	w := f.ask(method, "/api/v1"+path, body, header...)
	if w.Code != status {
		f.Fatalf("%s %s: %d %s", method, path, w.Code, w.Body)
	}
	if out == nil {
		return
	}
	if err := json.Unmarshal(w.Body.Bytes(), out); err != nil {
		f.Fatal(err)
	}
}

// TestOpenAPIByRealCalls asks a real admin for everything that the document describes: each route, each status and each code.
// What it answers is right by the document, as is every call of every test of this package.
func TestOpenAPIByRealCalls(t *testing.T) {
	guarded := start(t, withTokens)
	guarded.refusals()
	hook := &sendingHook{}
	open := start(t, func(o *Options) { o.Senders = []Sender{hook} })
	open.refusedToOthers()
	open.deliveriesAndTokens()
	open.runsAndLogs()
	open.conflicts()
	open.stops()

	seen := maps.Clone(guarded.calls.seen)
	maps.Copy(seen, open.calls.seen)
	// A full disk is needed for it: TestFullDiskForArtifacts.
	seen["POST /api/v1/runs/{id}/artifacts/{path} 507 full"] = true
	for _, want := range describedCalls(t) {
		if !seen[want] {
			t.Errorf("the document describes %s, and it was not seen", want)
		}
	}
}

// describedCalls are all that the document describes, as document.check names them, but for what stands under default, and the
// badge, which is the page's.
func describedCalls(t *testing.T) (all []string) {
	t.Helper()
	d, err := described()
	if err != nil {
		t.Fatal(err)
	}
	for path, operations := range d.paths {
		for method := range operations.(map[string]any) {
			name := strings.ToUpper(method) + " " + path
			for status := range d.at(path, method, "responses") {
				if status == "default" || name == badgeRoute {
					continue
				}
				codes, _ := d.at(path, method, "responses", status, "content", "application/json", "schema", "properties", "error", "properties", "code")["enum"].([]any)
				for _, code := range codes {
					all = append(all, fmt.Sprintf("%s %s %v", name, status, code))
				}
				if len(codes) == 0 {
					all = append(all, name+" "+status)
				}
			}
		}
	}
	slices.Sort(all)
	return all
}

// pathOf fills in a route's path with names that nothing has, and what a call of it must say.
func pathOf(r route) string {
	path := strings.NewReplacer("{id}", "x1", "{name}", "none", "{path...}", "a/b").Replace(r.path)
	values := map[string]string{"attempt!": "1", "offset!": "0", "bytes!": "1", "sha256!": strings.Repeat("0", 64)}
	for i, name := range operations[r.method+" "+r.path].query {
		if strings.HasSuffix(name, "!") {
			path += string("?&"[min(i, 1)]) + strings.TrimSuffix(name, "!") + "=" + values[name]
		}
	}
	return path
}

// bodies are what a call of a route may say so that it is refused for nothing but that there is no such thing.
var bodies = map[string]string{
	"POST /api/v1/runs/{id}/finish":         `{"status":"passed"}`,
	"POST /api/v1/runs/{id}/steps":          `{"steps":[]}`,
	"POST /api/v1/runs/{id}/notices":        `{"target":"discord","status":"told","at":"2026-01-02T03:04:05Z"}`,
	"POST /api/v1/listeners/{name}/trigger": `{"repo":"a/b","branch":"c","sha":"0123456789012345678901234567890123456789"}`,
	"POST /api/v1/listeners/{name}/polled":  `{"repo":"a/b","branch":"c","sha":"0123456789012345678901234567890123456789"}`,
}

// refusals asks for every route what is refused whatever there is: without a token, with one that may not, with a parameter that is
// not known, for what is not there, and with more than may be.
func (f *fixture) refusals() {
	push := []string{"X-GitHub-Delivery", "d1", "X-GitHub-Event", "push", "Content-Type", "application/json"}
	large := strings.Repeat(" ", maxRegistration+1)
	for _, r := range f.server.table() {
		path := pathOf(r)
		f.ask(r.method, path, "", "Authorization", "")
		for _, token := range []string{"hooks-1", "listen-1"} {
			if !strings.HasSuffix(path, "events") {
				f.ask(r.method, path, "", "Authorization", "Bearer "+token)
			}
		}
		if strings.HasPrefix(path, api.Prefix) {
			f.ask(r.method, r.path+"?unknown=1", "", push...)
		}
		name := r.method + " " + r.path
		for _, code := range operations[name].refuses {
			switch code {
			case api.NotFound:
				f.ask(r.method, path, bodies[name])
			case api.TooLarge:
				f.ask(r.method, path, large, push...)
			}
		}
	}
	f.ask("POST", "/api/v1/deliveries", strings.Repeat(" ", event.MaxPayload+1), push...)
	f.ask("POST", "/api/v1/deliveries", "{}", push[:4]...)
}

// refusedToOthers asks an admin without tokens from elsewhere.
func (f *fixture) refusedToOthers() {
	for _, r := range f.server.table() {
		f.ask(r.method, pathOf(r), "", "Host", "elsewhere.example")
	}
}

func (f *fixture) deliveriesAndTokens() {
	for _, path := range []string{"/metrics", "/healthz", "/readyz"} {
		f.ask("GET", path, "")
	}
	for _, path := range []string{"/openapi.json", "/runs", "/deliveries", "/listeners", "/gaps", "/tokens"} {
		f.gets(200, nil, "GET", path, "")
	}
	f.gets(200, nil, "POST", "/recover", "")
	f.gets(200, nil, "POST", "/prune?dry_run=1", "")
	f.gets(200, nil, "POST", "/deliveries", "{}", "X-GitHub-Delivery", "d0", "X-GitHub-Event", "ping", "Content-Type", "application/json")
	f.listener("first") // its waiting runs are cancelled in a while: no other has its name
	f.push("d1", "main")
	for _, path := range []string{"", "/explain", "/payload"} {
		f.gets(200, nil, "GET", "/deliveries/d1"+path, "")
	}
	f.gets(206, nil, "GET", "/deliveries/d1/payload", "", "Range", "bytes=1-2")
	f.gets(416, nil, "GET", "/deliveries/d1/payload", "", "Range", "bytes=99999999-")
	f.gets(202, nil, "POST", "/deliveries/d1/replay", "")
	f.gets(200, nil, "GET", "/listeners/first", "")
	f.gets(200, nil, "POST", "/listeners/first/pause", `{"note":"n"}`)
	f.gets(200, nil, "POST", "/listeners/first/resume", "")
	for _, action := range []string{"trigger", "polled"} {
		f.gets(202, nil, "POST", "/listeners/first/"+action, bodies["POST /api/v1/listeners/{name}/"+action])
	}
	f.gets(409, nil, "DELETE", "/listeners/first", "")
	f.gets(204, nil, "DELETE", "/listeners/first?force=1", "")
}

func (f *fixture) runsAndLogs() {
	l := f.listener("web", func(r *api.Registration) { r.Settings.Concurrency = 10 })
	f.pruned(l.ran("d9", "out\n").Run)
	f.push("d2", "main")
	claim, _ := json.Marshal(l.request())
	var looked api.Looked
	f.gets(200, &looked, "POST", "/queues/web/look", string(claim))
	var c api.Claim
	f.gets(200, &c, "POST", "/queues/web/claim", string(claim))
	own, attempt := "/runs/"+c.Run.ID, "?attempt=1"
	f.gets(204, nil, "POST", "/queues/web/claim", strings.ReplaceAll(string(claim), "key-2", "key-3"))
	f.gets(200, nil, "GET", own, "")
	f.gets(200, nil, "POST", own+"/renew"+attempt, "")
	f.gets(409, nil, "POST", own+"/log"+attempt+"&offset=5", "out\n")
	f.gets(200, nil, "POST", own+"/log"+attempt+"&offset=0", "out\n")
	large := strings.Repeat("x", api.MaxLogChunk+1)
	f.gets(413, nil, "POST", own+"/log"+attempt+"&offset=4", large)
	f.gets(413, nil, "POST", own+"/artifacts/large"+attempt+artifactQuery(0), large)
	f.gets(204, nil, "POST", own+"/steps"+attempt, `{"steps":[{"step":1,"name":"build","status":"running","started_at":"2026-01-02T03:04:05Z"}]}`)
	f.gets(204, nil, "POST", own+"/notices"+attempt, bodies["POST /api/v1/runs/{id}/notices"])
	f.artifact(own)
	f.gets(200, nil, "POST", own+"/cancel", `{"by":"me","why":"tired"}`)
	f.gets(200, nil, "POST", own+"/renew"+attempt, "")
	f.gets(409, nil, "POST", own+"/retry", "")
	f.gets(409, nil, "POST", own+"/finish"+attempt, `{"status":"cancelled","log_bytes":99}`)
	f.streams(own, func() { f.gets(200, nil, "POST", own+"/finish"+attempt, `{"status":"cancelled","log_bytes":4}`) })
	f.gets(200, nil, "GET", own+"/log", "")
	f.gets(200, nil, "GET", own+"/log/times", "")
	f.gets(206, nil, "GET", own+"/log", "", "Range", "bytes=1-2")
	f.gets(416, nil, "GET", own+"/log", "", "Range", "bytes=99999999-")
	f.gets(202, nil, "POST", own+"/retry", "")
	for _, action := range []string{"renew", "log", "steps", "finish", "artifacts/other"} {
		f.gets(409, nil, "POST", own+"/"+action+attempt+map[string]string{"log": "&offset=4", "artifacts/other": artifactQuery(0)}[action],
			bodies["POST /api/v1/runs/{id}/"+action])
	}
	f.lost(l)
}

// pruned asks for what is no longer there of a run of d9.
func (f *fixture) pruned(id string) {
	if err := f.server.store.KeepsArtifacts(f.Context(), run.Ref{Run: id, Attempt: 1}, 1); err != nil {
		f.Fatal(err)
	}
	keep := store.Retention{Logs: store.Limits{Age: 1}, Artifacts: store.Limits{Age: 1}, Payloads: store.Limits{Age: 1}}
	if _, err := f.server.store.Prune(f.Context(), keep, false); err != nil {
		f.Fatal(err)
	}
	f.gets(410, nil, "GET", "/runs/"+id+"/log", "")
	f.gets(410, nil, "GET", "/runs/"+id+"/log/times", "")
	f.gets(410, nil, "GET", "/runs/"+id+"/artifacts/a", "")
	f.gets(410, nil, "POST", "/runs/"+id+"/retry", "")
	f.gets(410, nil, "POST", "/deliveries/d9/replay", "")
	for _, path := range []string{"explain", "payload"} {
		f.gets(410, nil, "GET", "/deliveries/d9/"+path, "")
	}
}

// artifactQuery is what a call says of an artifact that holds "kept".
func artifactQuery(offset int) string {
	return fmt.Sprintf("&offset=%d&bytes=4&sha256=%x", offset, sha256.Sum256([]byte("kept")))
}

func (f *fixture) artifact(own string) {
	path := own + "/artifacts/dist/app.txt"
	f.gets(409, nil, "POST", path+"?attempt=1"+artifactQuery(2), "pt")
	f.gets(200, nil, "POST", path+"?attempt=1"+artifactQuery(0), "kept")
	f.gets(409, nil, "POST", path+"?attempt=1&offset=0&bytes=1&sha256="+strings.Repeat("1", 64), "x")
	f.gets(200, nil, "GET", own+"/artifacts", "")
	f.gets(200, nil, "GET", path, "")
	f.gets(206, nil, "GET", path, "", "Range", "bytes=1-2")
	f.gets(416, nil, "GET", path, "", "Range", "bytes=99999999-")
	f.gets(304, nil, "GET", path, "", "If-None-Match", fmt.Sprintf(`"%x"`, sha256.Sum256([]byte("kept"))))
}

// streams reads both streams while something changes.
func (f *fixture) streams(own string, change func()) {
	all := f.events("/events")
	one := f.events(own + "/events")
	<-one
	change()
	for range one {
	}
	<-all
	go func() {
		for range all { // until admin stops
		}
	}()
}

// lost is a run whose listener is gone, and of which another tells people.
func (f *fixture) lost(l *listener) {
	f.listener("web", func(r *api.Registration) { r.Instance, r.Settings = "i2", l.reg.Settings })
	f.push("d3", "main")
	for l.mustClaim().Delivery.ID != "d3" { // what was started before waits, too
	}
	f.tick(31)
	runs, err := f.client.Runs(f.Context(), api.RunFilter{Status: run.Lost, Limit: 1})
	if err != nil || len(runs.Items) != 1 {
		f.Fatalf("%+v, %v", runs, err)
	}
	own := "/runs/" + runs.Items[0].ID
	for status := 200; status == 200; {
		w := f.ask("POST", "/api/v1/listeners/web/tellings", `{"instance":"i2"}`)
		status = w.Code
	}
	f.gets(204, nil, "POST", own+"/told", "")
	f.gets(409, nil, "POST", own+"/cancel", "")
	f.gets(200, nil, "POST", own+"/release", "")
	f.gets(409, nil, "POST", own+"/release", "")
}

func (f *fixture) conflicts() {
	claim := `{"instance":"i9","start":"s1","revision":1,"key":"k"}`
	for _, action := range []string{"claim", "look"} {
		f.gets(409, nil, "POST", "/queues/web/"+action, claim)
	}
	newer := f.listener("web", func(r *api.Registration) {
		r.Instance, r.Start = "i3", "s3"
		r.Settings.Rules.Repos = []string{"only/this"}
	})
	for _, action := range []string{"claim", "look"} {
		f.gets(409, nil, "POST", "/queues/web/"+action, `{"instance":"i2","start":"s1","revision":1,"key":"k"}`)
	}
	for _, action := range []string{"trigger", "polled"} {
		f.gets(409, nil, "POST", "/listeners/"+newer.name+"/"+action, bodies["POST /api/v1/listeners/{name}/"+action])
	}
	f.gets(409, nil, "POST", "/tokens", `{"role":"viewer"}`)
	f.server.opt.Senders = nil
	f.gets(409, nil, "POST", "/recover", "")
	f.gets(409, nil, "GET", "/gaps", "")
	var made api.MadeToken
	f.gets(201, &made, "POST", "/tokens", `{"role":"admin","note":"first"}`)
	asAdmin := []string{"Authorization", "Bearer " + made.Text}
	f.gets(409, nil, "DELETE", "/tokens/"+made.ID, "", asAdmin...)
	var viewer api.Token
	f.gets(201, &viewer, "POST", "/tokens", `{"role":"viewer"}`, asAdmin...)
	f.gets(204, nil, "DELETE", "/tokens/"+viewer.ID, "", asAdmin...)
}

// stops ends what is still read, and asks an admin that cannot write any more.
func (f *fixture) stops() {
	if err := f.server.store.Close(); err != nil {
		f.Fatal(err)
	}
	f.server.probe.at = time.Time{}
	f.ask("GET", "/readyz", "")
	f.end()
}
