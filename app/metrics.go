package app

import (
	"context"
	"net/http"
	"runtime"

	"lightspeed/api"
	"lightspeed/metric"
)

// newMetrics makes a process's metrics, with what every process tells.
func newMetrics() *metric.Set {
	set := &metric.Set{}
	set.Collect(func(_ context.Context, to *metric.Scrape) error {
		to.Family(metric.Gauge, "lightspeed_build_info", "1, with the version as labels.")
		to.Sample("lightspeed_build_info", 1, "go", runtime.Version(), "version", api.Version)
		return nil
	})
	set.Collect(metric.Go)
	set.Collect(metric.Process)
	return set
}

// serveMetrics serves GET /metrics on an address of its own, for whoever reaches it. Without an address it does nothing.
func serveMetrics(life *lifecycle, v *voice, addr string) error {
	if addr == "" {
		return nil
	}
	socket, err := life.openSocket("metrics", "metrics-addr", addr, nil)
	if err != nil {
		return err
	}
	socket.listener = limitConnections(socket.listener, maxMetricsConnections, life.log)
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", life.metrics)
	mux.HandleFunc("GET /healthz", func(http.ResponseWriter, *http.Request) {}) // for the service manager's watchdog
	life.serve(socket, &http.Server{Handler: mux, WriteTimeout: bodyLimit + writeLimit})
	v.ready("metrics", socket.url())
	return nil
}

// maxMetricsConnections bounds those who read metrics at once.
const maxMetricsConnections = 16
