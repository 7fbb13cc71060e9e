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
	"sync"
	"sync/atomic"
	"time"
)

const (
	connections = 64
	roundTime   = 4 * time.Second
	pushCount   = 20_000 // made before the clock starts; more than a round can take
)

// accept measures durable accepts a second: hooks and admin as two processes, a match and a queued run each,
// beside webhook, which starts /bin/true and stores nothing.
func (b *bench) accept(ctx context.Context) error {
	var ours, peer, p99 []float64
	for range b.rounds {
		rate, slow, err := b.acceptRound(ctx)
		if err != nil {
			return err
		}
		other, err := b.webhookRound(ctx)
		if err != nil {
			return err
		}
		ours, peer, p99 = append(ours, rate), append(peer, other), append(p99, slow.Seconds())
		fmt.Printf("   lightspeed %.0f/s p99 %s   webhook %.0f/s\n", rate, ms(slow), other)
	}
	fsyncs, err := b.fsyncsPerAccept(ctx)
	if err != nil {
		return err
	}
	fmt.Printf("accepts/s: %.0f, webhook %.0f: %.2f x (reach 1.2 x); p99 %.0f ms (reach 150 ms); %.3f fsync an accept (reach 0.1)\n",
		median(ours), median(peer), median(ours)/median(peer), 1000*median(p99), fsyncs)
	return nil
}

// queueing is a listener's config whose runs are queued and never taken: it registers, and stops.
var queueing = map[string]any{"name": "bench", "repos": []string{"*/*"}, "exec": "true"}

func (b *bench) acceptRound(ctx context.Context, wrap ...string) (float64, time.Duration, error) {
	s, err := b.startSet(ctx, setup{config: queueing, wrap: wrap})
	if err != nil {
		return 0, 0, err
	}
	defer s.close()
	s.listener.Kill()
	return b.flood(ctx, s.hooksURL)
}

func (b *bench) webhookRound(ctx context.Context) (float64, error) {
	process, url, err := b.startWebhook(ctx, "/bin/true")
	if process != nil {
		defer process.Kill()
	}
	if err != nil {
		return 0, err
	}
	rate, _, err := b.flood(ctx, url)
	return rate, err
}

// flood posts over 64 connections for a round, and returns the rate and the 99th percentile.
func (b *bench) flood(ctx context.Context, url string) (float64, time.Duration, error) {
	parcels, err := b.pushes(pushCount)
	if err != nil {
		return 0, 0, err
	}
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: connections, MaxConnsPerHost: connections}}
	defer client.CloseIdleConnections()
	var next atomic.Int64
	var mu sync.Mutex
	var took []time.Duration
	var failed error
	var all sync.WaitGroup
	began := time.Now()
	for range connections {
		all.Go(func() {
			for time.Since(began) < roundTime && ctx.Err() == nil {
				i := next.Add(1) - 1
				if i >= pushCount {
					return
				}
				t := time.Now()
				err := post(ctx, client, url, parcels[i])
				mu.Lock()
				took = append(took, time.Since(t))
				if err != nil {
					failed = err
				}
				mu.Unlock()
			}
		})
	}
	all.Wait()
	return float64(len(took)) / time.Since(began).Seconds(), percentile(took, 99), failed
}

// fsyncsPerAccept counts admin's calls in a round of its own, under strace, which slows it down: fewer
// accepts share one fsync then, so this is the upper end.
func (b *bench) fsyncsPerAccept(ctx context.Context) (float64, error) {
	if _, err := exec.LookPath("strace"); err != nil {
		return 0, fmt.Errorf("%w\nhint: apt-get install strace", err)
	}
	counts := filepath.Join(b.dir, "strace.txt")
	rate, _, err := b.acceptRound(ctx, "strace", "-f", "--seccomp-bpf", "-e", "trace=fsync,fdatasync", "-o", counts)
	if err != nil {
		return 0, err
	}
	trace, err := os.ReadFile(counts)
	if err != nil {
		return 0, err
	}
	calls := 0
	for line := range strings.Lines(string(trace)) {
		if strings.Contains(line, "sync(") {
			calls++
		}
	}
	if calls == 0 {
		return 0, fmt.Errorf("strace saw no fsync in %s", strconv.Quote(counts))
	}
	return float64(calls) / (rate * roundTime.Seconds()), nil
}
