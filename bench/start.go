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

	"lightspeed/broker/rabbit/rabbittest"
)

// startCount is how many starts are timed of each kind.
const startCount = 60

// warmUp is how many starts before them are not counted.
const warmUp = 5

// start measures from the POST to the first instruction of the script's process, on an idle machine. The limit
// is the same program started by a plain fork and exec, and one fsync of a page.
func (b *bench) start(ctx context.Context) error {
	argv := stampCommand(b.stamp())
	process, url, err := b.startWebhook(ctx, argv[0], argv[1:]...)
	if process != nil {
		defer process.Kill()
	}
	if err != nil {
		return err
	}
	times, err := b.startTimes(ctx, "", url)
	if err != nil {
		return err
	}
	fmt.Printf("POST → first instruction: %s (reach 2 x); webhook, which stores nothing: %s\n", beside(times[1], times[0]), ms(median(times[2])))
	return nil
}

// rabbit measures the same where the listener is told of the work by a RabbitMQ.
func (b *bench) rabbit(ctx context.Context) error {
	node, err := rabbittest.New()
	if err != nil {
		return err
	}
	defer node.Close()
	times, err := b.startTimes(ctx, node.URL("guest", "guest", "/"))
	if err != nil {
		return err
	}
	fmt.Printf("POST → first instruction, with RabbitMQ: %s (reach 3 x)\n", beside(times[1], times[0]))
	return nil
}

func beside(ours, limit []time.Duration) string {
	return fmt.Sprintf("%s (p90 %s), fork+exec+fsync %s: %.2f x",
		ms(median(ours)), ms(percentile(ours, 90)), ms(median(limit)), float64(median(ours))/float64(median(limit)))
}

// startTimes times the limit, a set of ours with this broker, and peers at these URLs, in turn. The set's listener
// must be told of all work as it should be: by the broker, or by a claim that waits.
func (b *bench) startTimes(ctx context.Context, rabbit string, peers ...string) ([][]time.Duration, error) {
	config := map[string]any{"name": "bench", "repos": []string{"*/*"}, "exec": [][]string{stampCommand(b.stamp())}}
	s, err := b.startSet(ctx, setup{config: config, rabbit: rabbit})
	if err != nil {
		return nil, err
	}
	defer s.close()
	ways := []func(context.Context) error{b.plainStart}
	for _, url := range append([]string{s.hooksURL}, peers...) {
		way, err := b.posts(url)
		if err != nil {
			return nil, err
		}
		ways = append(ways, way)
	}
	times := make([][]time.Duration, len(ways))
	for i := range startCount + warmUp {
		for j, way := range ways {
			took, err := stamped(ctx, b.stamp(), way)
			if err != nil {
				return nil, err
			}
			if i >= warmUp {
				times[j] = append(times[j], took)
			}
		}
	}
	return times, s.toldBy(ctx, rabbit)
}

// toldBy checks how the listener is told of work, with this broker or none.
func (s *set) toldBy(ctx context.Context, rabbit string) error {
	want := "claim"
	if rabbit != "" {
		want = "rabbitmq"
	}
	l, err := s.api.Listener(ctx, "bench")
	if err == nil && (len(l.Instances) != 1 || l.Instances[0].Via != want) {
		err = fmt.Errorf("the listener is not told of work by %s: %+v\n%s", want, l.Instances, s.listener.Log())
	}
	return err
}

// posts sends one push after the other.
func (b *bench) posts(url string) (func(context.Context) error, error) {
	parcels, err := b.pushes(startCount + warmUp)
	return func(ctx context.Context) error {
		next := parcels[0]
		parcels = parcels[1:]
		return post(ctx, http.DefaultClient, url, next)
	}, err
}

// stamp is the file that a started program writes.
func (b *bench) stamp() string { return filepath.Join(b.dir, "stamp") }

// stampCommand writes the time of its own start, in microseconds, with no further process.
func stampCommand(file string) []string {
	return []string{"/bin/bash", "-c", `printf '%s\n' "$EPOCHREALTIME" > "$0.new" && exec mv "$0.new" "$0"`, file}
}

// plainStart is an fsync, a fork and an exec.
func (b *bench) plainStart(context.Context) error {
	file, err := os.Create(filepath.Join(b.dir, "fsync"))
	if err != nil {
		return err
	}
	defer file.Close()
	if _, err := file.Write(make([]byte, 4096)); err != nil {
		return err
	}
	if err := file.Sync(); err != nil {
		return err
	}
	argv := stampCommand(b.stamp())
	return exec.Command(argv[0], argv[1:]...).Run()
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
