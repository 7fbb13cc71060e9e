package listener

import (
	"time"

	"lightspeed/metric"
)

// Metrics are the numbers of all listeners in a process.
type Metrics struct {
	start      *metric.Histogram
	runs       *metric.Counter
	reconnects *metric.Counter
}

// NewMetrics makes them, once in a set.
func NewMetrics(set *metric.Set) *Metrics {
	return &Metrics{
		start: set.Histogram("lightspeed_listener_start_seconds", "How long it took from having claimed a run to its first process.",
			[]float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 60}, "listener"),
		runs:       set.Counter("lightspeed_listener_attempts_total", "Attempts by the state in which they ended here.", "listener", "status"),
		reconnects: set.Counter("lightspeed_listener_reconnects_total", "How often admin was away and came back."),
	}
}

func (m *Metrics) started(listener string, claimed time.Time) {
	if m != nil {
		m.start.Observe(time.Since(claimed).Seconds(), listener)
	}
}

func (m *Metrics) ended(listener string, o Outcome) {
	if m != nil {
		m.runs.Inc(listener, string(o.Status))
	}
}

func (m *Metrics) reconnected() {
	if m != nil {
		m.reconnects.Inc()
	}
}
