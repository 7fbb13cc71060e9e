package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"lightspeed/fleet"
)

// idle measures `up` with one listener: the binary's size, the time until everything serves, and what is
// resident after a few seconds of doing nothing.
func (b *bench) idle(ctx context.Context) error {
	info, err := os.Stat(b.bin)
	if err != nil {
		return err
	}
	var until []time.Duration
	var resident []int64
	for range b.rounds {
		d, memory, err := b.idleRound(ctx)
		if err != nil {
			return err
		}
		until, resident = append(until, d), append(resident, memory)
	}
	fmt.Printf("up, one listener: ready in %s (reach 200 ms), resident %s (reach 30 MB); binary %s (reach 20 MB)\n",
		ms(median(until)), mib(median(resident)), mib(info.Size()))
	return nil
}

func (b *bench) idleRound(ctx context.Context) (time.Duration, int64, error) {
	state, err := b.folder("up")
	if err != nil {
		return 0, 0, err
	}
	config, err := json.Marshal(queueing)
	if err != nil {
		return 0, 0, err
	}
	file := filepath.Join(state, "bench.json")
	if err := os.WriteFile(file, config, 0o600); err != nil {
		return 0, 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, ready)
	defer cancel()
	began := time.Now()
	up, err := fleet.Start(fleet.Command{Name: "up", Path: b.bin, Args: []string{"up", file,
		"--addr", "127.0.0.1:0", "--hooks-addr", "127.0.0.1:0", "--state", filepath.Join(state, "state")}})
	if err != nil {
		return 0, 0, err
	}
	defer up.Kill()
	for _, role := range []string{"admin ", "hooks ", "listen bench"} {
		if _, err := up.Ready(ctx, role); err != nil {
			return 0, 0, err
		}
	}
	took := time.Since(began)
	time.Sleep(3 * time.Second)
	memory, err := up.Memory()
	return took, memory, err
}
