package commitstatus

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/go-github/v60/github"

	"lightspeed/notify"
	"lightspeed/secret"
)

const (
	githubAPI = "https://api.github.com/"
	userAgent = "lightspeed"
	maxAnswer = 1 << 20          // bytes that are read of an answer
	maxList   = 16 << 20         // the same of a list, in which GitHub puts each file's patch
	blindRest = 61 * time.Second // after a limit that does not say for how long: GitHub asks for a minute at least
)

// server is where statuses are set. Of a server that may speak either of two dialects, the first that is
// understood is kept.
type server struct {
	host     string
	dialects []*dialect
	known    atomic.Pointer[dialect]
	asking   sync.Mutex // held while it is not known which
}

// dialect is what is asked of a server by one of its dialects. It holds functions, and no *github.Client: the linker keeps every
// method of what an interface leads to, and that one's are two megabytes.
type dialect struct {
	setStatus func(ctx context.Context, owner, repo, commit string, s *github.RepoStatus) (*github.RepoStatus, *github.Response, error)
	user      func(ctx context.Context, name string) (*github.User, *github.Response, error) // "" is the token's own
	request   func(method, path string, body any, o ...github.RequestOption) (*http.Request, error)
	do        func(context.Context, *http.Request, any) (*github.Response, error)
	http      *http.Client // by which all of these go
}

// newServer finds the API of the server that address names.
func newServer(address string, token secret.Value) (*server, error) {
	if address == "" {
		address = githubAPI
	}
	u, err := url.Parse(strings.TrimRight(address, "/") + "/")
	switch {
	case err != nil || u.Hostname() == "" || u.Scheme != "https" && u.Scheme != "http":
		return nil, errors.New(`github_url is not a URL like "https://github.example.com"`)
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return nil, errors.New(`github_url must not hold a user, "?" or "#"`)
	}
	s := &server{}
	for _, base := range bases(u) {
		own := &http.Client{
			Transport:     &guarded{token: token, base: base, next: transport()},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
		c := github.NewClient(own)
		c.BaseURL, c.UserAgent = base, userAgent
		s.dialects = append(s.dialects, &dialect{c.Repositories.CreateStatus, c.Users.Get, c.NewRequest, c.Do, own})
		s.host = base.Host
	}
	if len(s.dialects) == 1 {
		s.known.Store(s.dialects[0])
	}
	return s, nil
}

// bases are the addresses at which the server's API may be.
func bases(u *url.URL) []*url.URL {
	switch host := strings.ToLower(u.Hostname()); {
	case host == "github.com" || host == "www.github.com" || host == "api.github.com":
		u, _ = url.Parse(githubAPI)
		return []*url.URL{u}
	case strings.HasSuffix(host, ".ghe.com") && !strings.HasPrefix(host, "api."): // GitHub Enterprise Cloud with data residency
		return []*url.URL{{Scheme: u.Scheme, Host: "api." + u.Host, Path: "/"}}
	case strings.HasPrefix(host, "api.") && u.Path == "/",
		strings.HasSuffix(u.Path, "/api/v3/"), strings.HasSuffix(u.Path, "/api/v1/"):
		return []*url.URL{u}
	}
	return []*url.URL{u.JoinPath("api/v3/"), u.JoinPath("api/v1/")}
}

// do makes a call at the server's API. While it is not known which it has, both are tried: what is not there is
// answered 404 or 405, or by a redirect to a page for logging in.
func (s *server) do(call func(*dialect) error) error {
	if d := s.known.Load(); d != nil {
		return call(d)
	}
	s.asking.Lock()
	defer s.asking.Unlock()
	if d := s.known.Load(); d != nil {
		return call(d)
	}
	first := call(s.dialects[0])
	if !elsewhere(first) {
		if understood(first) {
			s.known.Store(s.dialects[0])
		}
		return first
	}
	second := call(s.dialects[1])
	if elsewhere(second) {
		return first // the repository is not there, by either name
	}
	if understood(second) {
		s.known.Store(s.dialects[1])
	}
	return second
}

func statusOf(err error) int {
	var refused *github.ErrorResponse
	if errors.As(err, &refused) {
		return refused.Response.StatusCode
	}
	return 0
}

func elsewhere(err error) bool {
	s := statusOf(err)
	return s == http.StatusNotFound || s == http.StatusMethodNotAllowed || s/100 == 3
}

func understood(err error) bool { return err == nil || statusOf(err)/100 == 4 }

// guarded gives the token to the one host that it is for, and to nobody else.
type guarded struct {
	token secret.Value
	base  *url.URL
	next  http.RoundTripper
}

func (g *guarded) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Scheme != g.base.Scheme || req.URL.Host != g.base.Host || !strings.HasPrefix(req.URL.Path, g.base.Path) {
		return nil, fmt.Errorf("the token is not sent to %s", req.URL.Host)
	}
	req = req.Clone(req.Context())
	req.Header.Set("Authorization", "Bearer "+g.token.Reveal())
	resp, err := g.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	most := int64(maxAnswer)
	if req.Method == http.MethodGet {
		most = maxList
	}
	resp.Body = &limited{io.LimitReader(resp.Body, most), resp.Body}
	return resp, nil
}

