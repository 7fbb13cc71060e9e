package app

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// A handler may take longer than the time-outs, before and between the pieces of its answer: a long poll
// and a followed log are not cut short.
func TestPatient(t *testing.T) {
	const limit = 50 * time.Millisecond
	server := httptest.NewUnstartedServer(patient(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		for i := range 2 {
			select {
			case <-time.After(2 * limit): // the thing under test is time itself
			case <-r.Context().Done():
				t.Error("the context ended while the handler waited")
			}
			fmt.Fprintf(w, "%d: %d bytes, ", i, len(body))
			w.(interface{ Unwrap() http.ResponseWriter }).Unwrap().(http.Flusher).Flush()
		}
	}), limit))
	server.Config.ReadTimeout = limit
	server.Start()
	defer server.Close()
	for range 2 { // the second request on the connection has a deadline of its own
		for _, body := range []string{"", "hello"} {
			resp, err := server.Client().Post(server.URL, "text/plain", strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if want := fmt.Sprintf("0: %d bytes, 1: %[1]d bytes, ", len(body)); err != nil || string(got) != want {
				t.Errorf("got %q, %v, want %q", got, err, want)
			}
		}
	}
}

// Who does not take the answer is cut off.
func TestPatientHasLimits(t *testing.T) {
	failed := make(chan error, 1)
	server := httptest.NewServer(patient(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for piece := make([]byte, 1<<20); ; {
			if _, err := w.Write(piece); err != nil {
				failed <- err
				return
			}
		}
	}), 50*time.Millisecond))
	defer server.Close()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	var timeout net.Error
	if err := <-failed; !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("writing ended with %v", err)
	}
}

// A server that stops lets a request finish, and cuts one short that only waits.
func TestServeStops(t *testing.T) {
	life := newTestLifecycle()
	s, err := life.openSocket("test", "addr", "127.0.0.1:0", nil)
	if err != nil {
		t.Fatal(err)
	}
	inside := make(chan struct{})
	life.serve(s, &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush()
		close(inside)
		<-r.Context().Done()
		fmt.Fprintln(w, "done")
	})})
	resp, err := http.Get(s.url())
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	<-inside
	for range 2 {
		if err := life.stop(); err != nil {
			t.Error(err)
		}
	}
	if line, err := bufio.NewReader(resp.Body).ReadString('\n'); line != "done\n" {
		t.Errorf("the waiting request got %q, %v", line, err)
	}
}

func TestPortTaken(t *testing.T) {
	life := newTestLifecycle()
	defer life.stop()
	s, err := life.openSocket("admin", "addr", "127.0.0.1:0", nil)
	if err != nil {
		t.Fatal(err)
	}
	addr := s.listener.Addr().String()
	_, err = life.openSocket("admin", "addr", addr, nil)
	var told *Error
	if !errors.As(err, &told) || told.Usage || told.Error() != "admin cannot listen on "+addr+": the port is taken" || told.Hint == "" {
		t.Errorf("got %v", err)
	}
}
