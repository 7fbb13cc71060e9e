package hooks

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"lightspeed/api"
	"lightspeed/event"
	"lightspeed/secret"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childState); dir != "" {
		os.Exit(serveUntilKilled(dir, os.Getenv(childAdmin)))
	}
	goleak.VerifyTestMain(m)
}

const key = "correct horse battery staple"

// logs collects what a Server logs, one record a line of JSON.
type logs struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// with returns the records whose message contains text.
func (l *logs) with(text string) (records []map[string]any) {
	for line := range strings.Lines(l.String()) {
		var record map[string]any
		if err := json.Unmarshal([]byte(line), &record); err != nil {
			panic(err)
		}
		if strings.Contains(record["msg"].(string), text) {
			records = append(records, record)
		}
	}
	return records
}

// setup is a Server with what stands around it.
type setup struct {
	*Server
	log   *logs
	state string
}

func newSetup(t *testing.T, admin Deliverer, change ...func(*Options)) *setup {
	t.Helper()
	log := &logs{}
	o := Options{
		Secrets: []secret.Value{secret.New(key)}, Admin: admin, State: filepath.Join(t.TempDir(), "hooks"),
		Log: slog.New(slog.NewJSONHandler(log, nil)),
	}
	for _, c := range change {
		c(&o)
	}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Log(log)
		}
	})
	return &setup{s, log, o.State}
}

// run forwards until the test ends, or until the function that it returns is called.
func (s *setup) run(t *testing.T) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return stop
}

func (s *setup) refusedFiles(t *testing.T) int {
	t.Helper()
	files, err := os.ReadDir(filepath.Join(s.state, "spool", "refused"))
	if err != nil {
		t.Fatal(err)
	}
	return len(files)
}

// serve puts the Server behind a real socket.
func (s *setup) serve(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(s.Handler())
	t.Cleanup(server.Close)
	return server.URL
}

func sign(key, body string) string {
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(body))
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

const push = `{"ref":"refs/heads/main","repository":{"full_name":"octo/hello"}}`

// post makes a request as GitHub sends it.
func post(url, id, body string, change ...func(*http.Request)) *http.Request {
	r, err := http.NewRequest(http.MethodPost, url+"/receive_hook", strings.NewReader(body))
	if err != nil {
		panic(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-GitHub-Event", "push")
	r.Header.Set("X-GitHub-Delivery", id)
	r.Header.Set("X-Hub-Signature-256", sign(key, body))
	r.Header.Set("User-Agent", "GitHub-Hookshot/0123456")
	for _, c := range change {
		c(r)
	}
	return r
}

func header(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set(name, value) }
}

func without(name string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Del(name) }
}

func added(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Add(name, value) }
}

type reply struct {
	status int
	header http.Header
	body   string
}

func (r reply) receipt(t *testing.T) (receipt api.Receipt) {
	t.Helper()
	if err := json.Unmarshal([]byte(r.body), &receipt); err != nil {
		t.Fatalf("answer %q: %v", r.body, err)
	}
	return receipt
}

// client is one client for a test; its idle connections end with it.
func client(t *testing.T) *http.Client {
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func do(t *testing.T, c *http.Client, r *http.Request) reply {
	t.Helper()
	resp, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := read(resp)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

func read(resp *http.Response) (reply, error) {
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return reply{resp.StatusCode, resp.Header, string(body)}, err
}

// direct calls the handler without a socket, as a synctest bubble needs it.
func (s *setup) direct(r *http.Request) reply {
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, r)
	return reply{w.Code, w.Result().Header, w.Body.String()}
}

// admins is a Deliverer without a network.
type admins func(context.Context, event.Delivery) (api.Receipt, error)

func (f admins) Deliver(ctx context.Context, d event.Delivery) (api.Receipt, error) { return f(ctx, d) }

func accepting(_ context.Context, d event.Delivery) (api.Receipt, error) {
	return api.Receipt{Delivery: d.ID, Status: api.Accepted}, nil
}

// fakeAdmin is a far end that behaves as admin does on the wire.
type fakeAdmin struct {
	mu     sync.Mutex
	ids    []string                  // as they came
	bodies map[string]event.Delivery // stored, by id
	fault  http.HandlerFunc          // answers in its place; nil: all is well
	*httptest.Server
}

func newFakeAdmin(t *testing.T) *fakeAdmin {
	a := &fakeAdmin{bodies: map[string]event.Delivery{}}
	a.Server = httptest.NewServer(a)
	t.Cleanup(a.Close)
	return a
}

// breakWith makes every answer the fault's own; nil mends it.
func (a *fakeAdmin) breakWith(fault http.HandlerFunc) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.fault = fault
}

