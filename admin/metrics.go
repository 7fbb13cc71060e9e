package admin

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"lightspeed/admin/store"
	"lightspeed/metric"
	"lightspeed/run"
)

// latencies are the buckets of how long things take, in seconds.
var latencies = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}

// metrics are admin's numbers.
type metrics struct {
	deliveries *metric.Counter
	accept     *metric.Histogram
	runs       *metric.Counter
	claim      *metric.Histogram
	leases     *metric.Counter
	logBytes   *metric.Counter
	notices    *metric.Counter
}

func newMetrics(set *metric.Set, s *Server) *metrics {
	set.CounterFunc("lightspeed_admin_commits_total", "Commits of the database, each of them one fsync.", func() float64 { return float64(s.store.Commits()) })
	set.Collect(s.queues)
	return &metrics{
		deliveries: set.Counter("lightspeed_admin_deliveries_total", "Deliveries by admin's answer: a receipt's status, or an error's code.", "answer"),
		accept:     set.Histogram("lightspeed_admin_accept_seconds", "How long it took to answer a delivery that was stored.", latencies),
		runs:       set.Counter("lightspeed_admin_runs_total", "Runs by the state in which they ended.", "status"),
		claim: set.Histogram("lightspeed_admin_claim_seconds", "How long runs waited from being queued to being handed to a listener.",
			append(slices.Clone(latencies), 60, 600, 3600)),
		leases:   set.Counter("lightspeed_admin_leases_lost_total", "Attempts that were given up since their listener was not heard of."),
		logBytes: set.Counter("lightspeed_admin_log_bytes_total", "Bytes of output that were taken."),
		notices:  set.Counter("lightspeed_admin_notices_total", "How telling people of runs went, by its outcome.", "status"),
	}
}

// ended counts the runs that a commit ended: one that was given up, and then reported after all, by both.
func (m *metrics) ended(changes []store.Change) {
	for _, c := range changes {
		if c.Step && c.Status.Ended() {
			m.runs.Inc(string(c.Status))
		}
	}
}

// claimed notes how long a run waited for its first attempt.
func (m *metrics) claimed(r run.Run, attempt int) {
	if attempt == 1 {
		m.claim.Observe(time.Since(r.QueuedAt).Seconds())
	}
}

// delivered counts an answer to a delivery.
func (m *metrics) delivered(answer string, took time.Duration, stored bool) {
	m.deliveries.Inc(answer)
	if stored {
		m.accept.Observe(took.Seconds())
	}
}

// scrapeLimit bounds the queries of one scrape.
const scrapeLimit = 5 * time.Second

// queues reads, at each scrape, what waits for each listener and whether one is there.
func (s *Server) queues(ctx context.Context, to *metric.Scrape) error {
	ctx, cancel := context.WithTimeout(ctx, scrapeLimit)
	defer cancel()
	depths, err := s.store.Depths(ctx)
	if err != nil {
		return fmt.Errorf("read the queues: %w", err)
	}
	now := time.Now()
	for _, family := range []struct {
		name, help string
		value      func(store.Depth) float64
	}{
		{"lightspeed_admin_queued_runs", "Runs that wait.", func(d store.Depth) float64 { return float64(d.Queued) }},
		{"lightspeed_admin_oldest_queued_seconds", "How long the next run in line has waited.", func(d store.Depth) float64 { return waited(d, now) }},
		{"lightspeed_admin_listener_connected", "1 when an instance of the listener is there.", s.present},
	} {
		to.Family(metric.Gauge, family.name, family.help)
		for _, d := range depths {
			to.Sample(family.name, family.value(d), "listener", d.Listener)
		}
	}
	return nil
}

// waited is how long the next run of a queue has waited, in seconds.
func waited(d store.Depth, now time.Time) float64 {
	if d.Queued == 0 {
		return 0
	}
	return max(0, now.Sub(d.Oldest).Seconds())
}

// present is 1 when an instance of a queue's listener is there.
func (s *Server) present(d store.Depth) float64 {
	if s.leases.connected(d.Listener) {
		return 1
	}
	return 0
}

func (s *Server) getMetrics(w http.ResponseWriter, r *http.Request) error {
	text, err := s.opt.Metrics.Text(r.Context())
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", metric.ContentType)
	_, _ = w.Write(text) // whoever asked is gone
	return nil
}
