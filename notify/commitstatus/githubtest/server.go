// Package githubtest is a server that behaves like GitHub, Enterprise Server or Gitea where commit statuses are
// concerned: it knows repositories and commits, refuses what is over a documented limit, and limits rates.
package githubtest

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"
)

// Where a server's API stands.
const (
	Enterprise = "/api/v3"
	Gitea      = "/api/v1"
)

// Server is one server. Everything but the token that it was made with is an error.
type Server struct {
	t     testing.TB
	http  *httptest.Server
	root  string
	token string

	mu       sync.Mutex
	repos    map[string]map[string]bool // full name → commits
	pulls    map[string][]File          // full name and number, as in a path → what it changes
	statuses []Status
	requests int
	before   func(*http.Request) *Answer
}

// Status is one that was set.
type Status struct {
	Repo        string `json:"-"`
	SHA         string `json:"-"`
	State       string `json:"state"`
	TargetURL   string `json:"target_url"`
	Description string `json:"description"`
	Context     string `json:"context"`
}

// Answer takes the place of the server's own.
type Answer struct {
	Status int
	Header map[string]string
	Body   string
}

// New starts a server with its API under root that ends with the test.
func New(t testing.TB, root, token string) *Server {
	s := &Server{t: t, root: root, token: token, repos: map[string]map[string]bool{}, pulls: map[string][]File{}}
	s.http = httptest.NewServer(s)
	t.Cleanup(s.http.Close)
	return s
}

// URL is the server's address, without the API's root.
func (s *Server) URL() string { return s.http.URL }

// Commit makes a repository and a commit in it known.
func (s *Server) Commit(repo, sha string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.repos[repo] == nil {
		s.repos[repo] = map[string]bool{}
	}
	s.repos[repo][sha] = true
}

// File is one that a pull request changes.
type File struct {
	Name     string `json:"filename"`
	Previous string `json:"previous_filename,omitempty"` // of one that was renamed
	Patch    string `json:"patch,omitempty"`
}

// Pull makes a pull request known.
func (s *Server) Pull(repo string, number int, files ...File) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pulls[fmt.Sprintf("%s/pulls/%d", repo, number)] = files
}

// Before is asked before each call: what it answers is answered.
func (s *Server) Before(f func(*http.Request) *Answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.before = f
}

// Statuses lists what was set, in order.
func (s *Server) Statuses() []Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Status(nil), s.statuses...)
}

// Requests counts all calls, whatever was answered.
func (s *Server) Requests() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests
}

var path = regexp.MustCompile(`^/repos/([A-Za-z0-9._-]+/[A-Za-z0-9._-]+)/statuses/([0-9a-f]+)$`)

var pullPath = regexp.MustCompile(`^/repos/([A-Za-z0-9._-]+/[A-Za-z0-9._-]+/pulls/[0-9]+)/files$`)

// files answers one page of what a pull request changes: as many as are asked for, up to 100.
func (s *Server) files(r *http.Request, pull string) Answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	all, known := s.pulls[pull]
	if !known {
		return failed(404, "Not Found")
	}
	query := r.URL.Query()
	page, _ := strconv.Atoi(query.Get("page"))
	size, _ := strconv.Atoi(query.Get("per_page"))
	page, size = max(page, 1), min(max(size, 1), 100)
	from := min((page-1)*size, len(all))
	to := min(from+size, len(all))
	body, _ := json.Marshal(all[from:to])
	a := Answer{Status: 200, Header: map[string]string{}, Body: string(body)}
	if to < len(all) {
		query.Set("page", strconv.Itoa(page+1))
		a.Header["Link"] = fmt.Sprintf("<%s%s?%s>; rel=\"next\"", s.http.URL, r.URL.Path, query.Encode())
	}
	return a
}

func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.requests++
	before := s.before
	s.mu.Unlock()
	if before != nil {
		if a := before(r); a != nil {
			a.write(w)
			return
		}
	}
	s.answer(r).write(w)
}

func (a Answer) write(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	for name, value := range a.Header {
		w.Header().Set(name, value)
	}
	w.WriteHeader(a.Status)
	_, _ = io.WriteString(w, a.Body)
}

func failed(status int, message string) Answer {
	body, _ := json.Marshal(map[string]string{"message": message, "documentation_url": "https://docs.github.com/rest"})
	return Answer{Status: status, Body: string(body)}
}

func (s *Server) answer(r *http.Request) Answer {
	route, ok := strings.CutPrefix(r.URL.Path, s.root)
	if !ok { // what Gitea's pages answer to what they do not know
		return Answer{Status: 404, Header: map[string]string{"Content-Type": "text/plain"}, Body: "Not found.\n"}
	}
	if r.Header.Get("Authorization") != "Bearer "+s.token {
		return failed(401, "Bad credentials")
	}
	if route == "/user" && r.Method == http.MethodGet {
		return Answer{Status: 200, Body: `{"login": "robot"}`}
	}
	if pull := pullPath.FindStringSubmatch(route); pull != nil && r.Method == http.MethodGet {
		return s.files(r, pull[1])
	}
	parts := path.FindStringSubmatch(route)
	if parts == nil || r.Method != http.MethodPost {
		s.t.Errorf("%s %s: no such call is made", r.Method, r.URL.Path)
		return failed(404, "Not Found")
	}
	return s.set(r, parts[1], parts[2])
}

func (s *Server) set(r *http.Request, repo, sha string) Answer {
	var status Status
	if err := json.NewDecoder(io.LimitReader(r.Body, 1<<20)).Decode(&status); err != nil {
		return failed(400, "Problems parsing JSON")
	}
	status.Repo, status.SHA = repo, sha
	s.mu.Lock()
	defer s.mu.Unlock()
	commits, known := s.repos[repo]
	switch {
	case !known:
		return failed(404, "Not Found")
	case !commits[sha]:
		return failed(422, "No commit found for SHA: "+sha)
	}
	if why := status.check(); why != "" {
		return failed(422, "Validation Failed: "+why)
	}
	n := 0
	for _, old := range s.statuses {
		if old.Repo == repo && old.SHA == sha && strings.EqualFold(old.Context, status.Context) {
			n++
		}
	}
	if n >= 1000 {
		return failed(422, "Validation Failed: This SHA and context has reached the maximum number of statuses.")
	}
	s.statuses = append(s.statuses, status)
	return Answer{Status: 201, Body: fmt.Sprintf(`{"id": %d, "state": %q}`, len(s.statuses), status.State)}
}

// check says which documented limit does not hold.
func (s Status) check() string {
	switch s.State {
	case "error", "failure", "pending", "success":
	default:
		return "state is not included in the list"
	}
	switch {
	case utf8.RuneCountInString(s.Description) > 140:
		return "description is too long (maximum is 140 characters)"
	case s.Context == "" || len(s.Context) > 255:
		return "context is too long or missing"
	case s.TargetURL != "" && !strings.HasPrefix(s.TargetURL, "https://") && !strings.HasPrefix(s.TargetURL, "http://"):
		return "target_url must use http(s) scheme"
	}
	return ""
}
