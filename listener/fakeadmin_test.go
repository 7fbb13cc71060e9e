package listener

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"lightspeed/api"
	"lightspeed/event"
	"lightspeed/logtime"
	"lightspeed/run"
	"lightspeed/secret"
)

// fakeAdmin speaks admin's side of the API to one listener, from memory, and can be away, slow, forgetful, and
// of another opinion.
type fakeAdmin struct {
	t      testing.TB
	server *httptest.Server
	lease  int

	mu      sync.Mutex
	changed chan struct{} // closed and made anew at each change
	runs    []*fakeRun
	queue   []*fakeRun
	start   string         // of the instance that is registered
	seen    map[string]int // the newest revision of a start

	registrations []api.Registration
	calls         map[string]int
	answers       map[string]int
	removed       bool
	found         []api.Polled
	outdated      bool
	refused       int    // this revision is
	broker        string // that it announces through; empty: none
	away          bool
	refuse        map[string]*api.Error    // by route: answered instead
	hold          map[string]chan struct{} // by route: done and answered when it is closed
	delay         map[string]chan struct{} // by route: done at once, and answered when it is closed
}

// fakeRun is one run as admin sees it.
type fakeRun struct {
	claim  api.Claim
	key    string
	by     int // the revision that it was granted to
	status run.State
	log    []byte
	times  []logtime.Record // of log

	artifacts map[string]string
	steps     []run.Step
	finish    *api.Finish
	over      bool
	cancel    *api.Cancel
	ends      int
}

func newFakeAdmin(t testing.TB) *fakeAdmin {
	f := &fakeAdmin{
		t: t, lease: 2, changed: make(chan struct{}), seen: map[string]int{}, calls: map[string]int{}, answers: map[string]int{},
		refuse: map[string]*api.Error{}, hold: map[string]chan struct{}{}, delay: map[string]chan struct{}{},
	}
	mux := http.NewServeMux()
	for pattern, h := range map[string]func(http.ResponseWriter, *http.Request) (any, *api.Error){
		"PUT /api/v1/listeners/{name}":               f.register,
		"DELETE /api/v1/listeners/{name}":            f.remove,
		"POST /api/v1/queues/{name}/claim":           f.claim,
		"POST /api/v1/queues/{name}/look":            f.look,
		"POST /api/v1/runs/{id}/renew":               f.renew,
		"POST /api/v1/runs/{id}/log":                 f.appendLog,
		"POST /api/v1/listeners/{name}/polled":       f.polled,
		"POST /api/v1/runs/{id}/artifacts/{path...}": f.appendArtifact,
		"POST /api/v1/runs/{id}/steps":               f.noteSteps,
		"POST /api/v1/runs/{id}/finish":              f.end,
	} {
		mux.HandleFunc(pattern, f.handler(pattern[strings.LastIndexByte(pattern, '/')+1:], h))
	}
	f.server = httptest.NewServer(mux)
	t.Cleanup(f.server.Close)
	t.Cleanup(f.server.CloseClientConnections)
	return f
}

