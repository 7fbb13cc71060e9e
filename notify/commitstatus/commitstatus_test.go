package commitstatus

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"go.uber.org/goleak"

	"lightspeed/notify"
	"lightspeed/notify/commitstatus/githubtest"
	"lightspeed/run"
	"lightspeed/secret"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	token  = "ghp_Token-that-nobody-may-see"
	commit = "1a2b3c4d5e6f7a8b9c0d1a2b3c4d5e6f7a8b9c0d"
	long   = commit + "1a2b3c4d5e6f7a8b9c0d1a2b" // of a SHA-256 repository
)

var birth = time.Date(2024, 5, 6, 7, 8, 9, 0, time.UTC)

func target(t *testing.T, url string) *Target {
	t.Helper()
	tg, err := New(Options{Token: secret.New(token), URL: url})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, d := range tg.server.dialects {
			d.http.Transport.(*guarded).next.(*http.Transport).CloseIdleConnections()
		}
	})
	return tg
}

func fakeServer(t *testing.T, root string) *githubtest.Server {
	s := githubtest.New(t, root, token)
	s.Commit("acme/site", commit)
	s.Commit("acme/site", long)
	return s
}

func notice(id string, state run.State) notify.Notice {
	n := notify.Notice{
		Listener: "acme/deploy", Run: id, Attempt: 1, State: state, QueuedAt: birth, StartedAt: birth,
		Event: notify.Head{Name: "push", Repo: "acme/site", Ref: "refs/heads/main", Branch: "main", SHA: commit},
		Page:  "https://ci.example.com/runs/" + id, Log: notify.Tail{Text: []byte("log")},
	}
	if state.Ended() {
		n.FinishedAt = birth.Add(192 * time.Second)
	}
	if state.Ended() && state != run.Passed {
		n.Reason = "step 2 exited with status 1"
	}
	return n
}

func send(t *testing.T, tg *Target, n notify.Notice) error {
	t.Helper()
	err := tg.Send(t.Context(), notify.Telling{Notice: n, Due: true}, nil)
	if err != nil && strings.Contains(fmt.Sprintf("%v %+v", err, err), token) {
		t.Errorf("the token is in %+v", err)
	}
	return err
}

func problem(t *testing.T, err error) *notify.Error {
	t.Helper()
	var p *notify.Error
	if !errors.As(err, &p) {
		t.Fatalf("%v is no *notify.Error", err)
	}
	return p
}

func TestStates(t *testing.T) {
	s := fakeServer(t, githubtest.Enterprise)
	tg := target(t, s.URL())
	for state, want := range map[run.State]string{
		run.Running:    "pending running",
		run.Passed:     "success passed after 3m 12s",
		run.Failed:     "failure failed after 3m 12s: step 2 exited with status 1",
		run.TimedOut:   "failure timed out after 3m 12s: step 2 exited with status 1",
		run.Errored:    "error could not run after 3m 12s: step 2 exited with status 1",
		run.Cancelled:  "error was cancelled after 3m 12s: step 2 exited with status 1",
		run.Superseded: "error was superseded after 3m 12s: step 2 exited with status 1",
		run.Lost:       "error was lost after 3m 12s: step 2 exited with status 1",
	} {
		if err := send(t, tg, notice("r1", state)); err != nil {
			t.Fatal(err)
		}
		all := s.Statuses()
		got := all[len(all)-1]
		if got.State+" "+got.Description != want || got.Context != "lightspeed/acme/deploy" || got.TargetURL != "https://ci.example.com/runs/r1" ||
			got.Repo != "acme/site" || got.SHA != commit {
			t.Errorf("%s: got %+v, want %s", state, got, want)
		}
	}
}

func TestDescriptionsFit(t *testing.T) {
	s := fakeServer(t, githubtest.Enterprise)
	tg := target(t, s.URL())
	for _, reason := range []string{strings.Repeat("x", 4000), strings.Repeat("日本語", 500), "a\nb\x00\x7fc\xff", strings.Repeat("👍", 300)} {
		n := notice("r1", run.Failed)
		n.Reason, n.Attempt, n.Page = reason, 3, "javascript:alert(1)"
		if err := send(t, tg, n); err != nil {
			t.Fatal(err)
		}
		all := s.Statuses()
		got := all[len(all)-1]
		if len(got.Description) > 140 || !utf8.ValidString(got.Description) || !strings.HasPrefix(got.Description, "failed, attempt 3 after 3m 12s: ") || got.TargetURL != "" {
			t.Errorf("got %+v", got)
		}
	}
	if got := line("a\nb\x00\x7fc\xff", 140); got != "a b c\ufffd" {
		t.Errorf("got %q", got)
	}
}

