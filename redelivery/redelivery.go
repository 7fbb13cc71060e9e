// Package redelivery asks GitHub what a webhook has sent, and to send some of it again. GitHub itself never tries
// twice: https://docs.github.com/en/webhooks/using-webhooks/handling-failed-webhook-deliveries
package redelivery

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/google/go-github/v60/github"

	"lightspeed/secret"
)

// How long deliveries are kept, and can be asked for again:
// https://docs.github.com/en/webhooks/testing-and-troubleshooting-webhooks/redelivering-webhooks
const (
	keptByGitHub     = 3 * 24 * time.Hour
	keptByEnterprise = 7 * 24 * time.Hour
)

const (
	pageSize     = 100
	maxPages     = 1000
	callTimeout  = 30 * time.Second
	maxAnswer    = 32 << 20
	jwtLife      = 9 * time.Minute // GitHub takes 10 at most
	clockAllowed = time.Minute
)

// Options say which webhook, and by whose right.
type Options struct {
	Hook  string       // "OWNER/REPO/HOOK-ID", "ORGANISATION/HOOK-ID", or "app"
	Token secret.Value // may read and redeliver the hook's deliveries; not for an App
	AppID string       // of an App, with its private key in PEM form
	Key   secret.Value
	URL   string // "https://github.example.com" for Enterprise Server; empty: github.com
}

// Attempt is one sending of a delivery.
type Attempt struct {
	ID     int64  // of the attempt
	GUID   string // of the delivery: X-GitHub-Delivery
	Event  string
	Action string
	At     time.Time
	OK     bool   // answered with 2xx in time
	Status string // in GitHub's words
	Code   int    // of the answer; 0 when there was none
}

// Hook is one webhook at GitHub.
type Hook struct {
	name   string
	kept   time.Duration
	list   func(context.Context, *github.ListCursorOptions) ([]*github.HookDelivery, *github.Response, error)
	resend func(context.Context, int64) (*github.HookDelivery, *github.Response, error)
}

