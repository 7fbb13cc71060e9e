// Package metric counts what a process does, and tells it to Prometheus in its text format, version 0.0.4
// (https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format).
//
// A metric is made once, by a Set, with the names of its labels; whoever counts gives their values in the same order. A wrong
// number of them, and a name that is taken, are mistakes of the program, and panic. All of it may be used by many goroutines.
package metric

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
)

// Set holds metrics in the order in which they were made. Its zero value is empty. As an http.Handler it answers with
// their text, or with 500 and why they cannot be told.
type Set struct {
	mu       sync.Mutex
	names    []string
	collects []func(context.Context, *Scrape) error
}

// Collect has write called at every scrape, for what is not counted but looked up. An error fails the scrape.
func (s *Set) Collect(write func(context.Context, *Scrape) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.collects = append(s.collects, write)
}

// Gauge has read called at every scrape for a number that goes up and down.
func (s *Set) Gauge(name, help string, read func() float64) { s.add(Gauge, name, help, read) }

// CounterFunc has read called at every scrape for a number that only grows, and is counted elsewhere.
func (s *Set) CounterFunc(name, help string, read func() float64) { s.add(Total, name, help, read) }

func (s *Set) add(kind Kind, name, help string, read func() float64) {
	s.take(name)
	s.Collect(func(_ context.Context, to *Scrape) error {
		to.Family(kind, name, help)
		to.Sample(name, read())
		return nil
	})
}

func (s *Set) take(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if slices.Contains(s.names, name) {
		panic(fmt.Sprintf("metric %s is made twice", name))
	}
	s.names = append(s.names, name)
}

// Text is what every metric says now. ctx bounds what has to be looked up.
func (s *Set) Text(ctx context.Context) ([]byte, error) {
	s.mu.Lock()
	collects := slices.Clone(s.collects)
	s.mu.Unlock()
	to := &Scrape{}
	for _, write := range collects {
		if err := write(ctx, to); err != nil {
			return nil, err
		}
	}
	return to.text, nil
}

// ContentType is that of a Set's Text.
const ContentType = "text/plain; version=0.0.4; charset=utf-8"

func (s *Set) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	text, err := s.Text(r.Context())
	if err != nil {
		http.Error(w, "metrics cannot be told: "+err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", ContentType)
	_, _ = w.Write(text) // whoever asked is gone
}
