package main

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lightspeed/event"
	"lightspeed/fleet"
)

// Bounds of the flood. On a machine that is so busy that a delivery takes long without any flood, the bound is relative to that.
const (
	floodP99    = time.Second
	floodFactor = 10
	floodMemory = 128 << 20 // bytes resident, at the most there ever were, of each process
	floodSlow   = 500       // connections
	floodReal   = 200       // deliveries in a window
	floodTries  = 3         // windows: what else the machine does may spoil one, and not all of them
)

// TestFlood: promise 4. 500 slow connections, half of them with a head and half with a body that never ends, and as many bad
// signatures as one generator can send, while real deliveries come in: those are all answered, in time and memory.
func TestFlood(t *testing.T) {
	admin := startRole(t, "admin", "--addr", "127.0.0.1:0", "--state", t.TempDir())
	at := readyAt(t, admin, "admin ")
	hooks := startRole(t, "hooks", "--addr", "127.0.0.1:0", "--state", t.TempDir(), "--secret", "s3cret", "--admin", at)
	f := &flood{addr: strings.TrimPrefix(readyAt(t, hooks, "hooks "), "http://"), client: &http.Client{
		Transport: &http.Transport{MaxIdleConnsPerHost: 16}, Timeout: time.Minute,
	}}
	defer f.client.CloseIdleConnections()
	bound := max(floodP99, floodFactor*f.window(t, "quiet"))

	ctx, over := context.WithCancel(t.Context())
	defer f.group.Wait()
	defer over()
	f.begin(ctx)
	p99 := bound + 1
	for try := 0; try < floodTries && p99 > bound; try++ {
		p99 = f.window(t, fmt.Sprintf("flood-%d", try))
		t.Logf("p99 %v, at most %v; %d bad signatures refused, %d slow connections closed", p99, bound, f.refused.Load(), f.slow.Load())
	}
	if p99 > bound || f.refused.Load() == 0 {
		t.Errorf("p99 %v, want at most %v; %d bad signatures refused", p99, bound, f.refused.Load())
	}
	for name, process := range map[string]*fleet.Process{"hooks": hooks, "admin": admin} {
		peak, err := process.PeakMemory()
		t.Logf("%s: %d MB at the most", name, peak>>20)
		if err != nil || peak > floodMemory {
			t.Errorf("%s: %d bytes resident, want at most %d; %v", name, peak, floodMemory, err)
		}
	}
}

func startRole(t *testing.T, args ...string) *fleet.Process {
	t.Helper()
	path, err := exec.LookPath("lightspeed") // put there by TestMain
	if err != nil {
		t.Fatal(err)
	}
	p, err := fleet.Start(fleet.Command{Name: args[0], Path: path, Args: args})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	return p
}

func readyAt(t *testing.T, p *fleet.Process, prefix string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	at, err := p.Ready(ctx, prefix)
	if err != nil {
		t.Fatal(err, p.Log())
	}
	return at
}

// flood is what comes in beside the real deliveries.
type flood struct {
	addr          string
	client        *http.Client
	group         sync.WaitGroup
	refused, slow atomic.Int64
}

const badSignature = "sha256=0000000000000000000000000000000000000000000000000000000000000000"

// begin starts slow connections, which come again when they are closed, and four senders of bad signatures.
func (f *flood) begin(ctx context.Context) {
	head := "POST /receive_hook HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nX-Hub-Signature-256: " + badSignature + "\r\n"
	for n := range floodSlow {
		start := head + "X-Slow: "
		switch {
		case n%10 == 0:
			start = fmt.Sprintf("%sContent-Length: %d\r\n\r\n%s", head, event.MaxPayload, strings.Repeat("x", 64<<10))
		case n%2 == 0:
			start = fmt.Sprintf("%sContent-Length: %d\r\n\r\n%s", head, 1<<20, strings.Repeat("x", 20<<10))
		}
		f.group.Go(func() {
			for ctx.Err() == nil {
				f.drip(ctx, start)
			}
		})
	}
	for range 4 {
		f.group.Go(func() {
			body := bytes.Repeat([]byte("x"), 64<<10)
			for ctx.Err() == nil {
				if status, err := f.post(ctx, "bad", badSignature, body); err == nil && status == http.StatusUnauthorized {
					f.refused.Add(1)
				}
			}
		})
	}
}

// drip sends the start of a request, and then a byte a second until the connection is closed.
func (f *flood) drip(ctx context.Context, start string) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", f.addr)
	if err != nil {
		return
	}
	defer conn.Close()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for text := start; ; text = "x" {
		if _, err := io.WriteString(conn, text); err != nil {
			f.slow.Add(1)
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (f *flood) post(ctx context.Context, id, signature string, body []byte) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+f.addr+"/receive_hook", bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	for key, value := range map[string]string{"Content-Type": "application/json", "X-GitHub-Event": "push", "X-GitHub-Delivery": id, "X-Hub-Signature-256": signature} {
		req.Header.Set(key, value)
	}
	resp, err := f.client.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, err
}

// window sends real deliveries, one after another, and returns in which time 99 of 100 were answered.
func (f *flood) window(t *testing.T, name string) time.Duration {
	t.Helper()
	var took []time.Duration
	for n := range floodReal {
		id := fmt.Sprintf("%s-%d", name, n)
		body, err := event.MakePush(event.PushSpec{Repo: "me/my-app", Branch: "main", SHA: strings.Repeat("a", 40), Nonce: id})
		if err != nil {
			t.Fatal(err)
		}
		mac := hmac.New(sha256.New, []byte("s3cret"))
		mac.Write(body)
		begun := time.Now()
		if status, err := f.post(t.Context(), id, "sha256="+hex.EncodeToString(mac.Sum(nil)), body); err != nil || status != http.StatusAccepted {
			t.Fatalf("delivery %s: %d, %v", id, status, err)
		}
		took = append(took, time.Since(begun))
	}
	slices.Sort(took)
	return took[len(took)*99/100]
}