func (a *fakeAdmin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	fault := a.fault
	a.mu.Unlock()
	if fault != nil {
		fault(w, r)
		return
	}
	if r.URL.Path == "/healthz" {
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil || r.Method != http.MethodPost || r.URL.Path != "/api/v1/deliveries" || r.Header.Get("Authorization") != "Bearer hooks" {
		http.Error(w, "this is not how a delivery comes", http.StatusTeapot)
		return
	}
	_ = json.NewEncoder(w).Encode(a.store(event.Delivery{
		ID: r.Header.Get("X-GitHub-Delivery"), Event: r.Header.Get("X-GitHub-Event"),
		ContentType: r.Header.Get("Content-Type"), Body: body,
	}))
}

func (a *fakeAdmin) store(d event.Delivery) api.Receipt {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ids = append(a.ids, d.ID)
	if _, known := a.bodies[d.ID]; known {
		return api.Receipt{Delivery: d.ID, Status: api.Duplicate}
	}
	a.bodies[d.ID] = d
	return api.Receipt{
		Delivery: d.ID, Status: api.Accepted,
		Runs:    []api.RunRef{{ID: "run-of-" + d.ID, Listener: "hello"}},
		Skipped: []api.Skipped{{Listener: "other", Rule: "branches", Saw: "main", Want: "dev", Why: "branches: saw main, want dev"}},
	}
}

func (a *fakeAdmin) stored() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]string(nil), a.ids...)
}

// delivery returns what is stored under an id.
func (a *fakeAdmin) delivery(id string) event.Delivery {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.bodies[id]
}

func (a *fakeAdmin) client(t *testing.T) *api.Client {
	t.Helper()
	c, err := api.NewClient(a.URL, secret.New("hooks"), client(t))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestNewSaysWhatIsWrong(t *testing.T) {
	good := func() Options {
		return Options{
			Secrets: []secret.Value{secret.New(key)}, Admin: admins(accepting), State: t.TempDir(),
			Log: slog.New(slog.DiscardHandler),
		}
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	taken := good()
	first, err := New(taken)
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		change func(*Options)
		want   string
	}{
		"no secret":  {func(o *Options) { o.Secrets = nil }, ErrNoSecret.Error()},
		"both":       {func(o *Options) { o.InsecureNoSecret = true }, ErrTwoMinds.Error()},
		"empty":      {func(o *Options) { o.Secrets = append(o.Secrets, secret.Value{}) }, ErrEmptyValue.Error()},
		"spool":      {func(o *Options) { o.SpoolMax = -1 }, "spool size -1 is negative"},
		"no admin":   {func(o *Options) { o.Admin = nil }, "hooks needs an admin, a state folder and a log"},
		"file":       {func(o *Options) { o.State = file }, "state folder " + file + ": not a directory"},
		"below file": {func(o *Options) { o.State = file + "/a" }, "state folder " + file + "/a: not a directory"},
		"other hooks": {func(o *Options) { o.State = taken.State },
			fmt.Sprintf("state folder %s is in use by another lightspeed (pid %d)", taken.State, os.Getpid())},
	} {
		o := good()
		test.change(&o)
		if s, err := New(o); err == nil || err.Error() != test.want {
			t.Errorf("%s: got %v, want %s", name, err, test.want)
			if s != nil {
				s.Close()
			}
		}
	}
	if err := errors.Join(first.Close(), first.Close()); err != nil {
		t.Error(err)
	}
	second, err := New(taken)
	if err != nil {
		t.Fatalf("the lock was not let go of: %v", err)
	}
	if err := second.Close(); err != nil {
		t.Error(err)
	}
}

// waitRunning returns once Run, started in another goroutine, has begun.
func (s *setup) waitRunning() {
	for {
		s.mu.Lock()
		running := s.running
		s.mu.Unlock()
		select {
		case <-running: // an earlier one has ended
		default:
			if running != nil {
				return
			}
		}
		runtime.Gosched()
	}
}

func TestStartAndStopInAnyOrder(t *testing.T) {
	s := newSetup(t, admins(accepting))
	stop := s.run(t)
	if r := s.direct(post("", "one", push)); r.status != http.StatusAccepted {
		t.Errorf("got %d: %s", r.status, r.body)
	}
	s.waitRunning()
	if err := s.Run(t.Context()); err == nil || err.Error() != "hooks forwards already" {
		t.Errorf("a second Run says %v", err)
	}
	stop()
	s.run(t)() // once more is fine
	s.run(t)
	s.waitRunning() // and Close ends this one
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := s.Run(t.Context()); err == nil || err.Error() != "hooks is closed" {
		t.Errorf("Run after Close says %v", err)
	}
}
