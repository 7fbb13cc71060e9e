package hooks

import (
	"time"

	"lightspeed/hooks/spool"
	"lightspeed/metric"
)

// metrics are the numbers of hooks.
type metrics struct {
	deliveries *metric.Counter
	took       *metric.Histogram
}

func newMetrics(set *metric.Set, s *Server) *metrics {
	gauge := func(name, help string, value func(spool.Stats) float64) {
		set.Gauge(name, help, func() float64 { return value(s.spool.Stats()) })
	}
	gauge("lightspeed_hooks_spool_deliveries", "Deliveries that wait in the spool for admin.", func(w spool.Stats) float64 { return float64(w.Deliveries) })
	gauge("lightspeed_hooks_spool_bytes", "Bytes that they take on disk.", func(w spool.Stats) float64 { return float64(w.Bytes) })
	gauge("lightspeed_hooks_spool_oldest_seconds", "How long the oldest of them has waited.", oldest)
	gauge("lightspeed_hooks_spool_refused", "Deliveries that admin refused, kept aside.", func(w spool.Stats) float64 { return float64(w.Refused) })
	gauge("lightspeed_hooks_spool_damaged", "Files that could not be read, kept aside.", func(w spool.Stats) float64 { return float64(w.Damaged) })
	return &metrics{
		deliveries: set.Counter("lightspeed_hooks_deliveries_total", "Deliveries by the answer: a receipt's status, or an error's code.", "answer"),
		took: set.Histogram("lightspeed_hooks_receive_seconds", "How long it took to answer a delivery with 2xx.",
			[]float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}),
	}
}

// oldest is the age of the oldest delivery that waits, in seconds.
func oldest(w spool.Stats) float64 {
	if w.Oldest.IsZero() {
		return 0
	}
	return max(0, time.Since(w.Oldest).Seconds())
}
