package hooks

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"lightspeed/api"
	"lightspeed/event"
)

// switched is an admin without a network that fails as it is told, and notes when it was asked.
type switched struct {
	mu    sync.Mutex
	err   error
	asked []time.Time
	ids   []string // taken, in order
}

func (a *switched) Deliver(ctx context.Context, d event.Delivery) (api.Receipt, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked = append(a.asked, time.Now())
	if a.err != nil {
		return api.Receipt{}, a.err
	}
	a.ids = append(a.ids, d.ID)
	return api.Receipt{Delivery: d.ID, Status: api.Accepted}, nil
}

func (a *switched) fail(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.err = err
}

func (a *switched) taken() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.ids)
}

var away = &api.UnreachableError{Base: "http://admin", Err: errors.New("connection refused")}

func (s *setup) accept(t *testing.T, status string, ids ...string) {
	t.Helper()
	for _, id := range ids {
		r := s.direct(post("", id, push))
		want := fmt.Sprintf(`{"delivery":"%s","status":"%s","runs":[],"skipped":[]}`+"\n", id, status)
		if r.status != http.StatusAccepted || r.body != want {
			t.Errorf("%s: got %d %s, want 202 %s", id, r.status, r.body, want)
		}
	}
}

// waitEmpty lets real time pass until the spool is empty.
func (s *setup) waitEmpty(t *testing.T) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for !s.spool.Empty() {
		if time.Now().After(deadline) {
			t.Fatalf("%d deliveries still wait in the spool", s.spool.Stats().Deliveries)
		}
		select {
		case <-t.Context().Done():
		case <-time.After(time.Millisecond):
		}
	}
}

func TestWhatWaitsGoesOutInOrderAndNothingOvertakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		admin := &switched{err: away}
		s := newSetup(t, admin)
		s.accept(t, api.Spooled, "a", "b")
		admin.fail(nil)
		s.accept(t, api.Spooled, "c") // admin is back, but a and b are first
		if got := admin.taken(); got != nil {
			t.Errorf("%v overtook", got)
		}
		stop := s.run(t)
		synctest.Wait()
		s.accept(t, api.Accepted, "d") // and this one goes straight through
		if got, want := admin.taken(), []string{"a", "b", "c", "d"}; !slices.Equal(got, want) {
			t.Errorf("admin has got %v, want %v", got, want)
		}
		stop()
		s.Close()
	})
}

func TestBackoffGrowsFromHalfASecondToThirty(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		admin := &switched{err: away}
		s := newSetup(t, admin)
		s.accept(t, api.Spooled, "a")
		stop := s.run(t)
		time.Sleep(10 * time.Second)
		s.accept(t, api.Spooled, "b") // does not wake it: it is known that admin is away
		time.Sleep(290 * time.Second)
		admin.mu.Lock()
		asked := admin.asked[1:] // the first was the delivery itself
		admin.mu.Unlock()
		want := 500 * time.Millisecond
		for i := range len(asked) - 1 {
			got := asked[i+1].Sub(asked[i])
			if got > want || got < max(want*4/5, 500*time.Millisecond) {
				t.Errorf("wait %d is %s, want %s less up to a fifth", i, got, want)
			}
			want = min(2*want, 30*time.Second)
		}
		if len(asked) < 13 || len(asked) > 20 {
			t.Errorf("asked %d times in 300 s", len(asked))
		}
		admin.fail(nil)
		time.Sleep(30 * time.Second)
		synctest.Wait()
		if got := admin.taken(); !slices.Equal(got, []string{"a", "b"}) {
			t.Errorf("admin has got %v", got)
		}
		// It works again: the next trouble starts from the beginning, and a Put wakes it at once.
		admin.fail(away)
		before := time.Now()
		s.accept(t, api.Spooled, "c")
		synctest.Wait() // it has been tried once more, in vain
		admin.fail(nil)
		time.Sleep(500 * time.Millisecond)
		synctest.Wait()
		if got := admin.taken(); !slices.Equal(got, []string{"a", "b", "c"}) {
			t.Errorf("%s after the Put admin has got %v", time.Since(before), got)
		}
		stop()
		s.Close()
	})
}

func TestTroubleIsOneLineWhenItBeginsAndOneWhenItEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		admin := &switched{err: away}
		s := newSetup(t, admin)
		s.accept(t, api.Spooled, "a", "b", "c")
		stop := s.run(t)
		time.Sleep(5 * time.Minute)
		admin.fail(api.Errorf(http.StatusUnauthorized, api.Unauthorized, "no such token"))
		time.Sleep(5 * time.Minute)
		s.accept(t, api.Spooled, "d")
		admin.fail(nil)
		time.Sleep(time.Minute)
		synctest.Wait()

		begins := s.log.with("deliveries wait in the spool: ")
		if len(begins) != 2 {
			t.Fatalf("%d lines about trouble, want one for each kind: %v", len(begins), begins)
		}
		for i, want := range []string{"admin does not answer", "admin does not accept hooks' token"} {
			if begins[i]["level"] != "ERROR" || !strings.HasSuffix(begins[i]["msg"].(string), want) || begins[i]["hint"] == "" {
				t.Errorf("line is %v, want %s and a hint", begins[i], want)
			}
		}
		ends := s.log.with("empty again")
		if len(ends) != 1 || ends[0]["forwarded"] != float64(4) {
			t.Errorf("lines about its end: %v, want one with 4 forwarded", ends)
		}
		if got := admin.taken(); !slices.Equal(got, []string{"a", "b", "c", "d"}) {
			t.Errorf("admin has got %v", got)
		}
		stop()
		s.Close()
	})
}

