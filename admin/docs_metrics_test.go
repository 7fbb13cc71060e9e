package admin

import (
	"os"
	"strings"
	"testing"
)

// TestDocsNameEveryMetric: what admin serves is in docs/metrics.md.
func TestDocsNameEveryMetric(t *testing.T) {
	page, err := os.ReadFile("../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	f := start(t)
	f.listener("web")
	_, text := f.call("GET", "/metrics", "")
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) > 2 && fields[1] == "HELP" && !strings.Contains(string(page), "`"+fields[2]) {
			t.Errorf("docs/metrics.md does not name %s", fields[2])
		}
	}
}
