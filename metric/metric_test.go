package metric

import (
	"bytes"
	"context"
	"errors"
	"net/http/httptest"
	"os/exec"
	"strings"
	"sync"
	"testing"
)

func text(t *testing.T, s *Set) string {
	t.Helper()
	told, err := s.Text(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return string(told)
}

// TestText compares the whole text: names, help, types, order, buckets and values.
func TestText(t *testing.T) {
	s := &Set{}
	runs := s.Counter("runs_total", "Runs\nby \\status.", "listener", "status")
	s.Counter("lost_total", "Lost.").Add(2_000_000)
	took := s.Histogram("took_seconds", "Took.", []float64{.5, 1})
	start := s.Histogram("start_seconds", "Start.", []float64{.25}, "listener")
	s.Histogram("idle_seconds", "Of a label that nobody gave.", []float64{1}, "listener")
	s.Gauge("waiting", "Waiting.", func() float64 { return 1.5 })
	s.CounterFunc("commits_total", "Commits.", func() float64 { return 3 })
	runs.Inc("b", "passed")
	runs.Inc("a\"\\\n\xff", "failed")
	runs.Add(2, "b", "passed")
	for _, seconds := range []float64{.5, .75, 1, 1.25} {
		took.Observe(seconds)
	}
	start.Observe(.25, "web")
	const want = `# HELP runs_total Runs\nby \\status.
# TYPE runs_total counter
runs_total{listener="a\"\\\n` + "\uFFFD" + `",status="failed"} 1
runs_total{listener="b",status="passed"} 3
# HELP lost_total Lost.
# TYPE lost_total counter
lost_total 2e+06
# HELP took_seconds Took.
# TYPE took_seconds histogram
took_seconds_bucket{le="0.5"} 1
took_seconds_bucket{le="1"} 3
took_seconds_bucket{le="+Inf"} 4
took_seconds_sum 3.5
took_seconds_count 4
# HELP start_seconds Start.
# TYPE start_seconds histogram
start_seconds_bucket{listener="web",le="0.25"} 1
start_seconds_bucket{listener="web",le="+Inf"} 1
start_seconds_sum{listener="web"} 0.25
start_seconds_count{listener="web"} 1
# HELP waiting Waiting.
# TYPE waiting gauge
waiting 1.5
# HELP commits_total Commits.
# TYPE commits_total counter
commits_total 3
`
	if got := text(t, s); got != want {
		t.Errorf("the text is\n%s\nwant\n%s", got, want)
	}
}

// TestPrometheusReadsIt has promtool, of Debian's package prometheus, read what a process tells, with labels of any text.
func TestPrometheusReadsIt(t *testing.T) {
	s := &Set{}
	s.Collect(Go)
	s.Collect(Process)
	s.Counter("runs_total", "Runs\nby \\status.", "listener").Inc("a\"\\\n\xff")
	s.Histogram("took_seconds", "Took.", []float64{.5, 1}, "listener").Observe(.5, "a{b}, c=\"d\"")
	s.Collect(func(_ context.Context, to *Scrape) error {
		to.Family(Gauge, "queued_runs", "Queued.")
		to.Sample("queued_runs", 1, "listener", "größer # \"x\"")
		return nil
	})
	check := exec.CommandContext(t.Context(), "promtool", "check", "metrics")
	told := text(t, s)
	check.Stdin = strings.NewReader(told)
	if out, err := check.CombinedOutput(); err != nil || len(bytes.TrimSpace(out)) > 0 {
		t.Errorf("promtool: %v (`make tools` installs it)\n%s\n%s", err, out, told)
	}
	for _, name := range []string{"\ngo_goroutines ", "\nprocess_cpu_seconds_total ", "\nprocess_open_fds ", "\nprocess_max_fds ", "\nprocess_start_time_seconds "} {
		if !strings.Contains(told, name) {
			t.Errorf("%q is missing in\n%s", name, told)
		}
	}
}

func TestScrapeThatFails(t *testing.T) {
	s := &Set{}
	s.Counter("runs_total", "Runs.")
	answer := httptest.NewRecorder()
	s.ServeHTTP(answer, httptest.NewRequest("GET", "/metrics", nil))
	if answer.Code != 200 || answer.Header().Get("Content-Type") != ContentType || !strings.HasSuffix(answer.Body.String(), "\nruns_total 0\n") {
		t.Errorf("answered %d %v: %s", answer.Code, answer.Header(), answer.Body)
	}
	s.Collect(func(context.Context, *Scrape) error { return errors.New("the disk is gone") })
	answer = httptest.NewRecorder()
	s.ServeHTTP(answer, httptest.NewRequest("GET", "/metrics", nil))
	if answer.Code != 500 || answer.Body.String() != "metrics cannot be told: the disk is gone\n" {
		t.Errorf("answered %d: %s", answer.Code, answer.Body)
	}
}

func TestMistakesOfTheProgram(t *testing.T) {
	s := &Set{}
	c := s.Counter("runs_total", "Runs.", "status")
	for name, mistake := range map[string]func(){
		"metric runs_total is made twice":                 func() { s.Gauge("runs_total", "", nil) },
		`labels ["status"] have the values []`:            func() { c.Inc() },
		`labels ["status"] have the values ["one" "two"]`: func() { c.Inc("one", "two") },
	} {
		func() {
			defer func() {
				if got := recover(); got != name {
					t.Errorf("panics with %v, want %s", got, name)
				}
			}()
			mistake()
		}()
	}
}

func TestManyCountAtOnce(t *testing.T) {
	s := &Set{}
	c, h := s.Counter("runs_total", "Runs.", "status"), s.Histogram("took_seconds", "Took.", []float64{1}, "status")
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 100 {
				c.Inc("passed")
				h.Observe(1, "passed")
				_, _ = s.Text(t.Context())
			}
		})
	}
	all.Wait()
	told := text(t, s)
	for _, want := range []string{`runs_total{status="passed"} 800`, `took_seconds_bucket{status="passed",le="1"} 800`, `took_seconds_sum{status="passed"} 800`} {
		if !strings.Contains(told, want+"\n") {
			t.Errorf("%s is missing in\n%s", want, told)
		}
	}
}