func TestAcceptsWhatHappenedOnACommit(t *testing.T) {
	tg := target(t, "")
	n := notice("r1", run.Passed)
	if key, ok := tg.Accept(&n); !ok || key != "acme/site@"+commit || n.Log.Text != nil {
		t.Errorf("key %q, %v, log %q", key, ok, n.Log.Text)
	}
	n.Event.SHA = "" // a deleted branch
	if _, ok := tg.Accept(&n); ok {
		t.Error("takes what has no commit")
	}
}

func TestNothingIsAskedForWhatIsNoRepositoryOrCommit(t *testing.T) {
	s := fakeServer(t, githubtest.Enterprise)
	tg := target(t, s.URL())
	for _, repo := range []string{"", "acme", "acme/", "/site", "../../user", "acme/..", "./site", "a/b/c", "acme/site?x", "acme/si te", "acme/%2e%2e", "acme/" + strings.Repeat("x", 300)} {
		n := notice("r1", run.Passed)
		n.Event.Repo = repo
		if p := problem(t, send(t, tg, n)); !p.Final || !strings.Contains(p.Message, "is not owner/repo") {
			t.Errorf("%q: %+v", repo, p)
		}
	}
	for _, sha := range []string{"", "main", "../../x", commit[:39], commit + "0", strings.ToUpper(commit), commit[:38] + "zz"} {
		n := notice("r1", run.Passed)
		n.Event.SHA = sha
		if p := problem(t, send(t, tg, n)); !p.Final || !strings.Contains(p.Message, "is not 40 or 64 hex digits") {
			t.Errorf("%q: %+v", sha, p)
		}
	}
	if n := s.Requests(); n != 0 {
		t.Errorf("%d requests", n)
	}
	n := notice("r1", run.Passed)
	n.Event.SHA = long
	if err := send(t, tg, n); err != nil {
		t.Error(err)
	}
}

// Enterprise Server has its API under /api/v3, Gitea and Forgejo under /api/v1. Which it is, is found out once.
func TestFindsTheAPI(t *testing.T) {
	for _, root := range []string{githubtest.Enterprise, githubtest.Gitea} {
		for _, end := range []string{"", "/", root, root + "/"} {
			s := fakeServer(t, root)
			tg := target(t, s.URL()+end)
			for range 3 {
				if err := send(t, tg, notice("r1", run.Passed)); err != nil {
					t.Fatalf("%s%s: %v", root, end, err)
				}
			}
			asked := 3
			if root == githubtest.Gitea && len(end) < 2 {
				asked = 4
			}
			if len(s.Statuses()) != 3 || s.Requests() != asked {
				t.Errorf("%s at %q: %d statuses by %d requests", root, end, len(s.Statuses()), s.Requests())
			}
		}
	}
}

func TestGiteaThatAsksForALogin(t *testing.T) {
	s := fakeServer(t, githubtest.Gitea)
	s.Before(func(r *http.Request) *githubtest.Answer {
		if strings.HasPrefix(r.URL.Path, "/api/v3") {
			return &githubtest.Answer{Status: 303, Header: map[string]string{"Location": "/user/login"}}
		}
		return nil
	})
	if err := send(t, target(t, s.URL()), notice("r1", run.Passed)); err != nil || len(s.Statuses()) != 1 {
		t.Errorf("%v, %d statuses", err, len(s.Statuses()))
	}
}

