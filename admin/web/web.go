// Package web is the page: what admin knows, for people, in a browser. It shows a Source and does what people
// ask of it; it works without scripts, and is live with them. Everything that it shows came from outside, and is
// text.
package web

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"
)

// Options say what the page shows.
type Options struct {
	Source Source
	Access Access
	Log    *slog.Logger // nil: nothing is logged
}

// Server is the page.
type Server struct {
	source  Source
	access  Access
	log     *slog.Logger
	logs    *logbook
	feeds   *feeds
	now     func() time.Time
	cross   *http.CrossOriginProtection
	handler http.Handler
}

// New makes a page.
func New(opt Options) *Server {
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	s := &Server{source: opt.Source, access: opt.Access, log: opt.Log, now: time.Now, cross: http.NewCrossOriginProtection()}
	s.logs = newLogbook(opt.Source)
	s.feeds = newFeeds(opt.Source, s.logs)
	s.handler = s.routes()
	return s
}

// Handler serves the page at /.
func (s *Server) Handler() http.Handler { return s.handler }

// visit is one request of one person.
type visit struct {
	*Server
	w      http.ResponseWriter
	r      *http.Request
	person Person
}

// page answers a visit, or returns the error to be shown.
type page func(v *visit) error

// routes lists what can be asked for. Whoever may not act can only look.
func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	look := func(pattern string, p page) { mux.Handle("GET "+pattern, s.serve(p, false)) }
	act := func(pattern string, p page) { mux.Handle("POST "+pattern, s.serve(p, true)) }

	look("/{$}", (*visit).showRuns)
	look("/runs/{id}", (*visit).showRun)
	look("/runs/{id}/log", (*visit).sendLog)
	look("/runs/{id}/artifacts/{path...}", (*visit).sendArtifact)
	look("/runs/{id}/lines", (*visit).sendLines)
	look("/live", (*visit).live)
	act("/runs/{id}/cancel", (*visit).cancel)
	act("/runs/{id}/retry", (*visit).retry)
	act("/runs/{id}/release", (*visit).release)

	look("/deliveries", (*visit).showDeliveries)
	look("/deliveries/{id}", (*visit).showDelivery)
	look("/deliveries/{id}/payload", (*visit).sendPayload)
	act("/deliveries/{id}/replay", (*visit).replay)

	look("/listeners", (*visit).showListeners)
	look("/listeners/{name}", (*visit).showListener)
	act("/listeners/{name}/trigger", (*visit).trigger)
	act("/listeners/{name}/pause", (*visit).pause)
	act("/listeners/{name}/resume", (*visit).resume)
	act("/listeners/{name}/remove", (*visit).remove)

	mux.HandleFunc("GET /login", s.showLogin)
	mux.HandleFunc("POST /login", s.login)
	mux.HandleFunc("POST /logout", s.logout)
	mux.HandleFunc("GET /static/{file}", s.sendAsset)
	mux.HandleFunc("GET /badge/{file}", s.sendBadge)
	look("/", func(v *visit) error {
		return &Refusal{http.StatusNotFound, "There is nothing at this address."}
	})
	return s.secured(mux)
}

// secured says to browsers what a page of ours never does: run a script or use a style that is not one of its
// own two files, load anything from elsewhere, stand in a frame, tell other sites where somebody was. It takes no
// request that a page of another origin sends.
func (s *Server) secured(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "+
			"form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		if err := s.cross.Check(r); err != nil {
			http.Error(w, "this was sent by a page of another site", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

type personKey struct{}

// PersonOf says who asks a Source for something, by the context that it is asked with.
func PersonOf(ctx context.Context) Person {
	person, _ := ctx.Value(personKey{}).(Person)
	return person
}

// maxForm bounds what a form may send, in bytes.
const maxForm = 64 << 10

// serve finds out who asks, and shows errors.
func (s *Server) serve(p page, acts bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		person, err := s.who(r)
		if errors.Is(err, ErrNoAccess) {
			s.toLogin(w, r)
			return
		}
		v := &visit{Server: s, w: w, r: r.WithContext(context.WithValue(r.Context(), personKey{}, person)), person: person}
		if err == nil && acts && !person.MayAct {
			err = &Refusal{http.StatusForbidden, "You may look, but not act: the token that you logged in with is a viewer's."}
		}
		if err == nil {
			err = p(v)
		}
		if err != nil {
			v.showError(err)
		}
	})
}

// showError shows what is to be read; of the rest it shows only that there is trouble.
func (v *visit) showError(err error) {
	refusal := &Refusal{http.StatusServiceUnavailable, "Admin cannot do that now: its log says why."}
	if !errors.As(err, &refusal) && v.r.Context().Err() == nil {
		v.log.Error("page failed", "method", v.r.Method, "path", v.r.URL.Path, "err", err)
	}
	p := v.layout("Error", "")
	word := http.StatusText(refusal.Status)
	p.Title, p.Icon = word+" · Lightspeed", iconOf("")
	_ = v.render(refusal.Status, "error.html", struct {
		layout
		*Refusal
		Word string
	}{p, refusal, word})
}

// render answers with a page. It is made whole first, so that an error does not cut it off in the middle.
func (v *visit) render(status int, name string, data any) error {
	var b bytes.Buffer
	if err := templates[name].Execute(&b, data); err != nil {
		return fmt.Errorf("template %s: %w", name, err)
	}
	v.w.Header().Set("Content-Type", "text/html; charset=utf-8")
	v.w.WriteHeader(status)
	_, _ = v.w.Write(b.Bytes()) // whoever asked has gone: there is nobody to tell
	return nil
}

// seeOther sends a browser on after a form was handled, so that reloading does not send it again.
func (v *visit) seeOther(path string) error {
	http.Redirect(v.w, v.r, path, http.StatusSeeOther)
	return nil
}
