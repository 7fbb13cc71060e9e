package hooks

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"lightspeed/secret"
)

// sevenKB is as long as GitHub's usual push.
var sevenKB = `{"ref":"refs/heads/main","pad":"` + strings.Repeat("x", 7000) + `"}`

func benchmark(b *testing.B, admin Deliverer, status int) {
	s, err := New(Options{
		Secrets: []secret.Value{secret.New(key)}, Admin: admin, State: filepath.Join(b.TempDir(), "hooks"),
		Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	handler, signature := s.Handler(), sign(key, sevenKB)
	var n atomic.Int64
	b.SetParallelism(32)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			r := post("", fmt.Sprint(n.Add(1)), sevenKB, header("X-Hub-Signature-256", signature))
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, r)
			if w.Code != status {
				b.Errorf("got %d %s", w.Code, w.Body)
			}
		}
	})
}

// What hooks itself costs, without sockets and with an admin that answers at once.
func BenchmarkReceive(b *testing.B) { benchmark(b, admins(accepting), http.StatusAccepted) }

// What it costs to spool, 64 at once, on this disk.
func BenchmarkSpooled(b *testing.B) { benchmark(b, &switched{err: away}, http.StatusAccepted) }