// handler is what happens to every call. Its name is the route's last word; "{name}" is the registration's.
func (f *fakeAdmin) handler(name string, h func(http.ResponseWriter, *http.Request) (any, *api.Error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		f.calls[name]++
		away, refused, held, delayed := f.away, f.refuse[name], f.hold[name], f.delay[name]
		f.touch()
		f.mu.Unlock()
		if held != nil {
			select {
			case <-held:
			case <-r.Context().Done():
			}
		}
		if away {
			panic(http.ErrAbortHandler)
		}
		var answer any
		if refused == nil {
			answer, refused = h(w, r)
		}
		if delayed != nil {
			<-delayed
		}
		f.with(func() { f.answers[name]++ })
		if refused != nil {
			w.WriteHeader(refused.Status)
			_ = json.NewEncoder(w).Encode(map[string]any{"error": refused, "offset": refused.Offset})
			return
		}
		if answer == nil {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		_ = json.NewEncoder(w).Encode(answer)
	}
}

func (f *fakeAdmin) touch() {
	close(f.changed)
	f.changed = make(chan struct{})
}

func (f *fakeAdmin) client() *api.Client {
	transport := &http.Transport{MaxIdleConnsPerHost: 10}
	f.t.Cleanup(transport.CloseIdleConnections)
	c, err := api.NewClient(f.server.URL, secret.New("token"), &http.Client{Transport: transport})
	if err != nil {
		f.t.Fatal(err)
	}
	return c
}

// with changes or reads the fake's state.
func (f *fakeAdmin) with(do func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	do()
	f.touch()
}

// leave makes admin unreachable, also for calls that wait, and come back.
func (f *fakeAdmin) leave()    { f.with(func() { f.away = true }); f.server.CloseClientConnections() }
func (f *fakeAdmin) comeBack() { f.with(func() { f.away = false }) }

// await waits until holds does.
func (f *fakeAdmin) await(what string, holds func() bool) {
	f.t.Helper()
	late := time.After(20 * time.Second)
	for {
		f.mu.Lock()
		ok, changed := holds(), f.changed
		f.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-changed:
		case <-late:
			f.t.Fatalf("never came: %s", what)
		}
	}
}

// see returns what admin knows of a run now.
func (f *fakeAdmin) see(r *fakeRun) fakeRun {
	f.mu.Lock()
	defer f.mu.Unlock()
	return *r
}

// called returns how often a route was called.
func (f *fakeAdmin) called(route string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls[route]
}

// registered returns the registrations that came.
func (f *fakeAdmin) registered() []api.Registration {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.registrations)
}

func (f *fakeAdmin) answered(route string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.answers[route]
}

func (f *fakeAdmin) awaitEnd(r *fakeRun) api.Finish {
	f.t.Helper()
	f.await("end of "+r.claim.Run.ID, func() bool { return r.finish != nil })
	f.mu.Lock()
	defer f.mu.Unlock()
	return *r.finish
}

func (f *fakeAdmin) awaitLog(r *fakeRun, text string) {
	f.t.Helper()
	f.await(fmt.Sprintf("%q in the log", text), func() bool { return strings.Contains(string(r.log), text) })
}

func (f *fakeAdmin) logOf(r *fakeRun) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return string(r.log)
}

// push queues a run for a push of main of a/b.
func (f *fakeAdmin) push(id string) *fakeRun {
	body, err := event.MakePush(event.PushSpec{Repo: "a/b", Branch: "main", Files: []string{"x.go", "y z"}})
	if err != nil {
		f.t.Fatal(err)
	}
	return f.enqueue(id, run.ByDelivery, "d-"+id, body)
}

func (f *fakeAdmin) enqueue(id string, cause run.Cause, delivery string, body []byte) *fakeRun {
	r := &fakeRun{claim: api.Claim{
		Run: run.Run{ID: id, Listener: "l", Delivery: delivery, Cause: cause, Status: run.Running}, Attempt: 0, LeaseS: f.lease,
		Delivery: api.DeliveryHead{ID: delivery, Event: "push", ContentType: "application/json"}, Payload: body,
	}, status: run.Queued}
	f.with(func() {
		f.runs = append(f.runs, r)
		f.queue = append(f.queue, r)
	})
	return r
}

