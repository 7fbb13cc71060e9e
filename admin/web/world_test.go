package web_test

import (
	"bufio"
	"context"
	"crypto/sha1"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"lightspeed/api"
	"lightspeed/app"
	"lightspeed/event"
	"lightspeed/match"
	"lightspeed/run"
	"lightspeed/secret"
)

// site is an admin that serves on loopback, with its page.
type site struct {
	testing.TB
	url    string
	client *api.Client
	http   *http.Client // keeps cookies, and does not follow redirects
}

func serve(t testing.TB, change ...func(*app.AdminOptions)) *site {
	t.Helper()
	o := app.AdminOptions{Addr: "127.0.0.1:0", State: t.TempDir(), Lease: time.Hour}
	for _, c := range change {
		c(&o)
	}
	out, in := io.Pipe()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- app.Admin(app.Stop{Soon: ctx, Now: context.Background()}, app.Output{Ready: in, Notes: io.Discard, Log: slog.New(slog.DiscardHandler)}, o)
		_ = in.Close()
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	ready, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("admin does not serve: %v", err)
	}
	s := &site{TB: t, url: strings.TrimSpace(strings.TrimPrefix(ready, "ready admin "))}
	token := secret.Value{}
	if len(o.AdminTokens) > 0 {
		token = o.AdminTokens[0]
	}
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	if s.client, err = api.NewClient(s.url, token, &http.Client{Transport: transport}); err != nil {
		t.Fatal(err)
	}
	jar, _ := cookiejar.New(nil) // it never fails
	s.http = &http.Client{Transport: transport, Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return s
}

// get fetches a page and returns its status and text.
func (s *site) get(path string) (int, string) {
	s.Helper()
	answer, err := s.http.Get(s.url + path)
	return s.read(answer, err)
}

func (s *site) post(path string, form url.Values) (int, string) {
	s.Helper()
	answer, err := s.http.PostForm(s.url+path, form)
	return s.read(answer, err)
}

// read returns an answer's status and text; of a redirect, where it leads.
func (s *site) read(answer *http.Response, err error) (int, string) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		s.Fatal(err)
	}
	if to := answer.Header.Get("Location"); to != "" {
		return answer.StatusCode, to
	}
	return answer.StatusCode, string(body)
}

// wants fetches a page that must hold each of some texts.
func (s *site) wants(path string, texts ...string) string {
	s.Helper()
	status, page := s.get(path)
	if status != http.StatusOK {
		s.Fatalf("%s: status %d\n%s", path, status, page)
	}
	for _, text := range texts {
		if !strings.Contains(page, text) {
			s.Errorf("%s does not hold %q:\n%s", path, text, page)
		}
	}
	return page
}

// machine is a listener, as a test plays it.
type machine struct {
	*site
	name string
	reg  api.Registration
	keys atomic.Int64
}

func (s *site) listener(name string, rules match.Rules) *machine {
	s.Helper()
	rules.Name = name
	if rules.Repos == nil {
		rules.Repos = []string{"**"}
	}
	m := &machine{site: s, name: name, reg: api.Registration{
		Instance: "i-" + name, Start: "s", Revision: 1, Host: "build-1", Settings: api.Settings{Rules: rules, Concurrency: 4},
	}}
	if _, err := s.client.Register(s.Context(), name, m.reg); err != nil {
		s.Fatal(err)
	}
	return m
}

var pushes atomic.Int64

// push hands in a push, and returns its delivery's id.
func (s *site) push(spec event.PushSpec) string {
	s.Helper()
	n := pushes.Add(1)
	spec.Nonce = fmt.Sprint(n)
	if spec.Repo == "" {
		spec.Repo = "acme/web"
	}
	if spec.SHA == "" {
		spec.SHA = fmt.Sprintf("%x", sha1.Sum(fmt.Append(nil, n)))
	}
	body, err := event.MakePush(spec)
	if err != nil {
		s.Fatal(err)
	}
	id := fmt.Sprintf("d%08d-4c1f-11ef", n)
	if _, err := s.client.Deliver(s.Context(), event.Delivery{ID: id, Event: "push", ContentType: "application/json", Body: body}); err != nil {
		s.Fatal(err)
	}
	return id
}

// take claims the listener's next run.
func (m *machine) take() run.Ref {
	m.Helper()
	c, err := m.client.Claim(m.Context(), m.name, api.ClaimRequest{
		Instance: m.reg.Instance, Start: m.reg.Start, Revision: m.reg.Revision, Key: fmt.Sprint(m.keys.Add(1)),
	}, 10*time.Second)
	if err != nil || c == nil {
		m.Fatalf("nothing to claim: %v", err)
	}
	return run.Ref{Run: c.Run.ID, Attempt: c.Attempt}
}

// write adds to a run's log, which must be as long as offset says.
func (s *site) write(ref run.Ref, offset int64, text string) int64 {
	s.Helper()
	for len(text) > 0 {
		part := text[:min(len(text), api.MaxLogChunk)]
		next, err := s.client.AppendLog(s.Context(), ref, offset, []byte(part))
		if err != nil {
			s.Fatal(err)
		}
		offset, text = next, text[len(part):]
	}
	return offset
}

// finish is what ends an attempt.
type finish = api.Finish

func (s *site) finish(ref run.Ref, state run.State, reason string, change ...func(*api.Finish)) {
	s.Helper()
	f := api.Finish{Status: state, Reason: reason}
	if state == run.Passed {
		f.ExitCode = new(int)
	}
	for _, c := range change {
		c(&f)
	}
	if _, err := s.client.Finish(s.Context(), ref, f); err != nil {
		s.Fatal(err)
	}
}

// ran is a run that ended, with its log.
func (m *machine) ran(spec event.PushSpec, state run.State, log string) run.Ref {
	m.Helper()
	m.push(spec)
	ref := m.take()
	m.write(ref, 0, log)
	m.finish(ref, state, "", func(f *api.Finish) { f.LogBytes = int64(len(log)) })
	return ref
}

func withTokens(tokens ...string) func(*app.AdminOptions) {
	return func(o *app.AdminOptions) {
		for _, one := range tokens {
			o.AdminTokens = append(o.AdminTokens, secret.New(one))
		}
	}
}

func stateIn(dir string) func(*app.AdminOptions) {
	return func(o *app.AdminOptions) { o.State = filepath.Clean(dir) }
}
