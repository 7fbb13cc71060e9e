package admin

import (
	"net"
	"net/http"
	"net/netip"
	"path"
	"strings"
	"sync/atomic"

	"lightspeed/api"
	"lightspeed/secret"
)

// who is a kind of caller, as a bit.
type who uint8

const (
	people    who = 1 << iota // the CLI, people, programs: an admin token
	hooks                     // a hooks token
	listening                 // a listener token
	viewing                   // a viewer token
)

// anyone marks routes that need no token; readers those that only show things.
const (
	anyone  who = 0
	readers     = people | viewing
)

// caller is who a request's token says it is from.
type caller struct {
	kind  who
	names []string // patterns of the listeners that it may speak for; none: all
	name  string   // of the token, as people know it
}

// speaksFor reports whether a caller may act as a listener.
func (c caller) speaksFor(listener string) bool {
	if len(c.names) == 0 || c.kind&people != 0 {
		return true
	}
	for _, pattern := range c.names {
		if ok, err := path.Match(pattern, listener); ok && err == nil {
			return true
		}
	}
	return false
}

// auth tells callers apart.
type auth struct {
	static   map[who][]secret.Value
	own      map[who]secret.Value // of roles in this process: they let nobody else out
	kept     *tokens
	guarded  atomic.Bool // tokens are asked for; otherwise every caller may do everything …
	insecure bool        // … from wherever it comes, and not only by a loopback name
	cross    *http.CrossOriginProtection
}

func newAuth(opt Options, kept *tokens) *auth {
	a := &auth{
		static:   map[who][]secret.Value{people: opt.AdminTokens, hooks: opt.HooksTokens, listening: opt.ListenerTokens},
		own:      map[who]secret.Value{hooks: opt.OwnHooksToken, listening: opt.OwnListenerToken},
		kept:     kept,
		insecure: opt.InsecureNoAuth,
		cross:    http.NewCrossOriginProtection(),
	}
	a.guarded.Store(len(opt.AdminTokens)+len(opt.HooksTokens)+len(opt.ListenerTokens)+kept.number() > 0)
	return a
}

// unauthorized is always the same: it does not say what was wrong with a token.
func unauthorized() *api.Error {
	return api.Errorf(http.StatusUnauthorized, api.Unauthorized, "a bearer token that admin knows is needed")
}

// check refuses a caller that may not use a route which is open to those in may. An admin token may use
// all of them.
func (a *auth) check(r *http.Request, may who) (caller, *api.Error) {
	if !a.guarded.Load() {
		return caller{kind: people}, a.checkOpen(r)
	}
	if may == anyone {
		return caller{}, nil
	}
	c := a.caller(r)
	switch {
	case c.kind == 0:
		return c, unauthorized()
	case c.kind&(may|people) == 0:
		return c, api.Errorf(http.StatusForbidden, api.Forbidden, "this token may not do that: %s", mayDo(c.kind))
	}
	return c, nil
}

// isPeople reports whether the caller may do everything.
func (a *auth) isPeople(r *http.Request) bool {
	return !a.guarded.Load() || a.caller(r).kind&people != 0
}

// checkOpen keeps web pages out of an admin without tokens: those that another name leads here (DNS
// rebinding) by the Host, and those of other origins by what browsers say of themselves.
func (a *auth) checkOpen(r *http.Request) *api.Error {
	if !a.insecure && !loopbackHost(r.Host) {
		return api.Errorf(http.StatusForbidden, api.Forbidden, "without tokens admin answers only to localhost and loopback addresses, not to %q", shorten(r.Host, 100))
	}
	if err := a.cross.Check(r); err != nil {
		return api.Errorf(http.StatusForbidden, api.Forbidden, "%v", err)
	}
	return nil
}

func mayDo(kind who) string {
	switch {
	case kind&hooks != 0:
		return "it can only hand in deliveries"
	case kind&viewing != 0:
		return "it can only look"
	}
	return "it can only do what listeners do"
}

// staticName is what people know a token as that was set when admin was started.
const staticName = "a token of admin's settings"

// caller says who a request is from, by its bearer token.
func (a *auth) caller(r *http.Request) caller {
	scheme, text, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return caller{}
	}
	return a.callerBy(strings.TrimSpace(text))
}

// callerBy says whose a token is. All tokens that were set are compared, so that the time says nothing about which
// one was near; those that admin keeps are looked for by their hash.
func (a *auth) callerBy(text string) caller {
	c := a.kept.find(text)
	for kind, list := range a.static {
		for _, known := range list {
			if !known.IsZero() && known.Equal(text) {
				c = caller{kind: c.kind | kind, name: staticName}
			}
		}
	}
	for kind, known := range a.own {
		if !known.IsZero() && known.Equal(text) {
			c = caller{kind: c.kind | kind, name: staticName}
		}
	}
	return c
}

// lock has tokens asked for from now on.
func (a *auth) lock() { a.guarded.Store(true) }

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
