// Package discordtest is a server that behaves like Discord where webhooks are concerned: it keeps messages,
// refuses what is over a documented limit, limits rates, and counts who is called. Tests drive it to fail.
package discordtest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Server is one Discord.
type Server struct {
	t    testing.TB
	http *httptest.Server

	mu       sync.Mutex
	hooks    map[string]bool // "id/token"
	messages []*Message
	refused  []string
	requests int
	next     int
	bucket   bucket
	global   bucket
	before   func(*http.Request) *Answer
	after    func(*http.Request)
	cut      bool
}

// Message is one message of a channel, as its newest edit left it.
type Message struct {
	ID       string
	Hook     string // the webhook's id
	Thread   string
	Content  string
	Embeds   []Embed
	File     string   // of its first attachment: the name …
	FileText string   // … and what it holds
	Called   []string // whom it called when it was posted: "@here", "@everyone", "user 1", "role 2"
	Edits    int
	Body     string // the newest payload as it came
	gone     bool
	old      bool
}

// Answer takes the place of the server's own.
type Answer struct {
	Status int
	Header map[string]string
	Body   string
}

// New starts a server that ends with the test.
func New(t testing.TB) *Server {
	s := &Server{t: t, hooks: map[string]bool{}}
	s.http = httptest.NewServer(s)
	t.Cleanup(s.http.Close)
	return s
}

// API is what stands in for https://discord.com/api/v10.
func (s *Server) API() string { return s.http.URL + "/api/v10" }

// Hook makes a webhook and returns its URL as Discord shows it.
func (s *Server) Hook() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := fmt.Sprintf("10000000000000%04d", len(s.hooks))
	token := fmt.Sprintf("Token-of_webhook-%d-that-nobody-may-see", len(s.hooks))
	s.hooks[id+"/"+token] = true
	return "https://discord.com/api/webhooks/" + id + "/" + token
}

// DeleteHooks deletes all webhooks: from now on they are unknown.
func (s *Server) DeleteHooks() { s.change(func() { clear(s.hooks) }) }

// DeleteMessages deletes all messages there are: they cannot be edited any more.
func (s *Server) DeleteMessages() { s.each(func(m *Message) { m.gone = true }) }

// AgeMessages makes all messages so old, and so often edited, that they cannot be edited any more.
func (s *Server) AgeMessages() { s.each(func(m *Message) { m.old = true }) }

// Limit allows n calls a window for each webhook; Global for all together.
func (s *Server) Limit(n int, window time.Duration) {
	s.change(func() { s.bucket = bucket{most: n, window: window} })
}

// Global allows n calls a window for all webhooks together.
func (s *Server) Global(n int, window time.Duration) {
	s.change(func() { s.global = bucket{most: n, window: window} })
}

// Before is asked before each call: what it answers is answered. It may be changed at any time; nil: nothing is.
func (s *Server) Before(f func(*http.Request) *Answer) { s.change(func() { s.before = f }) }

// After is called when a call was carried out, before it is answered.
func (s *Server) After(f func(*http.Request)) { s.change(func() { s.after = f }) }

// CutOff lets the connection break in the middle of each answer, after the call was carried out.
func (s *Server) CutOff(on bool) { s.change(func() { s.cut = on }) }

func (s *Server) change(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

func (s *Server) each(f func(*Message)) {
	s.change(func() {
		for _, m := range s.messages {
			f(m)
		}
	})
}

// Messages returns copies of all messages that nobody deleted, the oldest first.
func (s *Server) Messages() []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []Message
	for _, m := range s.messages {
		if !m.gone {
			all = append(all, *m)
		}
	}
	return all
}

// Called lists whom all messages called, in the order in which they did.
func (s *Server) Called() []string {
	var all []string
	for _, m := range s.Messages() {
		all = append(all, m.Called...)
	}
	return all
}

// Refused lists what was answered with 400, and why.
func (s *Server) Refused() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.refused)
}

// Requests counts all calls, whatever was answered.
func (s *Server) Requests() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests
}

var (
	path  = regexp.MustCompile(`^/api/v10/webhooks/([0-9]+)/([A-Za-z0-9_-]+)(?:/messages/([0-9]+))?$`)
	agent = regexp.MustCompile(`^DiscordBot \(https?://\S+, \S+\)`)
)

func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	text, _ := io.ReadAll(io.LimitReader(r.Body, maxFile+1<<20)) // else net/http does not notice that a client is gone
	r.Body = io.NopCloser(bytes.NewReader(text))
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
	if !agent.MatchString(r.UserAgent()) {
		s.t.Errorf("User-Agent %q would be blocked", r.UserAgent())
	}
	a, done := s.answer(r)
	s.mu.Lock()
	after, cut := s.after, s.cut
	s.mu.Unlock()
	if done && after != nil {
		after(r)
	}
	if done && cut {
		cutOff(w)
	}
	a.write(w)
}

// cutOff promises more than it sends.
func cutOff(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", "1000")
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write([]byte(`{"id": "1`))
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}

func (a Answer) write(w http.ResponseWriter) {
	for name, value := range a.Header {
		w.Header().Set(name, value)
	}
	w.WriteHeader(a.Status)
	_, _ = w.Write([]byte(a.Body))
}

