package web_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"lightspeed/api"
	"lightspeed/app"
	"lightspeed/event"
	"lightspeed/logtime"
	"lightspeed/match"
	"lightspeed/run"
)

func TestEmptyPagesSayWhatToDo(t *testing.T) {
	t.Parallel()
	s := serve(t)
	s.wants("/", "No runs yet", "lightspeed listen test")
	s.wants("/deliveries", "No deliveries yet", "lightspeed send --repo")
	s.wants("/listeners", "No listener has registered yet", "lightspeed listen deploy.json")
	s.wants("/?listener=nobody", "No run fits this filter")
	if status, page := s.get("/nowhere"); status != http.StatusNotFound || !strings.Contains(page, "There is nothing at this address.") {
		t.Errorf("status %d\n%s", status, page)
	}
	if status, _ := s.get("/runs/nothing"); status != http.StatusNotFound {
		t.Errorf("status %d of a run that is not there", status)
	}
	if status, _ := s.get("/?status=odd"); status != http.StatusBadRequest {
		t.Errorf("status %d of a filter that no run fits", status)
	}
}

func TestRunsAndFilters(t *testing.T) {
	t.Parallel()
	s := serve(t)
	m := s.listener("tests", match.Rules{})
	passed := m.ran(event.PushSpec{Branch: "main", Message: "Make it faster\n\nbody", Pusher: "ada"}, run.Passed, "ok\n")
	failed := m.ran(event.PushSpec{Branch: "dev", Repo: "acme/api"}, run.Failed, "no\n")
	s.push(event.PushSpec{Branch: "dev"})
	running := m.take()
	page := s.wants("/", "Make it faster", "ada", ">passed</span>", ">failed</span>", ">running</span>", "● 1 run now · Lightspeed", "icon-running.svg")
	if at := strings.Index(page, running.Run); at < 0 || at > strings.Index(page, failed.Run) {
		t.Error("what runs does not stand on top")
	}
	if strings.Count(page, running.Run) != 1 {
		t.Error("what runs stands on the page twice")
	}
	for query, want := range map[string][3]bool{ // passed, failed, running
		"?branch=dev":                    {false, true, true},
		"?repo=ACME/api":                 {false, true, false},
		"?status=passed":                 {true, false, false},
		"?listener=tests&status=running": {false, false, true},
	} {
		page := s.wants("/" + query)
		for i, ref := range []run.Ref{passed, failed, running} {
			if strings.Contains(page, ref.Run) != want[i] {
				t.Errorf("%s: run %d is there: %t", query, i, !want[i])
			}
		}
	}
	s.finish(running, run.Passed, "")
	s.wants("/", "✓ Runs · Lightspeed", "icon-passed.svg")
}

func TestPagesOfRuns(t *testing.T) {
	t.Parallel()
	s := serve(t)
	m := s.listener("tests", match.Rules{})
	for range 33 {
		m.ran(event.PushSpec{Branch: "main"}, run.Passed, "")
	}
	page := s.wants("/?branch=main", `rel="next"`)
	_, after, _ := strings.Cut(page, `rel="next" href="`)
	next, _, _ := strings.Cut(after, `"`)
	second := s.wants("/"+strings.ReplaceAll(next, "&amp;", "&"), "Newest")
	if n := strings.Count(second, "data-row"); n != 3 {
		t.Errorf("%d runs on the second page, want 3", n)
	}
}

