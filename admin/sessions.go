package admin

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"net/http"
	"time"

	"lightspeed/admin/store"
)

// SessionLength is how long somebody stays logged in on the page.
const SessionLength = 7 * 24 * time.Hour

// Open reports whether nobody is asked for a token: there is none.
func (s *Server) Open() bool { return !s.auth.guarded.Load() }

// Visitor is somebody who has logged in on the page.
type Visitor struct {
	Name   string // of the token: its note, or "admin"
	MayAct bool   // it is an admin's token, and not a viewer's
}

// Login opens a session for whoever has the token of an admin or a viewer. The session's id is for their browser
// alone; ok is false for any other token.
func (s *Server) Login(ctx context.Context, token string) (session string, until time.Time, ok bool, err error) {
	if s.auth.callerBy(token).kind&readers == 0 {
		return "", until, false, nil
	}
	session, until = rand.Text(), time.Now().Add(SessionLength)
	id, of := sha256.Sum256([]byte(session)), sha256.Sum256([]byte(token))
	err = s.store.OpenSession(ctx, store.Session{ID: id[:], Token: of[:], Until: until})
	return session, until, err == nil, err
}

// Visitor says whose session this is; ok is false when it is over. It ends with its token, too. The request that ctx
// is of counts as one that has shown the token.
func (s *Server) Visitor(ctx context.Context, session string) (who Visitor, ok bool, err error) {
	id := sha256.Sum256([]byte(session))
	one, ok, err := s.store.Session(ctx, id[:])
	if err != nil || !ok || len(one.Token) != sha256.Size {
		return who, false, err
	}
	kind, name := s.auth.byHash([sha256.Size]byte(one.Token))
	if ok = kind&readers != 0; ok {
		s.opt.Known(ctx)
	}
	return Visitor{Name: name, MayAct: kind&people != 0}, ok, nil
}

// byHash says what kind of token has a hash, and its name. A look-up by a hash of the database's own tells nobody
// anything about a token.
func (a *auth) byHash(sum [sha256.Size]byte) (kind who, name string) {
	for k, list := range a.static {
		for _, one := range list {
			if !one.IsZero() && sha256.Sum256([]byte(one.Reveal())) == sum {
				kind |= k
			}
		}
	}
	if kind != 0 {
		return kind, staticName
	}
	a.kept.mu.Lock()
	defer a.kept.mu.Unlock()
	known := a.kept.hash[sum]
	if known == nil {
		return 0, ""
	}
	return kindOf[known.Role], nameOf(known)
}

// Logout ends a session at once.
func (s *Server) Logout(ctx context.Context, session string) error {
	id := sha256.Sum256([]byte(session))
	return s.store.CloseSession(ctx, id[:])
}

// Guard keeps out of a handler what admin without tokens refuses: other names for this host, and pages of
// other origins. With tokens it lets everything pass: the handler asks for them itself.
func (s *Server) Guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.Open() {
			if refused := s.auth.checkOpen(r); refused != nil {
				http.Error(w, refused.Message, refused.Status)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}
