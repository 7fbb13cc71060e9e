package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"lightspeed/api"
	"lightspeed/run"
)

// outputScript prints 1 GB in short lines, and notes how long that took, by its own clock.
const outputScript = `#!/bin/bash
began=$EPOCHREALTIME
yes 'the quick brown fox jumps over the lazy dog, and the log goes on' | head -c 1000000000
echo "$began $EPOCHREALTIME" > "$0.took"
`

// output measures a script that prints 1 GB, with the log capped and whole, beside the same script into cat.
func (b *bench) output(ctx context.Context) error {
	script := filepath.Join(b.dir, "print.sh")
	if err := os.WriteFile(script, []byte(outputScript), 0o700); err != nil {
		return err
	}
	want, err := outputSum()
	if err != nil {
		return err
	}
	var capped, plain, whole []time.Duration
	var peak int64
	for range b.rounds {
		took, err := plainOutput(script)
		if err != nil {
			return err
		}
		plain = append(plain, took)
		took, memory, err := b.outputRun(ctx, script, "64MiB", nil)
		if err != nil {
			return err
		}
		capped, peak = append(capped, took), max(peak, memory)
	}
	took, memory, err := b.outputRun(ctx, script, "2GiB", want)
	if err != nil {
		return err
	}
	whole, peak = append(whole, took), max(peak, memory)
	fmt.Printf("1 GB of output, capped: %s, script | cat: %s: %.2f x (reach 1.4 x); whole: %s, SHA-256 equal; most memory of listener or admin %s (reach 64 MB)\n",
		ms(median(capped)), ms(median(plain)), float64(median(capped))/float64(median(plain)), ms(median(whole)), mib(peak))
	return nil
}

func outputSum() ([]byte, error) {
	sum := sha256.New()
	cmd := exec.Command("bash", "-c", `yes 'the quick brown fox jumps over the lazy dog, and the log goes on' | head -c 1000000000`)
	cmd.Stdout = sum
	err := cmd.Run()
	return sum.Sum(nil), err
}

func plainOutput(script string) (time.Duration, error) {
	if err := exec.Command("bash", "-c", `bash "$0" | cat > /dev/null`, script).Run(); err != nil {
		return 0, err
	}
	return scriptTook(script)
}

func scriptTook(script string) (time.Duration, error) {
	text, err := os.ReadFile(script + ".took")
	if err != nil {
		return 0, err
	}
	var began, ended float64
	_, err = fmt.Sscan(string(text), &began, &ended)
	return time.Duration(math.Round((ended - began) * float64(time.Second))), err
}

// outputRun runs the script through the whole set, and with a sum compares admin's copy of the log.
func (b *bench) outputRun(ctx context.Context, script, maxLog string, sum []byte) (time.Duration, int64, error) {
	config := map[string]any{"name": "bench", "repos": []string{"*/*"}, "exec": [][]string{{"bash", script}}, "max_log": maxLog}
	s, err := b.startSet(ctx, setup{config: config})
	if err != nil {
		return 0, 0, err
	}
	defer s.close()
	parcels, err := b.pushes(1)
	if err != nil {
		return 0, 0, err
	}
	if err := post(ctx, http.DefaultClient, s.hooksURL, parcels[0]); err != nil {
		return 0, 0, err
	}
	r, err := s.ended(ctx)
	if err != nil {
		return 0, 0, err
	}
	if r.Status != run.Passed {
		return 0, 0, fmt.Errorf("run is %s: %s", r.Status, s.listener.Log())
	}
	if sum != nil {
		if err := s.compare(ctx, r.ID, sum); err != nil {
			return 0, 0, err
		}
	}
	listener, err1 := s.listener.PeakMemory()
	admin, err2 := s.admin.PeakMemory()
	took, err3 := scriptTook(script)
	return took, max(listener, admin), errors.Join(err1, err2, err3)
}

// ended waits for the newest run to end.
func (s *set) ended(ctx context.Context) (run.Run, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	for {
		list, err := s.api.Runs(ctx, api.RunFilter{Limit: 1})
		if err != nil {
			return run.Run{}, err
		}
		if len(list.Items) == 1 && list.Items[0].Status.Ended() {
			return list.Items[0], nil
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func (s *set) compare(ctx context.Context, id string, want []byte) error {
	body, err := s.api.Log(ctx, id, api.LogQuery{})
	if err != nil {
		return err
	}
	defer body.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, body); err != nil {
		return err
	}
	if got := sum.Sum(nil); string(got) != string(want) {
		return fmt.Errorf("admin's log has SHA-256 %x, the script printed %x", got, want)
	}
	return nil
}
