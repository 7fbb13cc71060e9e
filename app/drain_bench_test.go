package app

import (
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"lightspeed/event"
	"lightspeed/hooks/spool"
	"lightspeed/metric"
	"lightspeed/secret"
)

// BenchmarkDrain is how fast hooks hands admin what has gathered while admin was away: pushes of 7 KB to ten repositories,
// one process, over loopback. Try it with -benchtime 10000x.
func BenchmarkDrain(b *testing.B) {
	state := b.TempDir()
	fill(b, filepath.Join(state, "hooks", "spool"), b.N)
	life := newLifecycle(slog.New(slog.DiscardHandler))
	out := Output{Ready: io.Discard, Notes: io.Discard, Log: life.log}
	socket, err := startAdmin(life, testAdmin(b.TempDir()), out)
	if err != nil {
		b.Fatal(err)
	}
	client, err := NewClient(ClientOptions{Admin: socket.url()})
	if err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	if _, err := startHooks(life, HooksOptions{Addr: "127.0.0.1:0", State: state, Secrets: []secret.Value{secret.New("s")}}, client, "addr", out); err != nil {
		b.Fatal(err)
	}
	for !drained(b, life.metrics) {
		time.Sleep(20 * time.Millisecond)
	}
	b.StopTimer()
	b.ReportMetric(number(b, life.metrics, "lightspeed_admin_commits_total")/float64(b.N), "fsyncs/delivery")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "deliveries/s")
	if err := life.stop(); err != nil {
		b.Error(err)
	}
}

// fill makes a spool with n pushes.
func fill(b *testing.B, dir string, n int) {
	s, err := spool.Open(dir, 1<<30, slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	var group sync.WaitGroup
	for worker := range 16 {
		group.Go(func() {
			for i := worker; i < n; i += 16 {
				if err := s.Put(spooledPush(b, i)); err != nil {
					b.Error(err)
				}
			}
		})
	}
	group.Wait()
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
}

func spooledPush(b *testing.B, i int) event.Delivery {
	id := fmt.Sprintf("d%07d", i)
	body, err := event.MakePush(event.PushSpec{Repo: fmt.Sprintf("acme/repo-%d", i%10), Branch: "main", Message: fmt.Sprintf("%07000d", i), Nonce: id})
	if err != nil {
		b.Fatal(err)
	}
	return event.Delivery{ID: id, Event: event.Push, ContentType: "application/json", ReceivedAt: time.Now(), Body: body}
}

// drained reports whether nothing waits any more.
func drained(b *testing.B, set *metric.Set) bool {
	return number(b, set, "lightspeed_hooks_spool_deliveries") == 0
}

// number reads a metric that has no labels.
func number(b *testing.B, set *metric.Set, name string) (value float64) {
	text, err := set.Text(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	_, after, there := strings.Cut(string(text), "\n"+name+" ")
	if _, err := fmt.Sscan(after, &value); err != nil || !there {
		b.Fatalf("%s: %v", name, err)
	}
	return value
}
