// Command bench measures the numbers that docs/performance.md reports, each beside its limit or its peer, the
// two interleaved in one run, as medians. Everything is on loopback and bounded. Rows: accept, start, rabbit,
// cpu, output, idle, watch. The rows about matching, about large databases and about large logs are Go benchmarks of match,
// admin/store and admin/web, which `make bench` runs beside this.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"lightspeed/fleet"
)

// bench is what every row needs.
type bench struct {
	root   string
	dir    string // on the disk that is measured
	bin    string
	rounds int
}

var rows = map[string]func(*bench, context.Context) error{
	"accept": (*bench).accept,
	"start":  (*bench).start,
	"rabbit": (*bench).rabbit,
	"output": (*bench).output,
	"idle":   (*bench).idle,
	"cpu":    (*bench).cpu,
	"watch":  (*bench).watch,
}

func main() {
	b := &bench{}
	flag.StringVar(&b.root, "root", ".", "the module's folder")
	flag.IntVar(&b.rounds, "rounds", 5, "rounds of each row; the median counts")
	only := flag.String("only", "idle,start,rabbit,cpu,accept,output,watch", "rows to measure")
	url := flag.String("read", "", "a stream to read, instead of measuring; of the row watch")
	count := flag.Int("readers", 0, "how often it is read at once")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	var err error
	if *url != "" {
		err = readers(ctx, *url, *count)
	} else {
		err = b.run(ctx, strings.Split(*only, ","))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func (b *bench) run(ctx context.Context, names []string) (err error) {
	if b.root, err = filepath.Abs(b.root); err != nil { // programs start in other folders
		return err
	}
	if b.dir, err = os.MkdirTemp(b.root, ".bench-"); err != nil {
		return err
	}
	defer os.RemoveAll(b.dir)
	if b.bin, err = fleet.Build(ctx, b.root, b.dir); err != nil {
		return err
	}
	for _, name := range names {
		row, ok := rows[name]
		if !ok {
			return fmt.Errorf("no row %q", name)
		}
		fmt.Printf("== %s\n", name)
		if err := row(b, ctx); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// folder makes a new state folder.
func (b *bench) folder(name string) (string, error) { return os.MkdirTemp(b.dir, name+"-") }

func median[T ~int64 | ~float64](values []T) T { return percentile(values, 50) }

func percentile[T ~int64 | ~float64](values []T, p int) T {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[min(len(sorted)*p/100, len(sorted)-1)]
}

func ms(d time.Duration) string { return fmt.Sprintf("%.2f ms", float64(d)/float64(time.Millisecond)) }

func mib(bytes int64) string { return fmt.Sprintf("%.1f MB", float64(bytes)/1e6) }

// ready bounds how long a process may take to serve.
const ready = 20 * time.Second
