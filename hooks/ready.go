package hooks

import (
	"context"
	"net/http"
	"sync"
	"time"

	"lightspeed/hooks/spool"
)

// checkEvery is how long a check's result is taken for what is. Anyone may ask, and each check costs an fsync
// and a request to admin.
const checkEvery = time.Second

type healthy interface {
	Healthy(context.Context) error
}

// health answers GET /healthz: the process serves.
func health(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte("ok\n"))
}

// readiness answers GET /readyz: 200 when a delivery would be stored even if admin were away, else 503.
type readiness struct {
	Ready  bool              `json:"ready"`
	Checks map[string]string `json:"checks"` // "spool" and "admin": "ok", or what is wrong
	Spool  spoolState        `json:"spool"`
}

type spoolState struct {
	Deliveries int      `json:"deliveries"`
	Bytes      int64    `json:"bytes"`
	OldestS    *float64 `json:"oldest_s"` // how long the oldest has waited, in seconds; null when none waits
	Refused    int64    `json:"refused"`
	Damaged    int64    `json:"damaged"`
}

func (s *Server) ready(w http.ResponseWriter, r *http.Request) {
	disk, admin := s.checks.now(r.Context(), s.spool)
	body := readiness{Ready: disk == "ok", Checks: map[string]string{"spool": disk}, Spool: stateOf(s.spool.Stats())}
	if admin != "" {
		body.Checks["admin"] = admin
	}
	status := http.StatusOK
	if !body.Ready {
		status = http.StatusServiceUnavailable
	}
	answer(w, status, body)
}

func stateOf(stats spool.Stats) spoolState {
	state := spoolState{
		Deliveries: stats.Deliveries, Bytes: stats.Bytes, Refused: stats.Refused, Damaged: stats.Damaged,
	}
	if !stats.Oldest.IsZero() {
		age := max(0, time.Since(stats.Oldest).Seconds())
		state.OldestS = &age
	}
	return state
}

// checks asks the disk and admin, and remembers for a while what they said.
type checks struct {
	admin healthy // nil when it cannot be asked

	mu       sync.Mutex
	at       time.Time
	disk     string
	answered string // empty when admin cannot be asked
}

// now says "ok" or what is wrong. Anyone may ask: no paths and no addresses.
func (c *checks) now(ctx context.Context, s *spool.Spool) (disk, admin string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.at.IsZero() && time.Since(c.at) < checkEvery {
		return c.disk, c.answered
	}
	c.disk = "ok"
	if err := s.Check(); err != nil {
		c.disk = "cannot be written: " + reason(err).Error()
	}
	if c.admin != nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), adminLimit)
		defer cancel()
		c.answered = "ok"
		if c.admin.Healthy(ctx) != nil {
			c.answered = "does not answer: deliveries wait in the spool"
		}
	}
	c.at = time.Now()
	return c.disk, c.answered
}
