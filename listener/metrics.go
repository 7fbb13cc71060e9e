package listener

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics are the numbers of all listeners in a process.
type Metrics struct {
	start      *prometheus.HistogramVec
	runs       *prometheus.CounterVec
	reconnects prometheus.Counter
}

// NewMetrics registers them.
func NewMetrics(registry prometheus.Registerer) (*Metrics, error) {
	m := &Metrics{
		start: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "lightspeed_listener_start_seconds",
			Help: "How long it took from having claimed a run to its first process.", Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 60}}, []string{"listener"}),
		runs: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "lightspeed_listener_attempts_total",
			Help: "Attempts by the state in which they ended here."}, []string{"listener", "status"}),
		reconnects: prometheus.NewCounter(prometheus.CounterOpts{Name: "lightspeed_listener_reconnects_total",
			Help: "How often admin was away and came back."}),
	}
	for _, c := range []prometheus.Collector{m.start, m.runs, m.reconnects} {
		if err := registry.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (m *Metrics) started(listener string, claimed time.Time) {
	if m != nil {
		m.start.WithLabelValues(listener).Observe(time.Since(claimed).Seconds())
	}
}

func (m *Metrics) ended(listener string, o Outcome) {
	if m != nil {
		m.runs.WithLabelValues(listener, string(o.Status)).Inc()
	}
}

func (m *Metrics) reconnected() {
	if m != nil {
		m.reconnects.Inc()
	}
}
