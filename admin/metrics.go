package admin

import (
	"context"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"lightspeed/admin/store"
	"lightspeed/run"
)

// latencies are the buckets of how long things take, in seconds.
var latencies = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}

// metrics are admin's numbers.
type metrics struct {
	deliveries *prometheus.CounterVec
	accept     prometheus.Histogram
	runs       *prometheus.CounterVec
	claim      prometheus.Histogram
	leases     prometheus.Counter
	logBytes   prometheus.Counter
	notices    *prometheus.CounterVec
	serve      http.Handler
}

func newMetrics(registry *prometheus.Registry, s *Server) (*metrics, error) {
	counter := func(name, help string) prometheus.CounterOpts {
		return prometheus.CounterOpts{Namespace: "lightspeed", Subsystem: "admin", Name: name, Help: help}
	}
	histogram := func(name, help string, buckets []float64) prometheus.Histogram {
		return prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: "lightspeed", Subsystem: "admin", Name: name, Help: help, Buckets: buckets})
	}
	m := &metrics{
		deliveries: prometheus.NewCounterVec(counter("deliveries_total", "Deliveries by admin's answer: a receipt's status, or an error's code."), []string{"answer"}),
		accept:     histogram("accept_seconds", "How long it took to answer a delivery that was stored.", latencies),
		runs:       prometheus.NewCounterVec(counter("runs_total", "Runs by the state in which they ended."), []string{"status"}),
		claim:      histogram("claim_seconds", "How long runs waited from being queued to being handed to a listener.", append(latencies, 60, 600, 3600)),
		leases:     prometheus.NewCounter(counter("leases_lost_total", "Attempts that were given up since their listener was not heard of.")),
		logBytes:   prometheus.NewCounter(counter("log_bytes_total", "Bytes of output that were taken.")),
		notices:    prometheus.NewCounterVec(counter("notices_total", "How telling people of runs went, by its outcome."), []string{"status"}),
		serve:      promhttp.HandlerFor(registry, promhttp.HandlerOpts{}),
	}
	commits := prometheus.NewCounterFunc(counter("commits_total", "Commits of the database, each of them one fsync."), func() float64 { return float64(s.store.Commits()) })
	for _, c := range []prometheus.Collector{m.deliveries, m.accept, m.runs, m.claim, m.leases, m.logBytes, m.notices, commits, queues{s}} {
		if err := registry.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// ended counts the runs that a commit ended.
func (m *metrics) ended(changes []store.Change) {
	for _, c := range changes {
		if c.Status.Ended() {
			m.runs.WithLabelValues(string(c.Status)).Inc()
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
	m.deliveries.WithLabelValues(answer).Inc()
	if stored {
		m.accept.Observe(took.Seconds())
	}
}

// queues reads, at each scrape, what waits for each listener and whether one is there.
type queues struct{ s *Server }

var (
	queuedDesc    = prometheus.NewDesc("lightspeed_admin_queued_runs", "Runs that wait.", []string{"listener"}, nil)
	oldestDesc    = prometheus.NewDesc("lightspeed_admin_oldest_queued_seconds", "How long the next run in line has waited.", []string{"listener"}, nil)
	connectedDesc = prometheus.NewDesc("lightspeed_admin_listener_connected", "1 when an instance of the listener is there.", []string{"listener"}, nil)
)

// scrapeLimit bounds the queries of one scrape.
const scrapeLimit = 5 * time.Second

func (q queues) Describe(to chan<- *prometheus.Desc) {
	to <- queuedDesc
	to <- oldestDesc
	to <- connectedDesc
}

func (q queues) Collect(to chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeLimit)
	defer cancel()
	depths, err := q.s.store.Depths(ctx)
	if err != nil {
		to <- prometheus.NewInvalidMetric(queuedDesc, err)
		return
	}
	now := time.Now()
	for _, d := range depths {
		age, connected := 0.0, 0.0
		if d.Queued > 0 {
			age = max(0, now.Sub(d.Oldest).Seconds())
		}
		if q.s.leases.connected(d.Listener) {
			connected = 1
		}
		to <- prometheus.MustNewConstMetric(queuedDesc, prometheus.GaugeValue, float64(d.Queued), d.Listener)
		to <- prometheus.MustNewConstMetric(oldestDesc, prometheus.GaugeValue, age, d.Listener)
		to <- prometheus.MustNewConstMetric(connectedDesc, prometheus.GaugeValue, connected, d.Listener)
	}
}

func (s *Server) getMetrics(w http.ResponseWriter, r *http.Request) error {
	s.metrics.serve.ServeHTTP(w, r)
	return nil
}
