package listener

import (
	"context"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"lightspeed/api"
	"lightspeed/listener/journal"
	"lightspeed/run"
)

// cpu is the processor time of this process and of the children it has waited for.
func cpu() time.Duration {
	var sum time.Duration
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var r syscall.Rusage
		_ = syscall.Getrusage(who, &r)
		sum += time.Duration(r.Utime.Nano() + r.Stime.Nano())
	}
	return sum
}

// BenchmarkOneGigabyte prints 1 GB through a job into a capped log, and through `cat >/dev/null`, in turns.
// The limit is 1.4 times the other's time (DESIGN §8).
func BenchmarkOneGigabyte(b *testing.B) {
	for name, script := range map[string]string{
		"short lines": "yes 'a line as programs print it, neither long nor short' | head -c 1000000000",
		"one line":    "head -c 1000000000 /dev/zero",
	} {
		b.Run(name, func(b *testing.B) {
			var ours, cats time.Duration
			for b.Loop() {
				start := time.Now()
				if err := exec.Command("/bin/sh", "-c", "{ "+script+"; } | cat >/dev/null").Run(); err != nil {
					b.Fatal(err)
				}
				middle := time.Now()
				printAll(b, script)
				cats += middle.Sub(start)
				ours += time.Since(middle)
			}
			b.ReportMetric(float64(ours)/float64(cats), "×cat")
			b.ReportMetric(ours.Seconds()/float64(b.N), "s/GB")
		})
	}
}

func printAll(b *testing.B, script string) {
	j, err := journal.Open(b.TempDir(), slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	defer j.Close()
	c := conf(script)
	entry, err := j.Begin(api.Claim{Run: run.Run{ID: "r"}, Attempt: 1}, nil, c.MaxLog)
	if err != nil {
		b.Fatal(err)
	}
	o := job{config: c, facts: facts{run: "r", attempt: 1}, out: entry.Log, log: slog.New(slog.DiscardHandler)}.run(context.Background())
	if o.Status != run.Passed {
		b.Fatal(o)
	}
}

// BenchmarkTrue is what a run of `true` costs beside starting it: at most 3 ms of processor time.
func BenchmarkTrue(b *testing.B) {
	c := conf()
	c.Exec = append(c.Exec, conf("true").Exec...)
	c.Exec[0].Run, c.Exec[0].Argv = "", []string{"/bin/true"}
	b.Run("job", func(b *testing.B) {
		start := cpu()
		for b.Loop() {
			job{config: c, facts: facts{run: "r", attempt: 1}, out: io.Discard, log: slog.New(slog.DiscardHandler)}.run(context.Background())
		}
		b.ReportMetric(float64((cpu()-start).Microseconds())/float64(b.N), "cpu-µs/op")
	})
	b.Run("fork+exec", func(b *testing.B) {
		start := cpu()
		for b.Loop() {
			p, err := os.StartProcess("/bin/true", []string{"true"}, &os.ProcAttr{})
			if err != nil {
				b.Fatal(err)
			}
			_, _ = p.Wait()
		}
		b.ReportMetric(float64((cpu()-start).Microseconds())/float64(b.N), "cpu-µs/op")
	})
}
