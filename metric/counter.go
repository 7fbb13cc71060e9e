package metric

import (
	"context"
	"maps"
	"slices"
	"sync"
)

// Counter is a number that only grows, for each set of label values that it was given.
type Counter struct {
	name, help string
	labels     []string
	mu         sync.Mutex
	values     map[string]float64 // by the labels' text
}

// Counter makes one. Without labels it is there from the beginning, as 0.
func (s *Set) Counter(name, help string, labels ...string) *Counter {
	s.take(name)
	c := &Counter{name: name, help: help, labels: labels, values: map[string]float64{}}
	if len(labels) == 0 {
		c.values[""] = 0
	}
	s.Collect(c.collect)
	return c
}

// Inc adds 1.
func (c *Counter) Inc(values ...string) { c.Add(1, values...) }

// Add adds n, which is not negative.
func (c *Counter) Add(n int, values ...string) {
	labels := labelled(c.labels, values)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.values[labels] += float64(n)
}

func (c *Counter) collect(_ context.Context, to *Scrape) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.values) == 0 {
		return nil
	}
	to.Family(Total, c.name, c.help)
	for _, labels := range slices.Sorted(maps.Keys(c.values)) {
		to.sample(c.name, braced(labels), c.values[labels])
	}
	return nil
}