func TestAPIAddresses(t *testing.T) {
	for address, want := range map[string]string{
		"":                                   "https://api.github.com/",
		"https://github.com":                 "https://api.github.com/",
		"https://www.GitHub.com/":            "https://api.github.com/",
		"https://api.github.com":             "https://api.github.com/",
		"http://github.com":                  "https://api.github.com/",
		"https://acme.ghe.com":               "https://api.acme.ghe.com/",
		"https://api.acme.ghe.com/":          "https://api.acme.ghe.com/",
		"https://git.example.com":            "https://git.example.com/api/v3/ https://git.example.com/api/v1/",
		"https://example.com/gitea/":         "https://example.com/gitea/api/v3/ https://example.com/gitea/api/v1/",
		"https://git.example.com/api/v3":     "https://git.example.com/api/v3/",
		"http://example.com:3000/x/api/v1/":  "http://example.com:3000/x/api/v1/",
		"https://api.git.example.com/api/v3": "https://api.git.example.com/api/v3/",
	} {
		var got []string
		for _, d := range target(t, address).server.dialects {
			req, err := d.request(http.MethodGet, "", nil)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, req.URL.String())
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %q, want %s", address, got, want)
		}
	}
	for address, want := range map[string]string{
		"git.example.com":             `github_url is not a URL like "https://github.example.com"`,
		"ftp://x":                     `github_url is not a URL like "https://github.example.com"`,
		"https://user@x":              `github_url must not hold a user, "?" or "#"`,
		"https://x/?y":                `github_url must not hold a user, "?" or "#"`,
		"https://x/#y":                `github_url must not hold a user, "?" or "#"`,
		"https://x/" + "%zz-" + token: `github_url is not a URL like "https://github.example.com"`,
	} {
		if _, err := New(Options{Token: secret.New(token), URL: address}); err == nil || err.Error() != want {
			t.Errorf("%s: got %v, want %s", address, err, want)
		}
	}
	if _, err := New(Options{}); err == nil || err.Error() != "commit statuses need a token" {
		t.Errorf("got %v", err)
	}
}

// The token goes to no other host, wherever a server sends us.
func TestTheTokenStaysWithItsHost(t *testing.T) {
	var mu sync.Mutex
	strays := 0
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		strays++
	}))
	t.Cleanup(other.Close)
	for _, status := range []int{301, 302, 303, 307, 308} {
		s := fakeServer(t, githubtest.Enterprise)
		s.Before(func(*http.Request) *githubtest.Answer {
			return &githubtest.Answer{Status: status, Header: map[string]string{"Location": other.URL + "/api/v3/repos/acme/site/statuses/" + commit}}
		})
		p := problem(t, send(t, target(t, s.URL()+"/api/v3"), notice("r1", run.Passed)))
		if !p.Final || p.Message != fmt.Sprintf("%s answers %d", strings.TrimPrefix(s.URL(), "http://"), status) || s.Requests() != 1 {
			t.Errorf("%d: %+v after %d requests", status, p, s.Requests())
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if strays != 0 {
		t.Errorf("%d requests went elsewhere", strays)
	}
	g := target(t, "https://git.example.com").server.dialects[0].http.Transport
	for _, address := range []string{"https://evil.test/api/v3/x", "http://git.example.com/api/v3/x", "https://git.example.com:8443/api/v3/x", "https://git.example.com/other"} {
		req, err := http.NewRequest(http.MethodGet, address, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := g.RoundTrip(req); err == nil || !strings.HasPrefix(err.Error(), "the token is not sent to ") {
			t.Errorf("%s: %v", address, err)
		}
	}
}

func TestFinalErrors(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*notify.Notice, *githubtest.Server)
		want   string
		hint   string
	}{
		"unknown repository": {func(n *notify.Notice, _ *githubtest.Server) { n.Event.Repo = "acme/other" }, "answers 404 (Not Found)", "does not see the repository"},
		"unknown commit":     {func(n *notify.Notice, _ *githubtest.Server) { n.Event.SHA = strings.Repeat("a", 40) }, "answers 422 (No commit found for SHA: " + strings.Repeat("a", 40) + ")", ""},
		"bad token": {func(_ *notify.Notice, s *githubtest.Server) {
			s.Before(func(*http.Request) *githubtest.Answer {
				return &githubtest.Answer{Status: 401, Body: `{"message": "Bad credentials"}`}
			})
		}, "answers 401 (Bad credentials)", "make a new one"},
		"token without the right": {func(_ *notify.Notice, s *githubtest.Server) {
			s.Before(func(*http.Request) *githubtest.Answer {
				return &githubtest.Answer{Status: 403, Body: `{"message": "Resource not accessible by personal access token"}`}
			})
		}, "answers 403 (Resource not accessible by personal access token)", "repo:status"},
		"second factor": {func(_ *notify.Notice, s *githubtest.Server) {
			s.Before(func(*http.Request) *githubtest.Answer {
				return &githubtest.Answer{Status: 401, Header: map[string]string{"X-GitHub-OTP": "required; app"}}
			})
		}, "asks for a second factor", "make a new one"},
		"too many": {func(_ *notify.Notice, s *githubtest.Server) {
			s.Before(func(*http.Request) *githubtest.Answer {
				return &githubtest.Answer{Status: 422, Body: `{"message": "Validation Failed", "errors": [{"field": "context", "message": "has reached its maximum ` + token + `"}]}`}
			})
		}, "answers 422 (Validation Failed): context has reached its maximum [secret]", ""},
	} {
		s := fakeServer(t, githubtest.Enterprise)
		n := notice("r1", run.Passed)
		c.change(&n, s)
		p := problem(t, send(t, target(t, s.URL()), n))
		if !p.Final || p.Busy || !strings.HasSuffix(p.Message, c.want) || !strings.Contains(p.Hint, c.hint) {
			t.Errorf("%s: %+v, want %s", name, p, c.want)
		}
	}
}

