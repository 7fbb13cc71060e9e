package metric

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"sync"
)

// Histogram counts values by how large they are, for each set of label values that it was given.
type Histogram struct {
	name, help     string
	bounds         []float64
	labels, bucket []string // names of labels; each bound's own label, +Inf's last
	mu             sync.Mutex
	series         map[string]*series // by the labels' text
}

type series struct {
	counts []uint64 // of the values up to each bound and above the one before it, and of those above all
	sum    float64
}

// Histogram makes one with upper bounds of its buckets, which ascend; values above the last are counted, too. Without labels
// it is there from the beginning.
func (s *Set) Histogram(name, help string, bounds []float64, labels ...string) *Histogram {
	s.take(name)
	h := &Histogram{name: name, help: help, bounds: slices.Clone(bounds), labels: labels, series: map[string]*series{}}
	for _, bound := range bounds {
		h.bucket = append(h.bucket, labelled([]string{"le"}, []string{strconv.FormatFloat(bound, 'g', -1, 64)}))
	}
	h.bucket = append(h.bucket, `le="+Inf"`)
	if len(labels) == 0 {
		h.of("")
	}
	s.Collect(h.collect)
	return h
}

// Observe counts a value.
func (h *Histogram) Observe(value float64, values ...string) {
	labels := labelled(h.labels, values)
	i, _ := slices.BinarySearch(h.bounds, value) // a bucket holds its bound
	h.mu.Lock()
	defer h.mu.Unlock()
	one := h.of(labels)
	one.counts[i]++
	one.sum += value
}

func (h *Histogram) of(labels string) *series {
	one := h.series[labels]
	if one == nil {
		one = &series{counts: make([]uint64, len(h.bucket))}
		h.series[labels] = one
	}
	return one
}

func (h *Histogram) collect(_ context.Context, to *Scrape) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.series) == 0 {
		return nil
	}
	to.Family(Buckets, h.name, h.help)
	for _, labels := range slices.Sorted(maps.Keys(h.series)) {
		one, upTo := h.series[labels], uint64(0)
		for i, bucket := range h.bucket {
			upTo += one.counts[i]
			to.sample(h.name+"_bucket", braced(labels, bucket), float64(upTo))
		}
		to.sample(h.name+"_sum", braced(labels), one.sum)
		to.sample(h.name+"_count", braced(labels), float64(upTo))
	}
	return nil
}