func TestForbiddenWaitsAndRefusedIsKeptAside(t *testing.T) {
	for status, code := range map[int]api.Code{400: api.BadRequest, 413: api.TooLarge, 415: api.UnsupportedMT} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				picky := &switched{err: api.Errorf(http.StatusForbidden, api.Forbidden, "not yours")}
				admin := admins(func(ctx context.Context, d event.Delivery) (api.Receipt, error) {
					receipt, err := picky.Deliver(ctx, d)
					if err == nil && d.ID == "bad" {
						return api.Receipt{}, api.Errorf(status, code, "never this one")
					}
					return receipt, err
				})
				s := newSetup(t, admin)
				s.accept(t, api.Spooled, "a", "bad", "c")
				stop := s.run(t)
				time.Sleep(time.Hour)
				if got := s.refusedFiles(t); got != 0 || s.spool.Stats().Deliveries != 3 {
					t.Errorf("403: %d refused and %+v, want all three to wait", got, s.spool.Stats())
				}
				picky.fail(nil)
				time.Sleep(time.Minute)
				synctest.Wait()
				if got := s.refusedFiles(t); got != 1 || !s.spool.Empty() {
					t.Errorf("%d refused and %+v, want one refused and none waiting", got, s.spool.Stats())
				}
				if got := picky.taken(); !slices.Equal(got, []string{"a", "bad", "c"}) {
					t.Errorf("admin was asked for %v", got)
				}
				lines := s.log.with("admin refused a delivery")
				if len(lines) != 1 || lines[0]["delivery"] != "bad" || lines[0]["error"] != "never this one" {
					t.Errorf("lines: %v, want one about it", lines)
				}
				if kept, err := os.ReadFile(lines[0]["file"].(string)); err != nil || !strings.HasSuffix(string(kept), push) {
					t.Errorf("the file named holds %q (%v)", kept, err)
				}
				stop()
				s.Close()
			})
		})
	}
}

func TestADamagedFileDoesNotStopTheNext(t *testing.T) {
	admin := &switched{err: away}
	s := newSetup(t, admin)
	s.accept(t, api.Spooled, "torn", "whole")
	first := filepath.Join(s.state, "spool", fmt.Sprintf("%020d", 1))
	if err := os.Truncate(first, 100); err != nil {
		t.Fatal(err)
	}
	admin.fail(nil)
	s.run(t)
	s.waitEmpty(t)
	if got := admin.taken(); !slices.Equal(got, []string{"whole"}) {
		t.Errorf("admin has got %v", got)
	}
	if got := s.log.with("is damaged"); len(got) != 1 {
		t.Errorf("%d lines about it, want 1", len(got))
	}
}

func TestWhatWaitedIsForwardedAfterARestart(t *testing.T) {
	admin := &switched{err: away}
	first := newSetup(t, admin)
	first.accept(t, api.Spooled, "a", "b")
	first.Close()
	admin.fail(nil)
	s := newSetup(t, admin, func(o *Options) { o.State = first.state })
	s.accept(t, api.Spooled, "c")
	s.run(t)
	s.waitEmpty(t)
	if got := admin.taken(); !slices.Equal(got, []string{"a", "b", "c"}) {
		t.Errorf("admin has got %v", got)
	}
	if got := s.log.with("from before"); len(got) != 1 {
		t.Errorf("lines at start: %v", got)
	}
}

// Each way in which admin can be away, slow or broken, or something else: the delivery is spooled, waits, and
// is handed in once admin is well.
func TestFaultsOfAdmin(t *testing.T) {
	say := func(status int, text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status); fmt.Fprint(w, text) }
	}
	refusal := func(status int, code api.Code) http.HandlerFunc { return say(status, failure(code, "no")) }
	for name, fault := range map[string]http.HandlerFunc{
		"500":             refusal(500, api.Unavailable),
		"503":             refusal(503, api.Unavailable),
		"429":             refusal(429, api.Unavailable),
		"401":             refusal(401, api.Unauthorized),
		"403":             refusal(403, api.Forbidden),
		"404":             refusal(404, api.NotFound),
		"409":             refusal(409, api.Conflict),
		"502 of a proxy":  say(502, "<html>Bad Gateway</html>"),
		"400 of TLS":      say(400, "Client sent an HTTP request to an HTTPS server.\n"),
		"redirect":        func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) },
		"another server":  say(200, "<html>It works!</html>"),
		"empty answer":    say(200, ""),
		"other JSON":      say(200, `{"ok":true}`),
		"pong":            say(200, `{"delivery":"1","status":"pong"}`),
		"cut off":         say(200, `{"delivery":"1","status":"acc`),
		"hung up":         func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"cut in mid line": cutOff,
		"slow":            hang,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			admin := newFakeAdmin(t)
			s := newSetup(t, admin.client(t))
			admin.breakWith(fault)
			began := time.Now()
			s.accept(t, api.Spooled, "1")
			if took := time.Since(began); took > adminLimit+8*time.Second {
				t.Errorf("the answer took %s", took)
			}
			admin.breakWith(nil)
			s.accept(t, api.Spooled, "2")
			s.run(t)
			s.waitEmpty(t)
			if got := admin.stored(); !slices.Equal(got, []string{"1", "2"}) {
				t.Errorf("admin has got %v", got)
			}
			if s.refusedFiles(t) != 0 {
				t.Error("something was refused")
			}
		})
	}
}