func TestRunPage(t *testing.T) {
	t.Parallel()
	s := serve(t)
	m := s.listener("tests", match.Rules{Branches: []string{"main"}})
	ref := m.ran(event.PushSpec{Branch: "main", Message: "Fix it", Pusher: "ada"}, run.Failed, "one\n\x1b[31mtwo\x1b[0m\nthree")
	path := "/runs/" + ref.Run
	page := s.wants(path, "Fix it", "by <bdi>ada</bdi>", "✗ failed · tests main · Lightspeed", "icon-failed.svg", `id="L3"`,
		`<span class="term-fg31">two</span>`, "Every rule of the listener held", "Retry", "build-1")
	if strings.Contains(page, ">Cancel<") {
		t.Error("a run that has ended can be cancelled")
	}
	if status, text := s.get(path + "/log"); status != http.StatusOK || text != "one\n\x1b[31mtwo\x1b[0m\nthree" {
		t.Errorf("raw log: %d %q", status, text)
	}
	s.wants(path+"?q=TWO", "1 line with", `id="L2"`)
	s.wants(path+"?q=four", "No line with")
	if status, to := s.post(path+"/retry", nil); status != http.StatusSeeOther || !strings.HasSuffix(to, "?done=retried") || strings.Contains(to, ref.Run) {
		t.Errorf("retry: %d %s", status, to)
	} else {
		s.wants(to, "This is the new run.", "○ queued", "It waits for", "Cancel")
		if status, to := s.post(strings.TrimSuffix(to, "?done=retried")+"/cancel", nil); status != http.StatusSeeOther {
			t.Errorf("cancel: %d %s", status, to)
		}
		s.wants(to, "cancelled")
	}
	if status, page := s.post(path+"/cancel", nil); status != http.StatusConflict || !strings.Contains(page, "has ended") {
		t.Errorf("cancelling what has ended: %d\n%s", status, page)
	}
}

func TestSteps(t *testing.T) {
	t.Parallel()
	s := serve(t)
	m := s.listener("tests", match.Rules{})
	s.push(event.PushSpec{Branch: "main"})
	ref := m.take()
	s.write(ref, 0, "a\nb\nc\nd\n")
	first, second, zero := int64(0), int64(4), 0
	if err := s.client.Steps(s.Context(), ref, []run.Step{
		{Step: 1, Name: "build", Status: run.Passed, ExitCode: &zero, LogOffset: &first, LogEnd: &second},
		{Step: 2, Name: "<b>test</b>", Status: run.Running, LogOffset: &second},
		{Step: 3, Name: "deploy", Status: run.Queued},
	}); err != nil {
		t.Fatal(err)
	}
	s.wants("/runs/"+ref.Run, `line=1#L1`, "build", `line=3#L3`, "&lt;b&gt;test&lt;/b&gt;", "<span><bdi>deploy</bdi></span>")
}

func TestDeliveries(t *testing.T) {
	t.Parallel()
	s := serve(t)
	s.listener("tests", match.Rules{Repos: []string{"acme/*"}, Branches: []string{"main"}})
	s.listener("all", match.Rules{Repos: []string{"acme/*"}})
	s.listener("other", match.Rules{Repos: []string{"other/*"}})
	id := s.push(event.PushSpec{Branch: "dev", Message: "Try it"})
	path := "/deliveries/" + id
	s.wants("/deliveries", "Try it", path, `<bdi>all</bdi>`)
	s.wants(path, "matched", "no match", "<b>branches</b>: saw", "<bdi>dev</bdi>", "<bdi>main</bdi>", "1 listener about other repositories", "Try it")
	if status, page := s.post(path+"/replay", url.Values{"dry_run": {"1"}}); status != http.StatusOK ||
		!strings.Contains(page, "A replay now would") || !strings.Contains(page, "run <bdi>all</bdi>") || !strings.Contains(page, "not run <bdi>tests</bdi>") {
		t.Errorf("dry run: %d\n%s", status, page)
	}
	if status, to := s.post(path+"/replay", url.Values{"listener": {"all"}}); status != http.StatusSeeOther || !strings.HasSuffix(to, "?done=replayed") {
		t.Errorf("replay: %d %s", status, to)
	} else {
		s.wants(to, "The delivery was replayed.", "replay")
	}
	if status, body := s.get(path + "/payload"); status != http.StatusOK || !strings.HasPrefix(body, "{") {
		t.Errorf("payload: %d %q", status, body)
	}
	lonely := s.push(event.PushSpec{Repo: "nobody/is-here", Branch: "main"})
	s.wants("/deliveries", "nothing matched")
	s.wants("/deliveries/"+lonely, "No listener was about this repository")
}