// answer carries the call out; done: something was posted or edited.
func (s *Server) answer(r *http.Request) (a Answer, done bool) {
	parts := path.FindStringSubmatch(r.URL.Path)
	if parts == nil {
		s.t.Errorf("%s is no path of a webhook", r.URL.Path)
		return failed(404, 0, "404: Not Found"), false
	}
	body, err := read(r)
	s.mu.Lock()
	defer s.mu.Unlock()
	if a, limited := s.limit(); limited {
		return a, false
	}
	if !s.hooks[parts[1]+"/"+parts[2]] {
		return failed(404, 10015, "Unknown Webhook"), false
	}
	if err == nil {
		err = body.check()
	}
	if err != nil {
		s.refused = append(s.refused, err.Error())
		return failed(400, 50035, "Invalid Form Body").with(err), false
	}
	switch {
	case r.Method == http.MethodPost && parts[3] == "":
		a = s.post(r, parts[1], body)
	case r.Method == http.MethodPatch && parts[3] != "":
		a = s.patch(parts[3], body)
	default:
		s.t.Errorf("%s %s: no such call is made", r.Method, r.URL.Path)
		return failed(405, 0, "405: Method Not Allowed"), false
	}
	s.bucket.headers(&a)
	return a, a.Status/100 == 2
}

func (s *Server) post(r *http.Request, hook string, b body) Answer {
	if r.URL.Query().Get("wait") != "true" {
		s.t.Error("posted without wait: nobody learns whether it was saved")
	}
	s.next++
	m := &Message{ID: strconv.Itoa(2000000000000000 + s.next), Hook: hook, Thread: r.URL.Query().Get("thread_id"), Called: b.calls()}
	m.take(b)
	s.messages = append(s.messages, m)
	return message(m)
}

func (s *Server) patch(id string, b body) Answer {
	at := slices.IndexFunc(s.messages, func(m *Message) bool { return m.ID == id && !m.gone })
	if at < 0 {
		return failed(404, 10008, "Unknown Message")
	}
	m := s.messages[at]
	if m.old {
		return failed(400, 30046, "Maximum number of edits to messages older than 1 hour reached. Try again later")
	}
	m.Edits++
	m.take(b)
	return message(m)
}

func (m *Message) take(b body) {
	if b.Content != nil {
		m.Content = *b.Content
	}
	m.Embeds, m.Body = b.Embeds, b.raw
	if b.Attachments != nil || b.hasFile {
		m.File, m.FileText = b.file, b.fileText
	}
}

func message(m *Message) Answer {
	text, _ := json.Marshal(map[string]any{"id": m.ID, "channel_id": "3000000000000000", "content": m.Content, "embeds": m.Embeds})
	return Answer{Status: 200, Header: map[string]string{"Content-Type": "application/json"}, Body: string(text)}
}

func failed(status, code int, text string) Answer {
	body, _ := json.Marshal(map[string]any{"message": text, "code": code})
	return Answer{Status: status, Header: map[string]string{"Content-Type": "application/json"}, Body: string(body)}
}

// with puts the field's error in, in Discord's tree.
func (a Answer) with(err error) Answer {
	what, why, _ := strings.Cut(err.Error(), ": ")
	var tree any = map[string]any{"_errors": []any{map[string]string{"code": "BASE_TYPE_MAX_LENGTH", "message": why + "."}}}
	for _, key := range slices.Backward(strings.Split(what, ".")) {
		tree = map[string]any{key: tree}
	}
	body, _ := json.Marshal(map[string]any{"message": "Invalid Form Body", "code": 50035, "errors": tree})
	a.Body = string(body)
	return a
}

// bucket is a rate limit over a fixed window.
type bucket struct {
	most   int
	window time.Duration
	ends   time.Time
	used   int
}

// take uses one call; false: there is none left.
func (b *bucket) take() bool {
	if b.most == 0 {
		return true
	}
	if now := time.Now(); now.After(b.ends) {
		b.used, b.ends = 0, now.Add(b.window)
	}
	b.used++
	return b.used <= b.most
}

func (b *bucket) headers(a *Answer) {
	if b.most == 0 {
		return
	}
	a.Header["X-RateLimit-Limit"] = strconv.Itoa(b.most)
	a.Header["X-RateLimit-Remaining"] = strconv.Itoa(max(0, b.most-b.used))
	a.Header["X-RateLimit-Reset-After"] = seconds(time.Until(b.ends))
}

func seconds(d time.Duration) string { return strconv.FormatFloat(max(d.Seconds(), 0.001), 'f', 3, 64) }

func (s *Server) limit() (Answer, bool) {
	for _, b := range []*bucket{&s.global, &s.bucket} {
		if b.take() {
			continue
		}
		global := b == &s.global
		rest := seconds(time.Until(b.ends))
		a := Answer{Status: 429, Header: map[string]string{"Retry-After": rest, "X-RateLimit-Scope": "user"}}
		a.Body = fmt.Sprintf(`{"message": "You are being rate limited.", "retry_after": %s, "global": %t}`, rest, global)
		b.headers(&a)
		return a, true
	}
	return Answer{}, false
}
