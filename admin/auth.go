package admin

import (
	"net"
	"net/http"
	"net/netip"
	"strings"

	"lightspeed/api"
	"lightspeed/secret"
)

// who is a kind of caller, as a bit.
type who uint8

const (
	people    who = 1 << iota // the CLI, people, programs: an admin token
	hooks                     // a hooks token
	listening                 // a listener token
)

// anyone marks routes that need no token.
const anyone who = 0

// auth tells callers apart.
type auth struct {
	tokens   map[who][]secret.Value
	open     bool // no tokens: every caller may do everything …
	loopback bool // … when it names this host by a loopback name
	cross    *http.CrossOriginProtection
}

func newAuth(opt Options) *auth {
	a := &auth{
		tokens: map[who][]secret.Value{people: opt.AdminTokens, hooks: opt.HooksTokens, listening: opt.ListenerTokens},
		cross:  http.NewCrossOriginProtection(),
	}
	a.open = len(opt.AdminTokens)+len(opt.HooksTokens)+len(opt.ListenerTokens) == 0
	a.loopback = a.open && !opt.InsecureNoAuth
	return a
}

// unauthorized is always the same: it does not say what was wrong with a token.
func unauthorized() *api.Error {
	return api.Errorf(http.StatusUnauthorized, api.Unauthorized, "a bearer token that admin knows is needed")
}

// check refuses a caller that may not use a route which is open to those in may. An admin token may use
// all of them.
func (a *auth) check(r *http.Request, may who) *api.Error {
	if a.open {
		return a.checkOpen(r)
	}
	if may == anyone {
		return nil
	}
	kind := a.kind(r)
	switch {
	case kind == 0:
		return unauthorized()
	case kind&(may|people) == 0:
		return api.Errorf(http.StatusForbidden, api.Forbidden, "this token may not do that: %s", mayDo(kind))
	}
	return nil
}

// isPeople reports whether the caller may do everything.
func (a *auth) isPeople(r *http.Request) bool { return a.open || a.kind(r)&people != 0 }

// checkOpen keeps web pages out of an admin without tokens: those that another name leads here (DNS
// rebinding) by the Host, and those of other origins by what browsers say of themselves.
func (a *auth) checkOpen(r *http.Request) *api.Error {
	if a.loopback && !loopbackHost(r.Host) {
		return api.Errorf(http.StatusForbidden, api.Forbidden, "without tokens admin answers only to localhost and loopback addresses, not to %q", shorten(r.Host, 100))
	}
	if err := a.cross.Check(r); err != nil {
		return api.Errorf(http.StatusForbidden, api.Forbidden, "%v", err)
	}
	return nil
}

func mayDo(kind who) string {
	if kind&hooks != 0 {
		return "it can only hand in deliveries"
	}
	return "it can only do what listeners do"
}

// kind returns every kind that the request's token is of. All tokens are compared, so that the time says
// nothing about which one was near.
func (a *auth) kind(r *http.Request) who {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return 0
	}
	token = strings.TrimSpace(token)
	var kind who
	for k, list := range a.tokens {
		for _, known := range list {
			if !known.IsZero() && known.Equal(token) {
				kind |= k
			}
		}
	}
	return kind
}

func loopbackHost(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.Trim(host, "[]")
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}
