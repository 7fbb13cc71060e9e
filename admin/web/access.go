package web

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// sessionCookie holds a session's id. SameSite=Lax lets a link from a chat or a commit status open the page
// logged in; what acts is a POST, which no other site can send with it.
const sessionCookie = "lightspeed_session"

// who finds out whose request this is.
func (s *Server) who(r *http.Request) (Person, error) {
	if s.access.Open() {
		return Person{Name: "the page", MayAct: true}, nil
	}
	cookie, err := r.Cookie(sessionCookie)
	if err != nil || cookie.Value == "" || len(cookie.Value) > 200 {
		return Person{}, ErrNoAccess
	}
	return s.access.Who(r.Context(), cookie.Value)
}

// toLogin sends somebody to the login page, and back here after it. What a script asks for is refused.
func (s *Server) toLogin(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Sec-Fetch-Mode") == "cors" || r.URL.Path == "/live" {
		http.Error(w, "log in first", http.StatusUnauthorized)
		return
	}
	target := "/login"
	if r.Method == http.MethodGet && r.URL.RequestURI() != "/" {
		target += "?next=" + url.QueryEscape(r.URL.RequestURI())
	}
	http.Redirect(w, r, target, http.StatusSeeOther)
}

// loginPage is what the login page shows.
type loginPage struct {
	layout
	Wrong bool
	Next  string
}

func (s *Server) showLogin(w http.ResponseWriter, r *http.Request) {
	if _, err := s.who(r); err == nil {
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return
	}
	s.renderLogin(w, r, http.StatusOK, false, r.URL.Query().Get("next"))
}

func (s *Server) renderLogin(w http.ResponseWriter, r *http.Request, status int, wrong bool, next string) {
	w.Header().Set("Cache-Control", "no-store")
	v := &visit{Server: s, w: w, r: r}
	p := v.layout("Log in", "")
	p.Anonymous = true
	if err := v.render(status, "login.html", loginPage{p, wrong, ownPath(next)}); err != nil {
		v.showError(err)
	}
}

// slowLogin is how long a wrong token takes to be refused.
const slowLogin = 500 * time.Millisecond

// login opens a session, and sets its cookie for as long as it lasts.
func (s *Server) login(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	next := ownPath(r.PostFormValue("next"))
	if s.access.Open() {
		http.Redirect(w, r, next, http.StatusSeeOther)
		return
	}
	session, until, err := s.access.Login(r.Context(), strings.TrimSpace(r.PostFormValue("token")))
	switch {
	case errors.Is(err, ErrNoAccess):
		select {
		case <-time.After(slowLogin):
		case <-r.Context().Done():
		}
		s.renderLogin(w, r, http.StatusUnauthorized, true, next)
		return
	case err != nil:
		(&visit{Server: s, w: w, r: r}).showError(err)
		return
	}
	http.SetCookie(w, &http.Cookie{
		Name: sessionCookie, Value: session, Path: "/", Expires: until, HttpOnly: true, Secure: encrypted(r), SameSite: http.SameSiteLaxMode,
	})
	http.Redirect(w, r, next, http.StatusSeeOther)
}

// encrypted reports whether a request came by TLS, as far as a proxy in front of us says so. Anyone may say that: it
// only makes the own cookie a stricter one.
func encrypted(r *http.Request) bool {
	return r.TLS != nil || strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https")
}

// logout ends the session here, and in the browser.
func (s *Server) logout(w http.ResponseWriter, r *http.Request) {
	if cookie, err := r.Cookie(sessionCookie); err == nil && !s.access.Open() {
		if err := s.access.Logout(r.Context(), cookie.Value); err != nil {
			(&visit{Server: s, w: w, r: r}).showError(err)
			return
		}
	}
	http.SetCookie(w, &http.Cookie{Name: sessionCookie, Path: "/", MaxAge: -1, HttpOnly: true, Secure: encrypted(r), SameSite: http.SameSiteLaxMode})
	http.Redirect(w, r, "/login", http.StatusSeeOther)
}

// ownPath returns where to go after a login: a path of this page, never another site.
func ownPath(next string) string {
	u, err := url.Parse(next)
	if err != nil || u.Scheme != "" || u.Host != "" || !strings.HasPrefix(next, "/") ||
		strings.HasPrefix(next, "//") || strings.ContainsAny(next, "\\\r\n") {
		return "/"
	}
	return u.RequestURI()
}
