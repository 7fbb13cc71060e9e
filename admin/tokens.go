package admin

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"lightspeed/admin/store"
	"lightspeed/api"
)

// tokens are those that admin keeps, in memory as in the database.
type tokens struct {
	mu   sync.Mutex
	hash map[[sha256.Size]byte]*store.Token
}

func loadTokens(ctx context.Context, s *store.Store) (*tokens, error) {
	list, err := s.Tokens(ctx)
	t := &tokens{hash: map[[sha256.Size]byte]*store.Token{}}
	for _, one := range list {
		t.hash[one.Hash] = &one
	}
	return t, err
}

func (t *tokens) number() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.hash)
}

// find says whose a token is, and notes that it was used. What a look-up by hash takes tells nothing about a text of
// 256 random bits.
func (t *tokens) find(text string) caller {
	if !strings.HasPrefix(text, tokenPrefix) {
		return caller{}
	}
	sum := sha256.Sum256([]byte(text))
	t.mu.Lock()
	defer t.mu.Unlock()
	known := t.hash[sum]
	if known == nil {
		return caller{}
	}
	now := time.Now().UTC()
	known.LastUsedAt = &now
	return caller{kind: kindOf[known.Role], names: known.Listeners, name: nameOf(known)}
}

// nameOf is what people know a token as.
func nameOf(t *store.Token) string {
	if t.Note != nil {
		return *t.Note
	}
	return "token " + t.ID
}

func (t *tokens) put(one store.Token) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.hash[one.Hash] = &one
}

func (t *tokens) remove(id string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for hash, one := range t.hash {
		if one.ID == id {
			delete(t.hash, hash)
		}
	}
}

// admins counts those that may make others, but for one.
func (t *tokens) admins(but string) (n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, one := range t.hash {
		if one.Role == api.RoleAdmin && one.ID != but {
			n++
		}
	}
	return n
}

// used sets when each was last used.
func (t *tokens) used(list []store.Token) []api.Token {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := []api.Token{}
	for _, one := range list {
		if known := t.hash[one.Hash]; known != nil {
			one.LastUsedAt = known.LastUsedAt
		}
		out = append(out, one.Token)
	}
	return out
}

// tokenPrefix begins every token that admin makes, so that programs that look for leaked secrets know one.
const tokenPrefix = "lightspeed_"

var kindOf = map[string]who{api.RoleAdmin: people, api.RoleViewer: viewing, api.RoleHooks: hooks, api.RoleListener: listening}

// Limits of a token that is asked for.
const (
	maxTokenNames = 100
	maxTokenNote  = 200
)

// postToken makes a token. The first one of an admin that served everyone must be an admin's, and locks it.
func (s *Server) postToken(w http.ResponseWriter, r *http.Request) error {
	if q := readQuery(r); q.err != nil {
		return q.err
	}
	var want api.NewToken
	if err := readOrder(w, r, &want); err != nil {
		return err
	}
	if err := s.checkToken(want); err != nil {
		return err
	}
	raw := make([]byte, 32)
	_, _ = rand.Read(raw) // never fails
	text := tokenPrefix + base64.RawURLEncoding.EncodeToString(raw)
	made := store.Token{Hash: sha256.Sum256([]byte(text)), Token: api.Token{
		ID: store.NewID(), Role: want.Role, Listeners: append([]string{}, want.Listeners...), CreatedAt: time.Now().UTC().Truncate(time.Microsecond),
	}}
	if want.Note != "" {
		made.Note = &want.Note
	}
	if err := s.store.AddToken(r.Context(), made); err != nil {
		return err
	}
	s.auth.kept.put(made)
	s.auth.lock()
	s.log.Info("token made", "token", made.ID, "of", made.Role, "listeners", made.Listeners, "asked_by", askedBy(r.Context()))
	return writeJSON(w, http.StatusCreated, api.MadeToken{Token: made.Token, Text: text})
}

func (s *Server) checkToken(want api.NewToken) error {
	switch {
	case !slices.Contains(api.Roles, want.Role):
		return badRequest("role %q is none of %v", shorten(want.Role, 50), api.Roles)
	case len(want.Listeners) > 0 && want.Role != api.RoleListener:
		return badRequest("only a listener's token is bound to listeners")
	case len(want.Listeners) > maxTokenNames:
		return badRequest("listeners names %d, more than %d", len(want.Listeners), maxTokenNames)
	case len(want.Note) > maxTokenNote:
		return badRequest("note is longer than %d bytes", maxTokenNote)
	}
	for _, pattern := range want.Listeners {
		if _, err := path.Match(pattern, "x"); err != nil || pattern == "" || len(pattern) > 200 {
			return badRequest("listeners: %q is not a name or a pattern", shorten(pattern, 50))
		}
	}
	if s.auth.guarded.Load() {
		return nil
	}
	if s.auth.insecure {
		return conflict("admin runs with --insecure-no-auth: nobody is asked for a token")
	}
	if want.Role != api.RoleAdmin {
		return conflict("admin serves everyone: the first token is one of role admin, and from then on everyone needs one")
	}
	return nil
}

func conflict(format string, args ...any) error {
	return api.Errorf(http.StatusConflict, api.Conflict, format, args...)
}

func (s *Server) getTokens(w http.ResponseWriter, r *http.Request) error {
	if q := readQuery(r); q.err != nil {
		return q.err
	}
	list, err := s.store.Tokens(r.Context())
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, api.List[api.Token]{Items: s.auth.kept.used(list)})
}

// deleteToken revokes a token: the next call with it is refused. The last one that could make others is kept.
func (s *Server) deleteToken(w http.ResponseWriter, r *http.Request) error {
	if q := readQuery(r); q.err != nil {
		return q.err
	}
	id := runID(r)
	if len(s.opt.AdminTokens) == 0 && s.auth.kept.admins("") > 0 && s.auth.kept.admins(id) == 0 {
		return conflict("this is the last token of role admin: make another first")
	}
	if err := s.store.RemoveToken(r.Context(), id); err != nil {
		return err
	}
	s.auth.kept.remove(id)
	s.log.Info("token revoked", "token", id, "asked_by", askedBy(r.Context()))
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// checkNames refuses a caller that is bound to listeners and speaks for another: the listener in the path, or the
// one whose run is there. What a body says of a listener is never asked.
func (s *Server) checkNames(r *http.Request, c caller) error {
	if len(c.names) == 0 {
		return nil
	}
	name := r.PathValue("name")
	if id := runID(r); id != "" {
		var live bool
		if name, live = s.leases.listenerOf(id); !live {
			var err error
			if name, err = s.store.ListenerOf(r.Context(), id); err != nil {
				return err
			}
		}
	}
	if !c.speaksFor(name) {
		return api.Errorf(http.StatusForbidden, api.Forbidden, "this token may not do that: it can only speak for listeners %s", strings.Join(c.names, ", "))
	}
	return nil
}
