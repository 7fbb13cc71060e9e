package admin

import (
	"context"
	"net/http"
	"sync"
	"time"
)

// getHealth says that the process serves.
func (s *Server) getHealth(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte("ok\n"))
	return nil
}

// readiness is the body of GET /readyz: "ok", or what is wrong, by the name of each thing that admin needs.
type readiness struct {
	Ready  bool              `json:"ready"`
	Checks map[string]string `json:"checks"`
}

// getReady says whether admin can do its work: 503 when its database cannot be written. A broker that is
// away is shown but does not make admin unready, since claims wait without one.
func (s *Server) getReady(w http.ResponseWriter, r *http.Request) error {
	ready := readiness{Ready: true, Checks: map[string]string{"database": "ok"}}
	if err := s.probe.check(r.Context(), s.store.Probe); err != nil {
		ready.Ready = false
		ready.Checks["database"] = s.refusal(r, err).Message
	}
	if s.hints != nil {
		ready.Checks["broker"] = s.hints.check()
	}
	status := http.StatusOK
	if !ready.Ready {
		status = http.StatusServiceUnavailable
	}
	return writeJSON(w, status, ready)
}

// probe writes to the database at most once a second, however often it is asked.
type probe struct {
	mu   sync.Mutex
	at   time.Time
	last error
}

func (p *probe) check(ctx context.Context, write func(context.Context) error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if time.Since(p.at) < time.Second {
		return p.last
	}
	// The answer is for all who ask: that the one who asked first has gone says nothing.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	p.last, p.at = write(ctx), time.Now()
	return p.last
}