func TestListeners(t *testing.T) {
	t.Parallel()
	s := serve(t)
	m := s.listener("acme/tests", match.Rules{Branches: []string{"main", "dev"}})
	m.ran(event.PushSpec{Branch: "dev"}, run.Failed, "")
	m.ran(event.PushSpec{Branch: "main"}, run.Passed, "")
	path := "/listeners/acme%2Ftests"
	s.wants("/listeners", "acme/tests", "connected", "build-1", "listens for", path, "b-failed", "<bdi>dev</bdi>")
	if status, to := s.post(path+"/pause", url.Values{"note": {"<moving> it"}}); status != http.StatusSeeOther || to != path+"?done=paused" {
		t.Errorf("pause: %d %s", status, to)
	}
	s.wants(path, ">paused</span>", "&lt;moving&gt; it", "Resume")
	status, to := s.post(path+"/trigger", url.Values{"repo": {"acme/web"}, "kind": {"branch"}, "ref": {"main"}})
	if status != http.StatusSeeOther || !strings.HasSuffix(to, "?done=triggered") {
		t.Fatalf("trigger: %d %s", status, to)
	}
	s.wants(to, "The run was queued.", "○ queued")
	if status, to := s.post(path+"/resume", nil); status != http.StatusSeeOther || to != path+"?done=resumed" {
		t.Errorf("resume: %d %s", status, to)
	}
	s.finish(m.take(), run.Passed, "")
	if status, page := s.post(path+"/trigger", url.Values{"repo": {"none"}, "ref": {"main"}}); status != http.StatusBadRequest {
		t.Errorf("trigger of no repository: %d\n%s", status, page)
	}
	if status, page := s.post(path+"/remove", nil); status != http.StatusConflict || !strings.Contains(page, "is connected") {
		t.Errorf("removing one that is connected: %d\n%s", status, page)
	}
	if status, to := s.post(path+"/remove", url.Values{"force": {"1"}}); status != http.StatusSeeOther {
		t.Errorf("remove: %d %s", status, to)
	}
	s.wants("/listeners", "No listener has registered yet")
}

func TestBadge(t *testing.T) {
	t.Parallel()
	s := serve(t, withTokens("t0ken"))
	m := s.listener("acme/tests", match.Rules{})
	m.ran(event.PushSpec{Branch: "main"}, run.Passed, "")
	m.ran(event.PushSpec{Branch: "dev"}, run.Failed, "")
	for path, want := range map[string]string{
		"/badge/acme%2Ftests.svg":             "acme/tests: failed",
		"/badge/acme%2Ftests.svg?branch=main": "acme/tests: passed",
		"/badge/acme%2Ftests.svg?branch=none": "acme/tests: no runs",
		"/badge/nobody%3Cb%3E.svg":            "nobody&lt;b&gt;: no runs",
		"/api/v1/openapi.json":                `"/badge/{name}.svg": {`,
	} {
		s.wants(path, want)
	}
}

func TestLogin(t *testing.T) {
	t.Parallel()
	state := t.TempDir()
	s := serve(t, withTokens("first", "second"), stateIn(state))
	if status, to := s.get("/listeners?before=x"); status != http.StatusSeeOther || to != "/login?next=%2Flisteners%3Fbefore%3Dx" {
		t.Errorf("without a session: %d %s", status, to)
	}
	for _, path := range []string{"/runs/x/cancel", "/deliveries/x/replay", "/listeners/x/remove"} {
		if status, to := s.post(path, nil); status != http.StatusSeeOther || to != "/login" {
			t.Errorf("%s without a session: %d %s", path, status, to)
		}
	}
	if status, page := s.post("/login", url.Values{"token": {"wrong"}}); status != http.StatusUnauthorized || !strings.Contains(page, "opens nothing") {
		t.Errorf("wrong token: %d", status)
	}
	if status, to := s.post("/login", url.Values{"token": {"second"}, "next": {"//elsewhere.example/"}}); status != http.StatusSeeOther || to != "/" {
		t.Errorf("login: %d %s", status, to)
	}
	s.wants("/", "No runs yet", "Log out")
	own, _ := url.Parse(s.url)
	cookie := s.http.Jar.Cookies(own)[0]
	if strings.Contains(cookie.Value, "second") || len(cookie.Value) < 20 {
		t.Errorf("the cookie is %q", cookie.Value)
	}
	if status, to := s.post("/logout", nil); status != http.StatusSeeOther || to != "/login" {
		t.Errorf("logout: %d %s", status, to)
	}
	s.http.Jar.SetCookies(own, []*http.Cookie{{Name: cookie.Name, Value: cookie.Value, Path: "/"}})
	if status, _ := s.get("/"); status != http.StatusSeeOther {
		t.Error("a session that was logged out still opens the page")
	}
}

