// Package redeliverytest is a server that behaves like GitHub where the deliveries of webhooks are concerned: it sends
// them once, remembers how that went, lists them by pages, and sends them again when asked to. It loses, repeats,
// reorders and throttles as a test wants.
package redeliverytest

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Server is one hook at one GitHub Enterprise Server.
type Server struct {
	path   string // of the hook in the API
	token  string
	secret string
	http   *httptest.Server
	client *http.Client
	again  sync.WaitGroup

	mu       sync.Mutex
	target   string
	attempts []attempt // the oldest first
	bodies   map[string][]byte
	requests int
	resends  int
	faults   Faults
	now      time.Time
}

// Faults are what goes wrong; every field of zero stands for nothing.
type Faults struct {
	ThrottleEvery int  // every nth request to the API is answered with 429
	Repeat        bool // a redelivery is sent twice
	Delay         bool // redeliveries are sent after some time, so that later ones may overtake
}

type attempt struct {
	ID           int64     `json:"id"`
	GUID         string    `json:"guid"`
	DeliveredAt  time.Time `json:"delivered_at"`
	Redelivery   bool      `json:"redelivery"`
	Status       string    `json:"status"`
	StatusCode   int       `json:"status_code"`
	Event        string    `json:"event"`
	Action       *string   `json:"action"`
	RepositoryID int64     `json:"repository_id"`
}

// New starts a server for the hook at path ("repos/me/my-app/hooks/7", "orgs/me/hooks/7", "app/hook") that ends with
// the test. Deliveries are signed with secret.
func New(t testing.TB, path, token, secret string) *Server {
	s := &Server{path: "/api/v3/" + path + "/deliveries", token: token, secret: secret, bodies: map[string][]byte{},
		now: time.Now().UTC().Add(-2 * time.Hour), client: &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}}
	s.http = httptest.NewServer(s)
	t.Cleanup(func() {
		s.again.Wait()
		s.http.Close()
	})
	return s
}

// URL is the server's address, without its API's path.
func (s *Server) URL() string { return s.http.URL }

// SendTo sets where deliveries go from now on.
func (s *Server) SendTo(target string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.target = target
}

// Break sets what goes wrong from now on.
func (s *Server) Break(f Faults) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = f
}

// Resends counts the redeliveries that were asked for and taken.
func (s *Server) Resends() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.resends
}

// Push sends a delivery, once, a minute later than the one before by the server's own clock.
func (s *Server) Push(guid, event string, body []byte) {
	s.mu.Lock()
	s.bodies[guid] = body
	s.now = s.now.Add(time.Minute)
	at := s.now
	s.mu.Unlock()
	s.send(guid, event, at, false)
}

// send makes one attempt and notes how it went.
func (s *Server) send(guid, event string, at time.Time, again bool) {
	s.mu.Lock()
	target, body := s.target, s.bodies[guid]
	s.mu.Unlock()
	one := attempt{GUID: guid, DeliveredAt: at, Redelivery: again, Event: event, Status: "failed to connect to host"}
	req, err := http.NewRequest(http.MethodPost, target, bytes.NewReader(body))
	if err == nil {
		mac := hmac.New(sha256.New, []byte(s.secret))
		mac.Write(body)
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("X-GitHub-Event", event)
		req.Header.Set("X-GitHub-Delivery", guid)
		req.Header.Set("X-Hub-Signature-256", "sha256="+hex.EncodeToString(mac.Sum(nil)))
		var resp *http.Response
		if resp, err = s.client.Do(req); err == nil {
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
			one.StatusCode, one.Status = resp.StatusCode, resp.Status
			if resp.StatusCode < 300 {
				one.Status = "OK"
			}
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	one.ID = int64(len(s.attempts) + 1)
	s.attempts = append(s.attempts, one)
}

func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.requests++
	throttled := s.faults.ThrottleEvery > 0 && s.requests%s.faults.ThrottleEvery == 0
	s.mu.Unlock()
	rest, ours := strings.CutPrefix(r.URL.Path, s.path)
	switch {
	case s.token != "" && r.Header.Get("Authorization") != "Bearer "+s.token:
		http.Error(w, `{"message":"Bad credentials"}`, http.StatusUnauthorized)
	case throttled:
		w.Header().Set("Retry-After", "1")
		http.Error(w, `{"message":"You have exceeded a secondary rate limit"}`, http.StatusTooManyRequests)
	case ours && rest == "" && r.Method == http.MethodGet:
		s.list(w, r)
	case ours && r.Method == http.MethodPost && strings.HasSuffix(rest, "/attempts"):
		s.resend(w, strings.Trim(strings.TrimSuffix(rest, "/attempts"), "/"))
	default:
		http.Error(w, `{"message":"Not Found"}`, http.StatusNotFound)
	}
}

// page is how many attempts a list holds at most: fewer than are asked for, so that tests have several pages.
const page = 20

func (s *Server) list(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	end := len(s.attempts)
	if cursor := r.URL.Query().Get("cursor"); cursor != "" {
		end, _ = strconv.Atoi(cursor)
	}
	start := max(0, end-page)
	items := []attempt{}
	for i := end - 1; i >= start; i-- {
		items = append(items, s.attempts[i])
	}
	if start > 0 {
		w.Header().Set("Link", fmt.Sprintf(`<%s%s?cursor=%d>; rel="next"`, s.http.URL, s.path, start))
	}
	_ = json.NewEncoder(w).Encode(items)
}

func (s *Server) resend(w http.ResponseWriter, id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, err := strconv.Atoi(id)
	if err != nil || n < 1 || n > len(s.attempts) {
		http.Error(w, `{"message":"Not Found"}`, http.StatusNotFound)
		return
	}
	one, faults := s.attempts[n-1], s.faults
	s.resends++
	times := 1
	if faults.Repeat {
		times = 2
	}
	for i := range times {
		s.again.Go(func() {
			if faults.Delay {
				time.Sleep(time.Duration((n*37+i*11)%40) * time.Millisecond)
			}
			s.send(one.GUID, one.Event, time.Now().UTC(), true)
		})
	}
	w.WriteHeader(http.StatusAccepted)
	_, _ = io.WriteString(w, "{}")
}
