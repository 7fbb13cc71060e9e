package app

import (
	"net/http"
	"runtime"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"lightspeed/api"
)

// newRegistry makes a process's registry, with what every process tells.
func newRegistry() *prometheus.Registry {
	registry := prometheus.NewRegistry()
	build := prometheus.NewGauge(prometheus.GaugeOpts{Name: "lightspeed_build_info", Help: "1, with the version as labels.",
		ConstLabels: prometheus.Labels{"version": api.Version, "go": runtime.Version()}})
	build.Set(1)
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), build)
	return registry
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
	socket.listener = limitConnections(socket.listener, maxMetricsConnections)
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(life.registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(http.ResponseWriter, *http.Request) {}) // for the service manager's watchdog
	life.serve(socket, &http.Server{Handler: mux, WriteTimeout: bodyLimit + writeLimit})
	v.ready("metrics", socket.url())
	return nil
}

// maxMetricsConnections bounds those who read metrics at once.
const maxMetricsConnections = 16