// hang never answers. The body must be read, or the server does not see that the other side has gone.
func hang(_ http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	<-r.Context().Done()
}

// cutOff announces a longer answer than it gives.
func cutOff(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Length", "1000")
	fmt.Fprint(w, `{"delivery":"1",`)
	w.(http.Flusher).Flush()
	panic(http.ErrAbortHandler)
}

func TestAdminThatIsNotThere(t *testing.T) {
	admin := newFakeAdmin(t)
	c := admin.client(t)
	admin.Close()
	s := newSetup(t, c)
	s.accept(t, api.Spooled, "1")
}

func TestAnAnswerThatIsLostCountsOnce(t *testing.T) {
	admin := newFakeAdmin(t)
	s := newSetup(t, admin.client(t))
	admin.breakWith(func(_ http.ResponseWriter, r *http.Request) { // stored, and then the line breaks
		admin.store(event.Delivery{ID: r.Header.Get("X-GitHub-Delivery")})
		panic(http.ErrAbortHandler)
	})
	s.accept(t, api.Spooled, "1")
	admin.breakWith(nil)
	s.run(t)
	s.waitEmpty(t)
	if lines := s.log.with("delivery"); len(admin.bodies) != 1 || lines[len(lines)-1]["status"] != "duplicate" {
		t.Errorf("admin has %d deliveries, and the last line is %v", len(admin.bodies), lines[len(lines)-1])
	}
}

func TestWhatAdminRefusesAtOnceIsPassedOn(t *testing.T) {
	for status, body := range map[int]string{
		400: failure(api.BadRequest, "ref is not a ref"),
		413: failure(api.TooLarge, "too much"),
		415: failure(api.UnsupportedMT, "not this"),
	} {
		admin := newFakeAdmin(t)
		s := newSetup(t, admin.client(t))
		admin.breakWith(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status); fmt.Fprint(w, body) })
		if r := s.direct(post("", "1", push)); r.status != status || r.body != body {
			t.Errorf("got %d %s, want %d %s", r.status, r.body, status, body)
		}
		if !s.spool.Empty() {
			t.Errorf("%d: it is in the spool", status)
		}
	}
}

func TestReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		admin := &asked{}
		s := newSetup(t, admin)
		get := func(path string) reply {
			r, _ := http.NewRequest(http.MethodGet, path, nil)
			return s.direct(r)
		}
		if r := get("/healthz"); r.status != 200 || r.body != "ok\n" {
			t.Errorf("healthz: %d %s", r.status, r.body)
		}
		const idle = `"spool":{"deliveries":0,"bytes":0,"oldest_s":null,"refused":0,"damaged":0}}` + "\n"
		if r := get("/readyz"); r.status != 200 || r.body != `{"ready":true,"checks":{"admin":"ok","spool":"ok"},`+idle {
			t.Errorf("readyz: %d %s", r.status, r.body)
		}
		admin.fail(away)
		for range 10 {
			get("/readyz")
		}
		if admin.asks != 1 {
			t.Errorf("admin was asked %d times within %s", admin.asks, checkEvery)
		}
		s.accept(t, api.Spooled, "a")
		time.Sleep(checkEvery)
		const waits = `"spool":{"deliveries":1,"bytes":4096,"oldest_s":1,"refused":0,"damaged":0}}` + "\n"
		if r := get("/readyz"); r.status != 200 || r.body != `{"ready":true,"checks":{"admin":"does not answer: deliveries wait in the spool","spool":"ok"},`+waits {
			t.Errorf("readyz while admin is away: %d %s", r.status, r.body)
		}
		s.Close()
		time.Sleep(checkEvery)
		if r := get("/readyz"); r.status != 503 || !strings.HasPrefix(r.body, `{"ready":false,"checks":{"admin":"does not answer: deliveries wait in the spool","spool":"cannot be written: spool is closed"},`) {
			t.Errorf("readyz without a spool: %d %s", r.status, r.body)
		}
	})
}

// asked is an admin that can be asked whether it serves.
type asked struct {
	switched
	asks int
}

func (a *asked) Healthy(context.Context) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asks++
	return a.err
}
