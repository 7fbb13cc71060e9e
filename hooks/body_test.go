package hooks

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lightspeed/api"
	"lightspeed/event"
)

// held is a body that ends only when it is let go.
type held struct{ let chan struct{} }

func (h held) Read([]byte) (int, error) { <-h.let; return 0, io.ErrUnexpectedEOF }
func (h held) Close() error             { return nil }

func TestBodiesInFlightAreBounded(t *testing.T) {
	for name, test := range map[string]struct {
		length int64
		form   bool
		most   int
	}{
		"largest":    {event.MaxPayload, false, 1},
		"large":      {2 << 20, false, 13},
		"not known":  {-1, false, 1},
		"small":      {1 << 20, false, 8},
		"large form": {2 << 20, true, 4},
		"small form": {1 << 18, true, 10},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSetup(t, admins(accepting))
				h := held{make(chan struct{})}
				request := func() *http.Request {
					r := post("", "1", "", func(r *http.Request) { r.Body, r.ContentLength = h, test.length })
					if test.form {
						r.Header.Set("Content-Type", typeForm)
					}
					return r
				}
				begun, refused := 0, make(chan reply, test.most)
				for range test.most {
					begun++
					go func() { refused <- s.direct(request()) }()
				}
				synctest.Wait()
				began := time.Now()
				r := make(chan reply)
				go func() { r <- s.direct(request()) }()
				time.Sleep(roomWait)
				synctest.Wait()
				// The refused one drains what it sends until that ends, too.
				close(h.let)
				over := <-r
				if over.status != http.StatusServiceUnavailable || over.body != failure(api.Unavailable, "too many deliveries at once") ||
					over.header.Get("Retry-After") == "" || time.Since(began) != roomWait {
					t.Errorf("one more gets %d %s after %s", over.status, over.body, time.Since(began))
				}
				for range begun {
					if got := <-refused; got.status != http.StatusBadRequest { // they were cut off, all of them in their room
						t.Errorf("got %d %s", got.status, got.body)
					}
				}
				s.accept(t, api.Accepted, "after") // and all room is given back
				free, err := s.room(t.Context(), event.MaxPayload, typeJSON)
				if err != nil {
					t.Fatal(err)
				}
				free()
				s.Close()
			})
		})
	}
}

func TestSmallBodiesDoNotWaitForLargeOnes(t *testing.T) {
	s := newSetup(t, admins(accepting))
	free, err := s.room(t.Context(), -1, typeForm)
	if err != nil {
		t.Fatal(err)
	}
	defer free()
	s.accept(t, api.Accepted, "small")
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
		free, err := s.room(context.Background(), -1, typeForm) // all of it
		if err != nil {
			t.Fatal(err)
		}
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