func TestErrorsThatPass(t *testing.T) {
	reset := strconv.FormatInt(time.Now().Add(10*time.Minute).Unix(), 10)
	for name, c := range map[string]struct {
		answer      githubtest.Answer
		busy        bool
		least, most time.Duration
	}{
		"server error": {githubtest.Answer{Status: 502, Body: "<html>"}, false, 0, 0},
		"maintenance":  {githubtest.Answer{Status: 503, Header: map[string]string{"Retry-After": "120"}}, false, 2 * time.Minute, 2 * time.Minute},
		"primary limit": {githubtest.Answer{Status: 403, Header: map[string]string{
			"X-RateLimit-Limit": "5000", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": reset,
		}}, true, 9 * time.Minute, 10 * time.Minute},
		"primary limit as 429": {githubtest.Answer{Status: 429, Header: map[string]string{
			"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": reset,
		}}, true, 9 * time.Minute, 10 * time.Minute},
		"secondary limit": {githubtest.Answer{Status: 403, Header: map[string]string{"Retry-After": "90"},
			Body: `{"message": "You have exceeded a secondary rate limit.", "documentation_url": "https://docs.github.com/rest/overview/rate-limits-for-the-rest-api#about-secondary-rate-limits"}`},
			true, 89 * time.Second, 90 * time.Second},
		"secondary limit without a word": {githubtest.Answer{Status: 403, Body: `{"message": "You have exceeded a secondary rate limit and have been temporarily blocked."}`}, true, time.Minute, 2 * time.Minute},
		"429 without a word":             {githubtest.Answer{Status: 429}, true, time.Minute, 2 * time.Minute},
	} {
		s := fakeServer(t, githubtest.Enterprise)
		tg := target(t, s.URL())
		s.Before(func(*http.Request) *githubtest.Answer { return &c.answer })
		p := problem(t, send(t, tg, notice("r1", run.Passed)))
		if p.Final || p.Busy != c.busy || !p.Reached || p.After < c.least || p.After > c.most {
			t.Errorf("%s: %+v, want %v to %v", name, p, c.least, c.most)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
		err := tg.Send(ctx, notify.Telling{Notice: notice("r2", run.Passed)}, nil)
		cancel()
		if held := s.Requests() == 1; c.busy != held || c.busy && !strings.Contains(err.Error(), "no answer in time") && !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %d requests, %v", name, s.Requests(), err)
		}
	}
}

func TestUnreachable(t *testing.T) {
	p := problem(t, send(t, target(t, "http://127.0.0.1:1"), notice("r1", run.Passed)))
	if p.Final || p.Reached || p.Message != "127.0.0.1:1 cannot be reached: dial: connect: connection refused" {
		t.Errorf("got %+v", p)
	}
}

