// Command chaos runs admin, two hooks and four listeners of two names as real processes, and with -rabbit a broker
// between them; it sends them signed deliveries, and kills, freezes or cuts off one of them every second. Then it lets all of them come back, waits until every
// run has ended, and checks the promises from the outside: by the API, by the files that the scripts wrote,
// and by /proc. It prints a table, and exits with 1 when a promise did not hold.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"time"
)

func main() {
	var o options
	flag.Uint64Var(&o.seed, "seed", uint64(time.Now().UnixNano()), "repeats the same choices")
	flag.DurationVar(&o.duration, "duration", time.Minute, "how long someone is hurt every second")
	flag.IntVar(&o.deliveries, "deliveries", 2000, "how many are sent meanwhile")
	flag.BoolVar(&o.rabbit, "rabbit", false, "with a RabbitMQ, which is killed and frozen, too")
	flag.StringVar(&o.root, "root", ".", "the module's folder")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	report, err := play(ctx, o, os.Stderr)
	if err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		os.Exit(1)
	}
	fmt.Print(report)
	if !report.Held() {
		os.Exit(1)
	}
}