var plainName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$`)

// New checks the options. Nothing is asked yet.
func New(o Options) (*Hook, error) {
	client, err := newClient(o)
	if err != nil {
		return nil, err
	}
	h := &Hook{name: o.Hook, kept: keptByGitHub}
	if o.URL != "" {
		h.kept = keptByEnterprise
	}
	parts := strings.Split(o.Hook, "/")
	for _, part := range parts {
		if !plainName.MatchString(part) {
			return nil, fmt.Errorf("hook %q is none of OWNER/REPO/HOOK-ID, ORGANISATION/HOOK-ID and app", o.Hook)
		}
	}
	if o.Hook == "app" {
		h.list, h.resend = client.Apps.ListHookDeliveries, client.Apps.RedeliverHookDelivery
		return h, nil
	}
	id, err := strconv.ParseInt(parts[len(parts)-1], 10, 64)
	if err != nil || len(parts) < 2 || len(parts) > 3 {
		return nil, fmt.Errorf("hook %q is none of OWNER/REPO/HOOK-ID, ORGANISATION/HOOK-ID and app", o.Hook)
	}
	if o.Token.IsZero() {
		return nil, fmt.Errorf("hook %q needs a token", o.Hook)
	}
	if len(parts) == 2 {
		h.list = func(ctx context.Context, page *github.ListCursorOptions) ([]*github.HookDelivery, *github.Response, error) {
			return client.Organizations.ListHookDeliveries(ctx, parts[0], id, page)
		}
		h.resend = func(ctx context.Context, attempt int64) (*github.HookDelivery, *github.Response, error) {
			return client.Organizations.RedeliverHookDelivery(ctx, parts[0], id, attempt)
		}
		return h, nil
	}
	h.list = func(ctx context.Context, page *github.ListCursorOptions) ([]*github.HookDelivery, *github.Response, error) {
		return client.Repositories.ListHookDeliveries(ctx, parts[0], parts[1], id, page)
	}
	h.resend = func(ctx context.Context, attempt int64) (*github.HookDelivery, *github.Response, error) {
		return client.Repositories.RedeliverHookDelivery(ctx, parts[0], parts[1], id, attempt)
	}
	return h, nil
}

func newClient(o Options) (*github.Client, error) {
	base := "https://api.github.com/"
	if o.URL != "" {
		base = strings.TrimRight(o.URL, "/") + "/api/v3/"
	}
	u, err := url.Parse(base)
	if err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") || u.User != nil {
		return nil, fmt.Errorf("github URL %q is not a URL like https://github.example.com", o.URL)
	}
	authorize := func() (string, error) { return o.Token.Reveal(), nil }
	if o.Hook == "app" {
		sign, err := newSigner(o.AppID, o.Key)
		if err != nil {
			return nil, err
		}
		authorize = sign.token
	}
	client := github.NewClient(&http.Client{
		Transport:     &bearer{base: u, authorize: authorize},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	})
	client.BaseURL, client.UserAgent = u, "lightspeed"
	return client, nil
}

// bearer adds the token to calls of its own server alone, and bounds what is read of an answer.
type bearer struct {
	base      *url.URL
	authorize func() (string, error)
}

func (b *bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Host != b.base.Host || r.URL.Scheme != b.base.Scheme {
		return nil, fmt.Errorf("%s is not %s: nothing is sent there", r.URL.Host, b.base.Host)
	}
	token, err := b.authorize()
	if err != nil {
		return nil, err
	}
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err == nil {
		resp.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(resp.Body, maxAnswer), resp.Body}
	}
	return resp, err
}

// Name is the hook as Options name it.
func (h *Hook) Name() string { return h.name }

// Kept is how long the server keeps deliveries.
func (h *Hook) Kept() time.Duration { return h.kept }

// Sent lists what the hook has sent since a moment, the newest first: an attempt each.
func (h *Hook) Sent(ctx context.Context, since time.Time) ([]Attempt, error) {
	var all []Attempt
	page := &github.ListCursorOptions{PerPage: pageSize}
	for range maxPages {
		list, resp, err := h.page(ctx, page)
		if err != nil {
			return nil, h.explain("listing deliveries", err)
		}
		for _, d := range list {
			if d.GetDeliveredAt().Before(since) {
				return all, nil
			}
			all = append(all, Attempt{ID: d.GetID(), GUID: d.GetGUID(), Event: d.GetEvent(), Action: d.GetAction(), At: d.GetDeliveredAt().UTC(),
				OK: d.GetStatusCode() >= 200 && d.GetStatusCode() < 300, Status: d.GetStatus(), Code: d.GetStatusCode()})
		}
		if resp.Cursor == "" {
			return all, nil
		}
		page.Cursor = resp.Cursor
	}
	return nil, fmt.Errorf("hook %s: more than %d deliveries", h.name, maxPages*pageSize)
}

// page lists one page. The call is bounded by its context: a time-out of the http.Client would leave a goroutine
// behind after each refusal, whose body go-github replaces without closing it.
func (h *Hook) page(ctx context.Context, page *github.ListCursorOptions) ([]*github.HookDelivery, *github.Response, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return h.list(ctx, page)
}

// Resend asks for an attempt's delivery to be sent again, under the same GUID.
func (h *Hook) Resend(ctx context.Context, attempt int64) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	_, _, err := h.resend(ctx, attempt)
	var accepted *github.AcceptedError
	if errors.As(err, &accepted) {
		return nil
	}
	return h.explain("asking for a delivery again", err)
}

// explain says what GitHub's refusal means, without what a URL may hold.
func (h *Hook) explain(doing string, err error) error {
	if err == nil {
		return nil
	}
	var rate *github.RateLimitError
	var abuse *github.AbuseRateLimitError
	var refused *github.ErrorResponse
	switch {
	case errors.As(err, &rate):
		return fmt.Errorf("hook %s: %s: GitHub takes no more requests until %s", h.name, doing, rate.Rate.Reset.UTC().Format(time.RFC3339))
	case errors.As(err, &abuse):
		return fmt.Errorf("hook %s: %s: GitHub takes no more requests for %s", h.name, doing, abuse.GetRetryAfter())
	case !errors.As(err, &refused) || refused.Response == nil:
		return fmt.Errorf("hook %s: %s: %w", h.name, doing, err)
	}
	switch refused.Response.StatusCode {
	case http.StatusTooManyRequests:
		return fmt.Errorf("hook %s: %s: GitHub takes no more requests for a while", h.name, doing)
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound:
		return fmt.Errorf("hook %s: %s: GitHub answered %d: the hook is another, or the token may not read and redeliver its deliveries",
			h.name, doing, refused.Response.StatusCode)
	}
	return fmt.Errorf("hook %s: %s: GitHub answered %d", h.name, doing, refused.Response.StatusCode)
}