func TestAHugeAnswerIsCut(t *testing.T) {
	s := fakeServer(t, githubtest.Enterprise)
	s.Before(func(*http.Request) *githubtest.Answer {
		return &githubtest.Answer{Status: 500, Body: strings.Repeat("x", maxList+1)}
	})
	tg := target(t, s.URL())
	if p := problem(t, send(t, tg, notice("r1", run.Passed))); p.Final {
		t.Errorf("got %+v", p)
	}
	for method, want := range map[string]int64{http.MethodGet: maxList, http.MethodPost: maxAnswer} {
		req, err := http.NewRequest(method, s.URL()+"/api/v3/user", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := tg.server.dialects[0].http.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if n, err := io.Copy(io.Discard, resp.Body); err != nil || n != want {
			t.Errorf("%s: %d bytes are read, %v", method, n, err)
		}
		_ = resp.Body.Close()
	}
}

// Of what happens on one commit the newest run's newest state is shown, whatever the order in which it comes.
func TestTheNewestRunWins(t *testing.T) {
	s := fakeServer(t, githubtest.Enterprise)
	d, err := notify.New(notify.Options{
		Dir: t.TempDir(), Log: slog.New(slog.DiscardHandler), Routes: []notify.Route{{Target: target(t, s.URL())}},
	})
	if err != nil {
		t.Fatal(err)
	}
	older, newer := notice("r1", run.Running), notice("r2", run.Running)
	newer.QueuedAt = birth.Add(time.Hour)
	d.Audience().Tell(older)
	d.Audience().Tell(newer) // takes the place of the older, which was not told
	passed := newer
	passed.State, passed.FinishedAt = run.Passed, birth.Add(2*time.Hour)
	tell(t, d)
	d.Audience().Tell(passed)
	lost := older
	lost.State, lost.FinishedAt = run.Lost, birth.Add(3*time.Hour)
	d.Audience().Tell(lost) // too late: another run has shown what the commit is
	tell(t, d)
	d.Audience().Tell(lost)
	tell(t, d)
	var got []string
	for _, status := range s.Statuses() {
		got = append(got, status.State+" "+status.TargetURL)
	}
	want := []string{"pending https://ci.example.com/runs/r2", "success https://ci.example.com/runs/r2"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// tell tells what waits.
func tell(t *testing.T, d *notify.Dispatcher) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := d.Run(ctx); err != nil || len(d.Waiting()) != 0 {
		t.Fatalf("%v; waiting %v", err, d.Waiting())
	}
}

func TestTargetsOfOneTokenShareALane(t *testing.T) {
	lanes := &notify.Lanes{}
	lane := func(tok, url string) *notify.Lane {
		tg, err := New(Options{Token: secret.New(tok), URL: url, Lanes: lanes})
		if err != nil {
			t.Fatal(err)
		}
		return tg.lane
	}
	if lane("a", "") != lane("a", "https://github.com") {
		t.Error("one token has two lanes")
	}
	if lane("a", "") == lane("b", "") || lane("a", "") == lane("a", "https://git.example.com") {
		t.Error("two tokens share a lane")
	}
}

func TestTry(t *testing.T) {
	s := fakeServer(t, githubtest.Enterprise)
	tg := target(t, s.URL())
	sample := notice("sample", run.Running)
	said, err := tg.Try(t.Context(), sample)
	if want := "set status lightspeed/acme/deploy/test on 1a2b3c4 of acme/site"; err != nil || said != want {
		t.Errorf("said %q, %v", said, err)
	}
	if got := s.Statuses()[0]; got.State != "success" || got.Context != "lightspeed/acme/deploy/test" || got.Description != "a sample: nothing ran" {
		t.Errorf("got %+v", got)
	}
	sample.Event.SHA = ""
	said, err = tg.Try(t.Context(), sample)
	if want := "the token may set statuses on acme/site (asked with a commit that does not exist)"; err != nil || said != want {
		t.Errorf("said %q, %v", said, err)
	}
	sample.Event.Repo = "acme/other"
	if _, err := tg.Try(t.Context(), sample); err == nil || !strings.HasSuffix(err.Error(), "answers 404 (Not Found)") {
		t.Errorf("got %v", err)
	}
	sample.Event.Repo = ""
	said, err = tg.Try(t.Context(), sample)
	if want := "the token is robot's; give a repository to see whether it may set statuses there"; err != nil || said != want {
		t.Errorf("said %q, %v", said, err)
	}
}
