package admin

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"lightspeed/api"
	"lightspeed/logtime"
)

// Whoever begins to send a chunk and does not go on keeps nobody else from sending theirs; what did come of it is kept.
func TestSlowSendersKeepNobodyOut(t *testing.T) {
	f, _, c := running(t)
	other := f.listener("other")
	f.push("d2", "main")
	quick := other.mustClaim()
	f.server.chunks.patience = 20 * time.Millisecond
	var slow []net.Conn
	for n := range maxChunks {
		slow = append(slow, f.sendsSlowly(c, "hello", 100))
		for end := time.Now().Add(10 * time.Second); f.server.chunks.busy() <= n; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%d of %d are sending", f.server.chunks.busy(), n+1)
			}
		}
	}
	for i := range int64(3) {
		if next, err := f.append(quick, i*4, "fast"); err != nil || next != i*4+4 {
			t.Fatalf("%d, %v", next, err)
		}
	}
	answer, err := http.ReadResponse(bufio.NewReader(slow[0]), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if body, err := io.ReadAll(answer.Body); err != nil || answer.StatusCode != 200 || string(body) != `{"offset":5}` {
		t.Errorf("the first of the slow ones got %d %s, %v", answer.StatusCode, body, err)
	}
	if text := f.log(c.Run.ID, api.LogQuery{}); text != "hello" {
		t.Errorf("their log is %q", text)
	}
	f.wantTimes(refOf(c), 0, "0 +0ms 1")
}

// busy is how many are sending.
func (s *slots) busy() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.sending)
}

// sendsSlowly begins to send a chunk of so many bytes, and stops after text.
func (f *fixture) sendsSlowly(c *api.Claim, text string, bytes int) net.Conn {
	f.Helper()
	conn, err := net.Dial("tcp", f.http.Listener.Addr().String())
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = conn.Close() })
	times := logtime.Format(append(came(0, 0, 1), came(50, 5, 1)...))
	_, err = fmt.Fprintf(conn, "POST /api/v1/runs/%s/log?attempt=%d&offset=0 HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n%s: %s\r\n\r\n%s",
		c.Run.ID, c.Attempt, bytes, logtime.Header, times, text)
	if err != nil {
		f.Fatal(err)
	}
	return conn
}
