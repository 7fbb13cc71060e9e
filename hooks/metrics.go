package hooks

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the numbers of hooks.
type metrics struct {
	deliveries *prometheus.CounterVec
	took       prometheus.Histogram
}

func newMetrics(registry prometheus.Registerer, s *Server) (*metrics, error) {
	m := &metrics{
		deliveries: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "lightspeed_hooks_deliveries_total",
			Help: "Deliveries by the answer: a receipt's status, or an error's code."}, []string{"answer"}),
		took: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "lightspeed_hooks_receive_seconds",
			Help: "How long it took to answer a delivery with 2xx.", Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}}),
	}
	gauge := func(name, help string, value func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value)
	}
	for _, c := range []prometheus.Collector{m.deliveries, m.took,
		gauge("lightspeed_hooks_spool_deliveries", "Deliveries that wait in the spool for admin.", func() float64 { return float64(s.spool.Stats().Deliveries) }),
		gauge("lightspeed_hooks_spool_bytes", "Bytes that they take on disk.", func() float64 { return float64(s.spool.Stats().Bytes) }),
		gauge("lightspeed_hooks_spool_oldest_seconds", "How long the oldest of them has waited.", s.oldest),
		gauge("lightspeed_hooks_spool_refused", "Deliveries that admin refused, kept aside.", func() float64 { return float64(s.spool.Stats().Refused) }),
		gauge("lightspeed_hooks_spool_damaged", "Files that could not be read, kept aside.", func() float64 { return float64(s.spool.Stats().Damaged) }),
	} {
		if err := registry.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// oldest is the age of the oldest delivery that waits, in seconds.
func (s *Server) oldest() float64 {
	since := s.spool.Stats().Oldest
	if since.IsZero() {
		return 0
	}
	return max(0, time.Since(since).Seconds())
}
