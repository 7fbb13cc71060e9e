package metric

import (
	"fmt"
	"strconv"
	"strings"
)

// Kind is a metric's type, as Prometheus calls it.
type Kind string

// The kinds of metrics.
const (
	Total   Kind = "counter"
	Gauge   Kind = "gauge"
	Buckets Kind = "histogram"
	Summary Kind = "summary"
)

// Scrape is the text of one answer to Prometheus.
type Scrape struct{ text []byte }

// Family begins a metric. Its samples, and no others, follow.
func (s *Scrape) Family(kind Kind, name, help string) {
	s.text = fmt.Appendf(s.text, "# HELP %s %s\n# TYPE %s %s\n", name, helpText.Replace(help), name, kind)
}

// Sample writes a value. Labels are pairs of a name and a value; a value may be any text.
func (s *Scrape) Sample(name string, value float64, labels ...string) {
	names, values := make([]string, 0, len(labels)/2), make([]string, 0, len(labels)/2)
	for i := 0; i+1 < len(labels); i += 2 {
		names, values = append(names, labels[i]), append(values, labels[i+1])
	}
	s.sample(name, braced(labelled(names, values)), value)
}

func (s *Scrape) sample(name, labels string, value float64) {
	s.text = append(append(s.text, name...), labels...)
	s.text = append(s.text, ' ')
	s.text = append(strconv.AppendFloat(s.text, value, 'g', -1, 64), '\n')
}

var (
	helpText  = strings.NewReplacer(`\`, `\\`, "\n", `\n`)
	labelText = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)
)

// labelled is labels as they stand between braces. Prometheus takes nothing at all from a text that is not UTF-8.
func labelled(names, values []string) string {
	if len(names) != len(values) {
		panic(fmt.Sprintf("labels %q have the values %q", names, values))
	}
	parts := make([]string, len(names))
	for i, name := range names {
		parts[i] = name + `="` + labelText.Replace(strings.ToValidUTF8(values[i], "\uFFFD")) + `"`
	}
	return strings.Join(parts, ",")
}

// braced puts labels in their braces, without those that are empty.
func braced(labels ...string) string {
	var some []string
	for _, l := range labels {
		if l != "" {
			some = append(some, l)
		}
	}
	if some == nil {
		return ""
	}
	return "{" + strings.Join(some, ",") + "}"
}