func (f *fakeAdmin) register(_ http.ResponseWriter, r *http.Request) (any, *api.Error) {
	var reg api.Registration
	if err := json.NewDecoder(r.Body).Decode(&reg); err != nil {
		return nil, api.Errorf(400, api.BadRequest, "%v", err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	defer f.touch()
	f.registrations = append(f.registrations, reg)
	if f.refused > 0 && reg.Revision == f.refused {
		return nil, api.Errorf(400, api.BadRequest, "no such rules here")
	}
	fresh := f.seen[reg.Start] == 0
	f.seen[reg.Start], f.start = max(f.seen[reg.Start], reg.Revision), reg.Start
	for _, one := range f.runs {
		held := false
		for _, ref := range reg.Holds {
			held = held || ref == one.ref()
		}
		if fresh && one.status == run.Running && !held {
			one.requeue(f)
		}
	}
	return api.Registered{Listener: "l", Revision: 1, Outdated: f.outdated, LeaseS: f.lease, Broker: f.broker}, nil
}

// appendArtifact keeps what the listener hands in, by path.
func (f *fakeAdmin) appendArtifact(_ http.ResponseWriter, r *http.Request) (any, *api.Error) {
	chunk, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, api.Errorf(400, api.BadRequest, "%v", err)
	}
	offset, _ := strconv.ParseInt(r.URL.Query().Get("offset"), 10, 64)
	f.mu.Lock()
	defer f.mu.Unlock()
	one, refused := f.find(r)
	if refused != nil {
		return nil, refused
	}
	if one.artifacts == nil {
		one.artifacts = map[string]string{}
	}
	path := r.PathValue("path")
	if have := int64(len(one.artifacts[path])); offset > have {
		gap := api.Errorf(409, api.LogGap, "go on")
		gap.Offset = have
		return nil, gap
	}
	one.artifacts[path] = one.artifacts[path][:offset] + string(chunk)
	return api.LogOffset{Offset: int64(len(one.artifacts[path]))}, nil
}

func (r *fakeRun) ref() run.Ref { return run.Ref{Run: r.claim.Run.ID, Attempt: r.claim.Attempt} }

func (r *fakeRun) requeue(f *fakeAdmin) {
	r.status, r.key, r.log = run.Queued, "", nil
	f.queue = append(f.queue, r)
}

func (f *fakeAdmin) remove(http.ResponseWriter, *http.Request) (any, *api.Error) {
	f.with(func() { f.removed = true })
	return nil, nil
}

func (f *fakeAdmin) claim(_ http.ResponseWriter, r *http.Request) (any, *api.Error) {
	var c api.ClaimRequest
	if err := json.NewDecoder(r.Body).Decode(&c); err != nil {
		return nil, api.Errorf(400, api.BadRequest, "%v", err)
	}
	wait, _ := time.ParseDuration(r.URL.Query().Get("wait"))
	late := time.After(wait)
	for {
		f.mu.Lock()
		claim, refused, changed := f.grant(c), f.mayClaim(c), f.changed
		f.mu.Unlock()
		if claim != nil {
			return claim, nil
		}
		if refused != nil {
			return nil, refused
		}
		select {
		case <-changed:
		case <-late:
			return nil, nil
		case <-r.Context().Done():
			return nil, nil
		}
	}
}

func (f *fakeAdmin) mayClaim(c api.ClaimRequest) *api.Error {
	switch {
	case c.Start != f.start:
		return api.Errorf(409, api.NotRegistered, "register first")
	case f.outdated, c.Revision != f.seen[f.start]:
		return api.Errorf(409, api.Outdated, "newer settings are in force")
	}
	return nil
}

func (f *fakeAdmin) grant(c api.ClaimRequest) *api.Claim {
	for _, r := range f.runs {
		if r.key == c.Key && r.status == run.Running && c.Start == f.start {
			claim := r.claim
			return &claim
		}
	}
	if f.mayClaim(c) != nil || len(f.queue) == 0 {
		return nil
	}
	r := f.queue[0]
	f.queue = f.queue[1:]
	r.claim.Attempt++
	r.status, r.key, r.by = run.Running, c.Key, c.Revision
	f.touch()
	claim := r.claim
	return &claim
}

// find returns the run of a call, or why its attempt is over.
func (f *fakeAdmin) find(r *http.Request) (*fakeRun, *api.Error) {
	for _, one := range f.runs {
		if one.claim.Run.ID != r.PathValue("id") {
			continue
		}
		if strconv.Itoa(one.claim.Attempt) != r.URL.Query().Get("attempt") || one.status != run.Running || one.over {
			return nil, api.Errorf(409, api.AttemptOver, "attempt is over")
		}
		return one, nil
	}
	return nil, api.Errorf(404, api.NotFound, "no such run")
}

func (f *fakeAdmin) renew(_ http.ResponseWriter, r *http.Request) (any, *api.Error) {
	wait, _ := time.ParseDuration(r.URL.Query().Get("wait"))
	late := time.After(min(wait, time.Duration(f.lease)*time.Second/3))
	for {
		f.mu.Lock()
		one, refused := f.find(r)
		changed := f.changed
		var cancel *api.Cancel
		if one != nil {
			cancel = one.cancel
		}
		f.mu.Unlock()
		if refused != nil {
			return nil, refused
		}
		if cancel != nil {
			return api.Renewal{LeaseS: f.lease, Cancel: cancel}, nil
		}
		select {
		case <-changed:
		case <-late:
			return api.Renewal{LeaseS: f.lease}, nil
		case <-r.Context().Done():
			return nil, nil
		}
	}
}

func (f *fakeAdmin) appendLog(_ http.ResponseWriter, r *http.Request) (any, *api.Error) {
	chunk, err := io.ReadAll(io.LimitReader(r.Body, api.MaxLogChunk+1))
	if err != nil || len(chunk) > api.MaxLogChunk {
		return nil, api.Errorf(413, api.TooLarge, "%d bytes, %v", len(chunk), err)
	}
	offset, _ := strconv.ParseInt(r.URL.Query().Get("offset"), 10, 64)
	f.mu.Lock()
	defer f.mu.Unlock()
	one, refused := f.find(r)
	if refused != nil {
		return nil, refused
	}
	end := int64(len(one.log))
	if offset > end {
		gap := api.Errorf(409, api.LogGap, "gap")
		gap.Offset = end
		return nil, gap
	}
	times, err := logtime.Parse(r.Header.Get(logtime.Header), offset, offset+int64(len(chunk)))
	if err != nil {
		return nil, api.Errorf(400, api.BadRequest, "%v", err)
	}
	if known := end - offset; known < int64(len(chunk)) {
		one.log = append(one.log, chunk[known:]...)
		one.times = append(one.times, times...)
	}
	f.touch()
	return api.LogOffset{Offset: int64(len(one.log))}, nil
}

func (f *fakeAdmin) end(_ http.ResponseWriter, r *http.Request) (any, *api.Error) {
	var finish api.Finish
	if err := json.NewDecoder(r.Body).Decode(&finish); err != nil {
		return nil, api.Errorf(400, api.BadRequest, "%v", err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	one, refused := f.find(r)
	if refused != nil {
		return nil, refused
	}
	if finish.LogBytes > int64(len(one.log)) {
		short := api.Errorf(409, api.LogIncomplete, "log is short")
		short.Offset = int64(len(one.log))
		return nil, short
	}
	if finish.Status == run.NotStarted {
		one.requeue(f)
	} else {
		one.status, one.finish = finish.Status, &finish
		one.ends++
	}
	f.touch()
	return one.claim.Run, nil
}

func (f *fakeAdmin) noteSteps(_ http.ResponseWriter, r *http.Request) (any, *api.Error) {
	var body api.Steps
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		return nil, api.Errorf(400, api.BadRequest, "%v", err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	one, refused := f.find(r)
	if refused == nil {
		one.steps = body.Steps
		f.touch()
	}
	return nil, refused
}

func (f *fakeAdmin) look(_ http.ResponseWriter, r *http.Request) (any, *api.Error) {
	var c api.ClaimRequest
	if err := json.NewDecoder(r.Body).Decode(&c); err != nil {
		return nil, api.Errorf(400, api.BadRequest, "%v", err)
	}
	wait, _ := time.ParseDuration(r.URL.Query().Get("wait"))
	late := time.After(wait)
	for {
		f.mu.Lock()
		work, refused, changed := len(f.queue) > 0, f.mayClaim(c), f.changed
		f.mu.Unlock()
		if refused != nil {
			return nil, refused
		}
		if work {
			return api.Looked{Work: true}, nil
		}
		select {
		case <-changed:
		case <-late:
			return api.Looked{}, nil
		case <-r.Context().Done():
			return nil, nil
		}
	}
}
