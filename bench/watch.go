package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"lightspeed/api"
	"lightspeed/run"
)

// watchers is how many look at one log at once.
const watchers = 200

// watchScript waits until it may begin, prints many lines, and notes how long that took, by its own clock.
const watchScript = `#!/bin/bash
until [ -e "$0.go" ]; do sleep 0.02; done
began=$EPOCHREALTIME
for ((i = 0; i < 300000; i++)); do echo "line $i of a job that many people look at"; done
echo "$began $EPOCHREALTIME" > "$0.took"
`

// watch measures a job that nobody looks at beside the same job with 200 open pages.
func (b *bench) watch(ctx context.Context) error {
	script := filepath.Join(b.dir, "watched.sh")
	if err := os.WriteFile(script, []byte(watchScript), 0o700); err != nil {
		return err
	}
	var alone, watched []time.Duration
	var used [2][]time.Duration
	var peak int64
	for range b.rounds {
		for i, count := range []int{0, watchers} {
			w, err := b.watchRun(ctx, script, count)
			if err != nil {
				return err
			}
			used[i] = append(used[i], w.cpu)
			if count == 0 {
				alone = append(alone, w.took)
				continue
			}
			watched, peak = append(watched, w.took), max(peak, w.memory)
		}
	}
	fmt.Printf("a job of 300,000 lines, %d watch its log: %s, nobody: %s: %.2f x (reach 1.1 x); admin's processor time %s, nobody: %s; its most memory %s (reach 64 MB)\n",
		watchers, ms(median(watched)), ms(median(alone)), float64(median(watched))/float64(median(alone)), ms(median(used[1])), ms(median(used[0])), mib(peak))
	return nil
}

// watchedRun is what a run took: by the script's clock, and of admin.
type watchedRun struct {
	took, cpu time.Duration
	memory    int64
}

func (b *bench) watchRun(ctx context.Context, script string, count int) (w watchedRun, err error) {
	if err := os.Remove(script + ".go"); err != nil && !errors.Is(err, os.ErrNotExist) {
		return w, err
	}
	config := map[string]any{"name": "bench", "repos": []string{"*/*"}, "exec": [][]string{{"bash", script}}}
	s, err := b.startSet(ctx, setup{config: config})
	if err != nil {
		return w, err
	}
	defer s.close()
	parcels, err := b.pushes(1)
	if err != nil {
		return w, err
	}
	if err := post(ctx, http.DefaultClient, s.hooksURL, parcels[0]); err != nil {
		return w, err
	}
	running, err := s.running(ctx)
	if err != nil {
		return w, err
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	leave, err := s.lookAt(ctx, running, count)
	if err != nil {
		return w, err
	}
	if err := os.WriteFile(script+".go", nil, 0o600); err != nil {
		return w, err
	}
	r, err := s.ended(ctx)
	if err != nil {
		return w, err
	}
	if r.Status != run.Passed {
		return w, fmt.Errorf("run is %s: %s", r.Status, s.listener.Log())
	}
	if err := leave(); err != nil {
		return w, err
	}
	var errs [3]error
	w.took, errs[0] = scriptTook(script)
	w.cpu, errs[1] = cpuOf(s.admin.PID())
	w.memory, errs[2] = s.admin.PeakMemory()
	return w, errors.Join(errs[:]...)
}

// running waits for the newest run to have started.
func (s *set) running(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, ready)
	defer cancel()
	for {
		list, err := s.api.Runs(ctx, api.RunFilter{Status: run.Running, Limit: 1})
		if err != nil {
			return "", err
		}
		if len(list.Items) == 1 {
			return list.Items[0].ID, nil
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// lookAt opens streams of a run's log, as pages do, in a process of its own that gets only what time of the processors
// nobody else wants: people look from other machines. leave waits until each has been told that the run has ended.
func (s *set) lookAt(ctx context.Context, id string, count int) (leave func() error, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	readers := exec.CommandContext(ctx, "chrt", "--idle", "0", self, "-read", s.adminURL+"/live?attempt=1&run="+id, "-readers", strconv.Itoa(count))
	readers.Stderr = os.Stderr
	out, err := readers.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := readers.Start(); err != nil {
		return nil, err
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != allOpen {
		return nil, errors.Join(fmt.Errorf("readers said %q", line), err, readers.Wait())
	}
	return readers.Wait, nil
}

// allOpen is what readers say once each has its stream.
const allOpen = "open\n"

// readers is the process that looks at a stream many times.
func readers(ctx context.Context, url string, count int) error {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: count}}
	errs := make([]error, count)
	var open, ended sync.WaitGroup
	for i := range count {
		open.Add(1)
		ended.Go(func() { errs[i] = read(ctx, client, url, open.Done) })
	}
	open.Wait()
	fmt.Print(allOpen)
	ended.Wait()
	return errors.Join(errs...)
}

// read reads a stream to its end, which must have had lines. One that fell behind comes again where it was, as a page does.
func read(ctx context.Context, client *http.Client, url string, open func()) error {
	opened := sync.OnceFunc(open)
	defer opened()
	lines, at := 0, ""
	for ctx.Err() == nil {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		if at != "" {
			req.Header.Set("Last-Event-ID", at)
		}
		answer, err := client.Do(req)
		if err != nil {
			return err
		}
		opened()
		scan := bufio.NewScanner(answer.Body)
		scan.Buffer(nil, 4<<20)
		for scan.Scan() {
			switch name, value, _ := strings.Cut(scan.Text(), ": "); {
			case name == "id":
				at = value
			case name == "event" && value == "lines":
				lines++
			case name == "event" && value == "ended":
				if lines == 0 {
					err = errors.New("a watcher saw no line")
				}
				return errors.Join(err, answer.Body.Close())
			}
		}
		_ = answer.Body.Close()
	}
	return ctx.Err()
}
