package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"time"

	"golang.org/x/sys/unix"
)

// cpuCount is how many runs a round of the cpu row takes.
const cpuCount = 100

// cpu measures what a run of `true` costs the listener's process, beside a process that does nothing but start it and wait.
func (b *bench) cpu(ctx context.Context) error {
	s, err := b.startSet(ctx, setup{config: map[string]any{"name": "bench", "repos": []string{"*/*"}, "exec": [][]string{{"true"}}}})
	if err != nil {
		return err
	}
	defer s.close()
	if _, err := s.cpuRound(ctx, b); err != nil { // what is done once
		return err
	}
	var ours, plain []time.Duration
	for range b.rounds {
		took, err := s.cpuRound(ctx, b)
		if err != nil {
			return err
		}
		ours = append(ours, took)
		if took, err = plainCPU(); err != nil {
			return err
		}
		plain = append(plain, took)
	}
	fmt.Printf("CPU of the listener for a run of true: %s, a plain fork+exec's parent %s: %s more (reach 3 ms)\n",
		ms(median(ours)), ms(median(plain)), ms(median(ours)-median(plain)))
	return nil
}

// cpuRound sends pushes, and returns the listener's time for each when all of them have run.
func (s *set) cpuRound(ctx context.Context, b *bench) (time.Duration, error) {
	parcels, err := b.pushes(cpuCount)
	if err != nil {
		return 0, err
	}
	before, err := cpuOf(s.listener.PID())
	if err != nil {
		return 0, err
	}
	for _, p := range parcels {
		if err := post(ctx, http.DefaultClient, s.hooksURL, p); err != nil {
			return 0, err
		}
	}
	for began := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		l, err := s.api.Listener(ctx, "bench")
		if err != nil {
			return 0, err
		}
		if l.Queued+l.Running == 0 {
			break
		}
		if time.Since(began) > time.Minute {
			return 0, fmt.Errorf("%d runs are queued after a minute", l.Queued)
		}
	}
	after, err := cpuOf(s.listener.PID())
	return (after - before) / cpuCount, err
}

// plainCPU is what starting a program and waiting for it costs this process.
func plainCPU() (time.Duration, error) {
	before, err := cpuOf(os.Getpid())
	if err != nil {
		return 0, err
	}
	for range cpuCount {
		if err := exec.Command("true").Run(); err != nil {
			return 0, err
		}
	}
	after, err := cpuOf(os.Getpid())
	return (after - before) / cpuCount, err
}

// cpuOf is the time that a process, without its children, has had of all processors: the clock that the kernel keeps of it,
// since the times in /proc count in hundredths of a second
// (https://man7.org/linux/man-pages/man3/clock_getcpuclockid.3.html makes the clock's id like this).
func cpuOf(pid int) (time.Duration, error) {
	const scheduled = 2
	var spent unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|scheduled), &spent); err != nil {
		return 0, fmt.Errorf("processor time of process %d: %w", pid, err)
	}
	return time.Duration(spent.Nano()), nil
}
