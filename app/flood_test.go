package app

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lightspeed/event"
	"lightspeed/secret"
)

// Bounds of the flood, for a machine that does other things as well: on a quiet one a real delivery is answered in
// a few milliseconds, and the heap stays under 50 MB.
const (
	floodPatience = 5 * time.Second
	floodMemory   = 128 << 20
)

// TestFlood: 500 connections that send a head byte by byte, and as many bad signatures as four senders manage, while
// real deliveries come in. Those are all taken.
func TestFlood(t *testing.T) {
	out, ready := quiet()
	state := t.TempDir()
	admin := start(func(stop Stop) error { return Admin(stop, out, testAdmin(state)) })
	url := ready.wait(t, "ready admin ")
	hooks := start(func(stop Stop) error {
		return Hooks(stop, out, HooksOptions{Addr: "127.0.0.1:0", State: state, Secrets: []secret.Value{secret.New("s3cret")}, Client: ClientOptions{Admin: url}})
	})
	at := ready.wait(t, "ready hooks ")

	for range 500 {
		conn, err := net.Dial("tcp", strings.TrimPrefix(at, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := io.WriteString(conn, "POST /receive_hook HTTP/1.1\r\nHost: x\r\nX-Slow: "); err != nil {
			t.Fatal(err)
		}
	}
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}, Timeout: 30 * time.Second}
	defer client.CloseIdleConnections()
	post := func(id, signature string, body []byte) (int, error) {
		req, err := http.NewRequest(http.MethodPost, at+"/receive_hook", bytes.NewReader(body))
		if err != nil {
			return 0, err
		}
		for key, value := range map[string]string{"Content-Type": "application/json", "X-GitHub-Event": "push", "X-GitHub-Delivery": id, "X-Hub-Signature-256": signature} {
			req.Header.Set(key, value)
		}
		resp, err := client.Do(req)
		if err != nil {
			return 0, err
		}
		defer resp.Body.Close()
		_, err = io.Copy(io.Discard, resp.Body)
		return resp.StatusCode, err
	}

	var over atomic.Bool
	var refused atomic.Int64
	var flood sync.WaitGroup
	for range 4 {
		flood.Go(func() {
			body := bytes.Repeat([]byte("x"), 64<<10)
			for !over.Load() {
				if status, err := post("bad", "sha256="+strings.Repeat("0", 64), body); err == nil && status == http.StatusUnauthorized {
					refused.Add(1)
				}
			}
		})
	}
	var took []time.Duration
	for n := range 200 {
		id := fmt.Sprintf("real-%d", n)
		body, err := event.MakePush(event.PushSpec{Repo: "me/my-app", Branch: "main", SHA: strings.Repeat("a", 40), Nonce: id})
		if err != nil {
			t.Fatal(err)
		}
		mac := hmac.New(sha256.New, []byte("s3cret"))
		mac.Write(body)
		begun := time.Now()
		if status, err := post(id, "sha256="+hex.EncodeToString(mac.Sum(nil)), body); err != nil || status != http.StatusAccepted {
			t.Fatalf("delivery %d: %d, %v", n, status, err)
		}
		took = append(took, time.Since(begun))
	}
	over.Store(true)
	flood.Wait()
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	slices.Sort(took)
	p99 := took[len(took)*99/100]
	t.Logf("p50 %v, p99 %v, %d bad signatures refused, %d MB of heap", took[len(took)/2], p99, refused.Load(), memory.HeapSys>>20)
	if p99 > floodPatience || refused.Load() == 0 || memory.HeapSys > floodMemory {
		t.Errorf("p99 %v, %d refused, heap %d bytes", p99, refused.Load(), memory.HeapSys)
	}
	for _, p := range []*process{hooks, admin} {
		if err := p.stop(); err != nil && !strings.Contains(err.Error(), "still under way") {
			t.Error(err)
		}
	}
}