// The cookie of a session never goes over a line that is not encrypted, once it was set over one that is.
func TestCookieOfAnEncryptedLine(t *testing.T) {
	t.Parallel()
	s := serve(t, withTokens("only"))
	for proto, want := range map[string]bool{"https": true, "http": false, "": false} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+"/login", strings.NewReader("token=only"))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("X-Forwarded-Proto", proto)
		answer, err := s.http.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if set := answer.Cookies(); len(set) != 1 || set[0].Secure != want || !set[0].HttpOnly || set[0].SameSite != http.SameSiteLaxMode {
			t.Errorf("behind a proxy that says %q the cookie is %v", proto, set)
		}
	}
}

// TestSessionEndsWithItsToken restarts admin: a session stays, until its token is no longer one.
func TestSessionEndsWithItsToken(t *testing.T) {
	t.Parallel()
	state := t.TempDir()
	var cookies []*http.Cookie
	for _, round := range []struct {
		tokens []string
		status int
	}{{[]string{"old"}, http.StatusSeeOther}, {[]string{"new", "old"}, http.StatusOK}, {[]string{"new"}, http.StatusSeeOther}} {
		t.Run(strings.Join(round.tokens, "+"), func(t *testing.T) {
			s := serve(t, withTokens(round.tokens...), stateIn(state))
			own, _ := url.Parse(s.url)
			s.http.Jar.SetCookies(own, cookies)
			if status, _ := s.get("/"); status != round.status {
				t.Errorf("status %d, want %d", status, round.status)
			}
			if cookies == nil {
				s.post("/login", url.Values{"token": {"old"}})
				cookies = s.http.Jar.Cookies(own)
			}
		})
	}
}

func TestHeaders(t *testing.T) {
	t.Parallel()
	s := serve(t)
	answer, err := s.http.Get(s.url + "/")
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	for header, want := range map[string]string{
		"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "same-origin", "Cache-Control": "no-store",
	} {
		if got := answer.Header.Get(header); got != want {
			t.Errorf("%s is %q, want %q", header, got, want)
		}
	}
	policy := answer.Header.Get("Content-Security-Policy")
	if !strings.Contains(policy, "default-src 'none'") || !strings.Contains(policy, "frame-ancestors 'none'") || strings.Contains(policy, "unsafe") {
		t.Errorf("Content-Security-Policy is %q", policy)
	}
	for _, change := range []func(*http.Request){
		func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") },
		func(r *http.Request) { r.Header.Set("Origin", "http://elsewhere.example") },
		func(r *http.Request) { r.Host = "rebound.example" },
	} {
		r, _ := http.NewRequest(http.MethodPost, s.url+"/runs/x/cancel", nil)
		change(r)
		if status, _ := s.read(s.http.Do(r)); status != http.StatusForbidden {
			t.Errorf("status %d for a request of another site: %v", status, r.Header)
		}
	}
}

func TestOutsideIsText(t *testing.T) {
	t.Parallel()
	s := serve(t)
	m := s.listener("tests", match.Rules{})
	hostile := `<script>alert(1)</script>" onx='`
	ref := m.ran(event.PushSpec{Branch: hostile, Message: hostile + "\u202egnp.exe", Pusher: hostile}, run.Failed, hostile+"\u202eevil\x1b]8;;javascript:alert(1)\x07link\x1b]8;;\x07\x1b[2J\n")
	for _, path := range []string{"/", "/deliveries", "/runs/" + ref.Run, "/listeners", "/listeners/tests", "/?branch=" + url.QueryEscape(hostile)} {
		page := s.wants(path)
		for _, bad := range []string{"<script>alert", "javascript:", "\u202e", "ZgotmplZ", `onx='"`} {
			if strings.Contains(page, bad) {
				t.Errorf("%s holds %q", path, bad)
			}
		}
	}
	s.wants("/runs/"+ref.Run, `\u202eevillink`)
}

