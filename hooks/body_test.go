package hooks

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lightspeed/api"
	"lightspeed/event"
)

// slow is a body whose sender has sent so many bytes, and then nothing more.
type slow struct {
	sent int
	let  chan struct{}
}

func (b *slow) Read(p []byte) (int, error) {
	if n := min(len(p), b.sent); n > 0 {
		b.sent -= n
		return n, nil
	}
	<-b.let
	return 0, os.ErrDeadlineExceeded
}

func (b *slow) Close() error { return nil }

// hurried is an answer's writer on which a deadline for reading ends a slow body's reading, as on a connection.
type hurried struct {
	*httptest.ResponseRecorder
	body *slow
}

func (h hurried) SetReadDeadline(at time.Time) error {
	if !at.After(time.Now()) {
		close(h.body.let)
	}
	return nil
}

// sendSlowly sends the beginning of a body that is said to be longer, and gives its answer.
func (s *setup) sendSlowly(length int64, sent int) <-chan int {
	body := &slow{sent, make(chan struct{})}
	answered := make(chan int, 1)
	go func() {
		w := hurried{httptest.NewRecorder(), body}
		s.Handler().ServeHTTP(w, post("", "1", "", func(r *http.Request) { r.Body, r.ContentLength = body, length }))
		answered <- w.Code
	}()
	return answered
}

// Whoever says that much will come, and sends little, keeps nobody's room.
func TestSlowBodiesGiveTheirRoomUp(t *testing.T) {
	for name, test := range map[string]struct {
		length int64
		sent   int
		most   int // so many fit
		next   int // bytes of one more
	}{
		"nothing sent":            {1 << 20, 0, 512, 100},
		"all but one byte":        {1 << 20, 1<<20 - 1, 8, 100},
		"large":                   {event.MaxPayload, 5 << 20, 1, 2 << 20},
		"large, length not known": {-1, 5 << 20, 1, 2 << 20},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSetup(t, admins(accepting))
				var answers []<-chan int
				for range test.most {
					answers = append(answers, s.sendSlowly(test.length, test.sent))
					synctest.Wait()
				}
				for _, answered := range answers {
					if len(answered) > 0 {
						t.Fatalf("answered %d although there is room", <-answered)
					}
				}
				began := time.Now()
				if r := s.direct(post("", "real", `{"a":"`+strings.Repeat("x", test.next)+`"}`)); r.status != http.StatusAccepted {
					t.Errorf("a real one gets %d %s", r.status, r.body)
				}
				if took := time.Since(began); took > 0 {
					t.Errorf("it waited for %s", took)
				}
				synctest.Wait()
				if len(answers[0]) != 1 || <-answers[0] != http.StatusServiceUnavailable {
					t.Error("the oldest slow one was not sent away")
				}
				if n := len(answers); n > 8 && len(answers[n-1]) > 0 {
					t.Error("the newest slow one was sent away, too")
				}
				for _, answered := range answers[1:] {
					s.sendAllAway()
					<-answered
				}
				if s.small.free != smallRoom || s.large.free != largeRoom {
					t.Errorf("%d and %d bytes of room are free at the end", s.small.free, s.large.free)
				}
				s.Close()
			})
		})
	}
}

// sendAllAway ends what is still in flight.
func (s *setup) sendAllAway() {
	for _, r := range []*room{s.small, s.large} {
		r.mu.Lock()
		for _, g := range r.strangers {
			if !g.leaving {
				g.leaving = true
				g.sendAway()
			}
		}
		r.mu.Unlock()
	}
}

// Deliveries that are signed keep their room until admin, or the disk, has them; who comes then is told to come again.
func TestSignedBodiesKeepTheirRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		let := make(chan struct{})
		s := newSetup(t, admins(func(ctx context.Context, d event.Delivery) (api.Receipt, error) {
			<-let
			return accepting(ctx, d)
		}))
		body := `{"a":"` + strings.Repeat("x", 1<<20-8) + `"}`
		answers := make(chan reply, smallRoom>>20)
		for n := range cap(answers) {
			go func() { answers <- s.direct(post("", fmt.Sprint(n), body)) }()
		}
		synctest.Wait()
		began := time.Now()
		r := s.direct(post("", "more", body))
		if r.status != http.StatusServiceUnavailable || r.body != failure(api.Unavailable, "too many deliveries at once") ||
			r.header.Get("Retry-After") == "" || time.Since(began) != roomWait {
			t.Errorf("one more gets %d %s after %s", r.status, r.body, time.Since(began))
		}
		close(let)
		for range cap(answers) {
			if r := <-answers; r.status != http.StatusAccepted {
				t.Errorf("a signed one got %d %s", r.status, r.body)
			}
		}
		s.Close()
	})
}

func TestSmallBodiesDoNotWaitForLargeOnes(t *testing.T) {
	s := newSetup(t, admins(accepting))
	defer s.fillLarge(t)()
	s.accept(t, api.Accepted, "small")
}

// fillLarge takes all room for large bodies.
func (s *setup) fillLarge(t *testing.T) (free func()) {
	g := s.large.enter(nil)
	if err := g.take(t.Context(), largeRoom); err != nil {
		t.Fatal(err)
	}
	return g.leave
}

func TestForwardingKeepsToTheRoomForLargeBodies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		admin := &switched{err: away}
		s := newSetup(t, admin)
		large := `{"a":"` + strings.Repeat("x", 2<<20) + `"}`
		if r := s.direct(post("", "large", large)); r.status != http.StatusAccepted {
			t.Fatalf("got %d %s", r.status, r.body)
		}
		admin.fail(nil)
		free := s.fillLarge(t)
		stop := s.run(t)
		time.Sleep(time.Minute)
		if got := admin.taken(); got != nil {
			t.Errorf("%v was read into memory beyond the bound", got)
		}
		free()
		synctest.Wait()
		if got := admin.taken(); len(got) != 1 {
			t.Errorf("admin has got %v, want the large one", got)
		}
		stop()
		s.Close()
	})
}