// limited is a body that ends early.
type limited struct {
	io.Reader
	io.Closer
}

func transport() http.RoundTripper {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxResponseHeaderBytes = 64 << 10
	t.ResponseHeaderTimeout = callLimit
	t.DialContext = (&net.Dialer{Timeout: 10 * time.Second}).DialContext
	return t
}

// problem says what an error of go-github's means, without the URL and the token.
func (t *Target) problem(err error) *notify.Error {
	p := t.explain(err)
	p.Message = strings.ReplaceAll(p.Message, t.token.Reveal(), "[secret]")
	return p
}

func (t *Target) explain(err error) *notify.Error {
	var spent *github.RateLimitError
	var abuse *github.AbuseRateLimitError
	var refused *github.ErrorResponse
	var factor *github.TwoFactorAuthError
	var known *notify.Error
	switch {
	case errors.As(err, &known):
		return known
	case errors.As(err, &spent):
		return busy("the token's requests of this hour are used up", notify.Rest(time.Until(spent.Rate.Reset.Time).Seconds()))
	case errors.As(err, &abuse):
		var after time.Duration
		if abuse.RetryAfter != nil {
			after = notify.Rest(abuse.RetryAfter.Seconds())
		}
		return busy(t.server.host+" answers 403 ("+line(abuse.Message, 200)+")", after)
	case errors.As(err, &refused):
		return t.refused(refused)
	case errors.As(err, &factor):
		return &notify.Error{Message: t.server.host + " asks for a second factor", Hint: hints[http.StatusUnauthorized], Final: true}
	}
	return notify.Unreachable(t.server.host, err)
}

func busy(message string, after time.Duration) *notify.Error {
	if after == 0 {
		after = blindRest
	}
	return &notify.Error{Message: message, After: after, Busy: true, Reached: true}
}

var hints = map[int]string{
	http.StatusUnauthorized: "github_status_token is not valid, or not any more: make a new one",
	http.StatusForbidden:    "the token may not set statuses: give it repo:status, or \"Commit statuses: write\" and the repository",
	http.StatusNotFound:     "the token does not see the repository, or may not set statuses there: give it repo:status, or \"Commit statuses: write\"",
}

func (t *Target) refused(r *github.ErrorResponse) *notify.Error {
	status, header := r.Response.StatusCode, r.Response.Header
	message := fmt.Sprintf("%s answers %d", t.server.host, status)
	if text := line(r.Message, 200); text != "" {
		message += " (" + text + ")"
	}
	if len(r.Errors) > 0 {
		message += ": " + line(r.Errors[0].Field+" "+r.Errors[0].Message, 200)
	}
	after := notify.RetryAfter(header)
	switch {
	case status == http.StatusTooManyRequests, status == http.StatusForbidden && (after > 0 || strings.Contains(strings.ToLower(r.Message), "rate limit")):
		return busy(message, max(after, untilReset(header)))
	case status >= 500 || status == http.StatusRequestTimeout:
		return &notify.Error{Message: message, After: after, Reached: true}
	case status/100 == 3:
		return &notify.Error{Message: message, Hint: "no redirect is followed: has the repository moved, or github_url another address?", Final: true}
	}
	return &notify.Error{Message: message, Hint: hints[status], Final: true}
}

// untilReset is how long the hour's limit still counts, when it is used up.
func untilReset(h http.Header) time.Duration {
	epoch, err := strconv.ParseInt(h.Get("X-RateLimit-Reset"), 10, 64)
	if err != nil || h.Get("X-RateLimit-Remaining") != "0" {
		return 0
	}
	return notify.Rest(time.Until(time.Unix(epoch, 0)).Seconds())
}
