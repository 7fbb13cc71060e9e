package admin

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"lightspeed/api"
	"lightspeed/event"
	"lightspeed/match"
	"lightspeed/secret"
)

// BenchmarkDeliver hands in pushes of 7 KB over HTTP, 64 at once, each of which queues a run.
func BenchmarkDeliver(b *testing.B) {
	s, err := New(Options{State: filepath.Join(b.TempDir(), "admin")})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	socket, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	web := &http.Server{Handler: s.Handler(), ReadHeaderTimeout: time.Minute}
	go func() { _ = web.Serve(socket) }()
	defer web.Close()
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	defer transport.CloseIdleConnections()
	client, err := api.NewClient("http://"+socket.Addr().String(), secret.Value{}, &http.Client{Transport: transport})
	if err != nil {
		b.Fatal(err)
	}
	reg := api.Registration{Instance: "i1", Start: "s1", Revision: 1, Settings: api.Settings{Rules: match.Rules{Name: "web"}}}
	if _, err := client.Register(context.Background(), "web", reg); err != nil {
		b.Fatal(err)
	}
	const nonce = "nonce-nonce-nonce"
	body := delivery(b, "d", event.PushSpec{Repo: "acme/web", Branch: "main", SHA: sha("1"), Message: strings.Repeat("a line of a commit message\n", 250), Nonce: nonce}).Body
	var n atomic.Int64
	before := s.store.Commits()
	b.SetParallelism(64 / runtime.GOMAXPROCS(0))
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			id := fmt.Sprintf("%08x-0000-4000-8000-000000000000", uint32(n.Add(1)*2654435761))
			d := event.Delivery{ID: id, Event: "push", ContentType: "application/json", Body: bytes.ReplaceAll(body, []byte(nonce), []byte(id))}
			if receipt, err := client.Deliver(context.Background(), d); err != nil || len(receipt.Runs) != 1 {
				b.Error(receipt, err)
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "accepts/s")
	b.ReportMetric(float64(s.store.Commits()-before)/float64(b.N), "fsyncs/accept")
}
