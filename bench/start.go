package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// startCount is how many starts are timed of each kind.
const startCount = 60

// start measures from the POST to the first instruction of the script's process, on an idle machine. The limit
// is the same program started by a plain fork and exec, and one fsync of a page.
func (b *bench) start(ctx context.Context) error {
	stamp := filepath.Join(b.dir, "stamp")
	config := map[string]any{"name": "bench", "repos": []string{"*/*"}, "exec": [][]string{stampCommand(stamp)}}
	s, err := b.startSet(ctx, config)
	if err != nil {
		return err
	}
	defer s.close()
	argv := stampCommand(stamp)
	process, url, err := b.startWebhook(ctx, argv[0], argv[1:]...)
	if process != nil {
		defer process.Kill()
	}
	if err != nil {
		return err
	}
	parcels, err := b.pushes(2 * (startCount + 5))
	if err != nil {
		return err
	}
	var limit, ours, peer []time.Duration
	for i := range startCount + 5 {
		l, err := b.plainStart(stamp)
		if err != nil {
			return err
		}
		o, err := stamped(ctx, stamp, func(ctx context.Context) error { return post(ctx, http.DefaultClient, s.hooksURL, parcels[2*i]) })
		if err != nil {
			return err
		}
		w, err := stamped(ctx, stamp, func(ctx context.Context) error { return post(ctx, http.DefaultClient, url, parcels[2*i+1]) })
		if err != nil {
			return err
		}
		if i >= 5 { // the first ones warm up
			limit, ours, peer = append(limit, l), append(ours, o), append(peer, w)
		}
	}
	fmt.Printf("POST → first instruction: %s (p90 %s), fork+exec+fsync %s: %.2f x (reach 2 x); webhook, which stores nothing: %s\n",
		ms(median(ours)), ms(percentile(ours, 90)), ms(median(limit)), float64(median(ours))/float64(median(limit)), ms(median(peer)))
	return nil
}

// stampCommand writes the time of its own start, in microseconds, with no further process.
func stampCommand(file string) []string {
	return []string{"/bin/bash", "-c", `printf '%s\n' "$EPOCHREALTIME" > "$0.new" && exec mv "$0.new" "$0"`, file}
}

// plainStart times fork, exec and one fsync.
func (b *bench) plainStart(stamp string) (time.Duration, error) {
	file, err := os.Create(filepath.Join(b.dir, "fsync"))
	if err != nil {
		return 0, err
	}
	defer file.Close()
	return stamped(context.Background(), stamp, func(context.Context) error {
		if _, err := file.Write(make([]byte, 4096)); err != nil {
			return err
		}
		if err := file.Sync(); err != nil {
			return err
		}
		argv := stampCommand(stamp)
		return exec.Command(argv[0], argv[1:]...).Run()
	})
}

// stamped runs do and waits for the time that the program then writes; the idle pause before it lets the run
// before it be reported.
func stamped(ctx context.Context, stamp string, do func(context.Context) error) (time.Duration, error) {
	_ = os.Remove(stamp)
	time.Sleep(60 * time.Millisecond)
	began := time.Now()
	if err := do(ctx); err != nil {
		return 0, err
	}
	for time.Since(began) < ready {
		text, err := os.ReadFile(stamp)
		if err != nil {
			time.Sleep(time.Millisecond)
			continue
		}
		micros, err := strconv.ParseInt(strings.NewReplacer(".", "", ",", "", "\n", "").Replace(string(text)), 10, 64)
		return time.UnixMicro(micros).Sub(began), err
	}
	return 0, fmt.Errorf("the program did not start within %s", ready)
}