// TestPageWeight keeps pages light: what a page weighs without its log, and the assets that it loads once.
func TestPageWeight(t *testing.T) {
	t.Parallel()
	s := serve(t)
	m := s.listener("tests", match.Rules{})
	var last run.Ref
	for range 34 {
		last = m.ran(event.PushSpec{Branch: "feature/some-branch-of-usual-length", Message: "A message as long as they usually are, or longer", Pusher: "somebody"}, run.Passed, "")
	}
	assets := 0
	for _, file := range []string{"page.css", "page.js"} {
		assets += len(s.wants("/static/" + file))
	}
	for _, path := range []string{"/", "/deliveries", "/listeners", "/listeners/tests", "/runs/" + last.Run} {
		if size := len(s.wants(path)) + assets; size > 60<<10 {
			t.Errorf("%s weighs %d bytes with its assets, more than 60 KiB", path, size)
		}
	}
}

func TestNoAuth(t *testing.T) {
	t.Parallel()
	s := serve(t, func(o *app.AdminOptions) { o.InsecureNoAuth = true })
	r, _ := http.NewRequest(http.MethodGet, s.url+"/", nil)
	r.Host = "admin.example"
	if status, page := s.read(s.http.Do(r)); status != http.StatusOK || strings.Contains(page, "Log out") {
		t.Errorf("status %d", status)
	}
}

// TestViewerLooks logs in with a viewer's token: everything is shown, and nothing can be done.
func TestViewerLooks(t *testing.T) {
	t.Parallel()
	s := serve(t, withTokens("admin"))
	m := s.listener("tests", match.Rules{})
	ref := m.ran(event.PushSpec{Branch: "main"}, run.Failed, "")
	made, err := s.client.MakeToken(t.Context(), api.NewToken{Role: api.RoleViewer, Note: "screen"})
	if err != nil {
		t.Fatal(err)
	}
	if status, to := s.post("/login", url.Values{"token": {made.Text}}); status != http.StatusSeeOther || to != "/" {
		t.Fatalf("login: %d %s", status, to)
	}
	for _, path := range []string{"/runs/" + ref.Run, "/listeners/tests", "/"} {
		if page := s.wants(path); strings.Contains(page, ">Retry<") || strings.Contains(page, ">Trigger<") {
			t.Errorf("%s offers a viewer to act", path)
		}
	}
	if status, page := s.post("/runs/"+ref.Run+"/retry", nil); status != http.StatusForbidden || !strings.Contains(page, "You may look, but not act") {
		t.Errorf("a viewer's retry: %d", status)
	}
	if err := s.client.RevokeToken(t.Context(), made.ID); err != nil {
		t.Fatal(err)
	}
	if status, _ := s.get("/"); status != http.StatusSeeOther {
		t.Error("the session of a token that was removed still opens the page")
	}
}

// TestLinesSayWhenTheyCame: in the page and in what a search finds; of what is not known nothing is said.
func TestLinesSayWhenTheyCame(t *testing.T) {
	t.Parallel()
	s := serve(t)
	m := s.listener("tests", match.Rules{})
	s.push(event.PushSpec{Branch: "main"})
	ref := m.take()
	noon := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	times := []logtime.Record{{Offset: 8, At: noon}, {Offset: 12, At: noon.Add(61540 * time.Millisecond)}}
	if _, err := s.client.AppendLog(t.Context(), ref, 0, []byte("unknown\none\ntwo\nthree\n"), times...); err != nil {
		t.Fatal(err)
	}
	page := "/runs/" + ref.Run
	s.wants(page, `aria-label="line 1"></a>`, `aria-label="line 2" title="+0s"></a>`, `aria-label="line 3" title="+1m1.5s"></a>`)
	s.wants(page+"?q=three", `aria-label="line 4" title="+1m1.5s"></a>`)
}
