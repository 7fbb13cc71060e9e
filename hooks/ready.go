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
const checkEvery = 5 * time.Second

type healthy interface {
	Healthy(context.Context) error
}

// health answers GET /healthz: the process serves.
type health struct {
	Status string `json:"status"`
}

// readiness answers GET /readyz: 200 when a delivery would be stored even if admin were away, else 503.
type readiness struct {
	Status string     `json:"status"` // "ready" or "not_ready"
	Why    *string    `json:"why"`    // of not_ready
	Admin  *bool      `json:"admin"`  // whether admin answers; null when that cannot be asked
	Spool  spoolState `json:"spool"`
}

type spoolState struct {
	Deliveries int      `json:"deliveries"`
	Bytes      int64    `json:"bytes"`
	OldestS    *float64 `json:"oldest_s"` // how long the oldest has waited, in seconds; null when none waits
	Refused    int64    `json:"refused"`
	Damaged    int64    `json:"damaged"`
}

func (s *Server) ready(w http.ResponseWriter, r *http.Request) {
	spoolError, admin := s.checks.now(r.Context(), s.spool)
	body := readiness{Status: "ready", Admin: admin, Spool: stateOf(s.spool.Stats())}
	status := http.StatusOK
	if spoolError != nil {
		status, body.Status = http.StatusServiceUnavailable, "not_ready"
		why := "the spool cannot be written: " + reason(spoolError).Error() // without the path: anyone may ask
		body.Why = &why
	}
	answer(w, status, body)
}

func stateOf(stats spool.Stats) spoolState {
	state := spoolState{
		Deliveries: stats.Deliveries, Bytes: stats.Bytes, Refused: stats.Refused, Damaged: stats.Damaged,
	}
	if !stats.Oldest.IsZero() {
		age := time.Since(stats.Oldest).Seconds()
		state.OldestS = &age
	}
	return state
}

// checks asks the disk and admin, and remembers for a while what they said.
type checks struct {
	admin healthy // nil when it cannot be asked

	mu      sync.Mutex
	at      time.Time
	disk    error
	answers *bool
}

func (c *checks) now(ctx context.Context, s *spool.Spool) (disk error, admin *bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.at) < checkEvery {
		return c.disk, c.answers
	}
	c.disk = s.Check()
	if c.admin != nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), adminLimit)
		defer cancel()
		answers := c.admin.Healthy(ctx) == nil
		c.answers = &answers
	}
	c.at = time.Now()
	return c.disk, c.answers
}
