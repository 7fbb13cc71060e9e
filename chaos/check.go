package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"lightspeed/api"
	"lightspeed/run"
)

// report is a table: what is promised, how much of it was seen, and what broke it.
type report struct{ rows []row }

type row struct {
	promise, seen string
	broken        []string
}

func (r *report) note(promise, seen string, err error) {
	added := row{promise: promise, seen: seen}
	if err != nil {
		added.broken = strings.Split(err.Error(), "\n")
	}
	r.rows = append(r.rows, added)
}

// Held reports whether every promise did.
func (r report) Held() bool {
	for _, row := range r.rows {
		if len(row.broken) > 0 {
			return false
		}
	}
	return len(r.rows) > 0
}

func (r report) String() string {
	var out bytes.Buffer
	table := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
	for _, row := range r.rows {
		verdict := "held"
		if len(row.broken) > 0 {
			verdict = "BROKEN"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\n", verdict, row.promise, row.seen)
	}
	_ = table.Flush()
	for _, row := range r.rows {
		for i, what := range row.broken {
			if i == 20 {
				fmt.Fprintf(&out, "  … and %d more\n", len(row.broken)-i)
				break
			}
			fmt.Fprintf(&out, "%s: %s\n", row.promise, what)
		}
	}
	return out.String()
}

// settle waits until admin has every accepted delivery and every run has ended.
func (w *world) settle(ctx context.Context, s *sent, progress io.Writer) error {
	for {
		open, err := w.open(ctx, s)
		if err == nil && open == "" {
			return nil
		}
		if err != nil {
			open = err.Error()
		}
		fmt.Fprintf(progress, "chaos: waiting: %s\n", open)
		select {
		case <-time.After(2 * time.Second):
		case <-ctx.Done():
			return fmt.Errorf("still %s; processes that ended: %v", open, w.dead())
		}
	}
}

// open says what has not ended yet.
func (w *world) open(ctx context.Context, s *sent) (string, error) {
	deliveries, err := w.deliveries(ctx)
	if err != nil {
		return "", err
	}
	missing := 0
	for id := range s.accepted {
		if deliveries[id] == 0 {
			missing++
		}
	}
	var waiting []string
	for _, state := range []run.State{run.Queued, run.Running} {
		list, err := w.api.Runs(ctx, api.RunFilter{Status: state, Limit: api.MaxLimit})
		if err != nil {
			return "", err
		}
		if len(list.Items) > 0 {
			waiting = append(waiting, fmt.Sprintf("%d runs %s", len(list.Items), state))
		}
	}
	if missing > 0 {
		waiting = append(waiting, fmt.Sprintf("%d deliveries on the way", missing))
	}
	return strings.Join(waiting, ", "), nil
}

// deliveries counts what admin has, by id.
func (w *world) deliveries(ctx context.Context) (map[string]int, error) {
	seen, before := map[string]int{}, ""
	for {
		list, err := w.api.Deliveries(ctx, api.MaxLimit, before)
		if err != nil {
			return nil, err
		}
		for _, d := range list.Items {
			seen[d.ID]++
		}
		if list.Next == nil {
			return seen, nil
		}
		before = *list.Next
	}
}

// runs reads all of them, with their attempts.
func (w *world) runs(ctx context.Context) ([]run.Run, error) {
	var all []run.Run
	filter := api.RunFilter{Limit: api.MaxLimit}
	for {
		list, err := w.api.Runs(ctx, filter)
		if err != nil {
			return nil, err
		}
		all = append(all, list.Items...)
		if list.Next == nil {
			return all, nil
		}
		filter.Before = *list.Next
	}
}

// check compares what was promised with what there is.
func check(ctx context.Context, w *world, s *sent) (report, error) {
	var r report
	deliveries, err := w.deliveries(ctx)
	if err != nil {
		return r, err
	}
	runs, err := w.runs(ctx)
	if err != nil {
		return r, err
	}
	r.note("an accepted delivery is never lost, and is stored once",
		fmt.Sprintf("%d accepted, %d refused, %d sent twice", len(s.accepted), s.refused, s.again), once(s, deliveries))
	r.note("a body under another id does not run", fmt.Sprintf("%d copies", len(s.copies)), copies(s, runs))
	r.note("one run for each delivery and listener that it matches", fmt.Sprintf("%d runs", len(runs)), paired(w, s, deliveries, runs))
	r.note("every run's state is the truth", states(runs), w.truth(runs))
	r.note("nothing starts twice, unless it was asked for", attempts(runs), w.twice(runs))
	r.note("never more at once than concurrency", "", w.empty("crowd"))
	r.note("never two attempts of one run at once", "", w.empty("overlap"))
	logs, err := w.logs(ctx, runs)
	r.note("output survives", fmt.Sprintf("%d logs, %d bytes", logs.count, logs.bytes), err)
	r.note("nothing is left running", "", w.leftovers())
	return r, nil
}

func once(s *sent, stored map[string]int) error {
	var broken []error
	for id, status := range s.accepted {
		if stored[id] != 1 {
			broken = append(broken, fmt.Errorf("%s was answered %s and is stored %d times", id, status, stored[id]))
		}
	}
	return errors.Join(broken...)
}

func copies(s *sent, runs []run.Run) error {
	var broken []error
	for _, r := range runs {
		if s.copies[r.Delivery] {
			broken = append(broken, fmt.Errorf("run %s is of the copy %s", r.ID, r.Delivery))
		}
	}
	return errors.Join(broken...)
}

func paired(w *world, s *sent, deliveries map[string]int, runs []run.Run) error {
	count := map[string]int{}
	for _, r := range runs {
		count[r.Delivery+" "+r.Listener]++
	}
	var broken []error
	for id := range deliveries {
		for _, l := range w.listeners {
			want := 0
			if s.matches[id] == l.name || s.matches[id] == both {
				want = 1
			}
			if n := count[id+" "+l.name]; n != want {
				broken = append(broken, fmt.Errorf("delivery %s has %d runs of %s, not %d", id, n, l.name, want))
			}
		}
	}
	return errors.Join(broken...)
}

func states(runs []run.Run) string {
	count := map[run.State]int{}
	for _, r := range runs {
		count[r.Status]++
	}
	return strings.TrimPrefix(fmt.Sprint(count), "map")
}

func attempts(runs []run.Run) string {
	count := map[int]int{}
	for _, r := range runs {
		count[len(r.Attempts)]++
	}
	return "runs by attempts " + strings.TrimPrefix(fmt.Sprint(count), "map")
}

// truth compares each attempt's state with the marks that its script left.
func (w *world) truth(runs []run.Run) error {
	var broken []error
	for _, r := range runs {
		for _, a := range r.Attempts {
			started, ended := w.marked(r, a, "started"), w.marked(r, a, "ended")
			switch {
			case a.Status == run.Passed && !ended:
				broken = append(broken, fmt.Errorf("run %s attempt %d passed, and its script did not end", r.ID, a.Attempt))
			case a.Status == run.NotStarted && started:
				broken = append(broken, fmt.Errorf("run %s attempt %d was not started, and its script ran", r.ID, a.Attempt))
			case a.Status == run.Failed || a.Status == run.Errored || a.Status == run.TimedOut:
				broken = append(broken, fmt.Errorf("run %s attempt %d %s: nothing in the script does that", r.ID, a.Attempt, a.Status))
			}
		}
		if !r.Status.Ended() {
			broken = append(broken, fmt.Errorf("run %s is %s", r.ID, r.Status))
		}
	}
	return errors.Join(broken...)
}

// twice looks for scripts that started twice for one attempt, and for second attempts that nobody asked for.
func (w *world) twice(runs []run.Run) error {
	broken := []error{w.empty("twice")}
	for _, r := range runs {
		for i, a := range r.Attempts {
			later := i < len(r.Attempts)-1
			if later && a.Status != run.NotStarted && (a.Status != run.Lost || !w.listener(r.Listener).requeue) {
				broken = append(broken, fmt.Errorf("run %s has another attempt after attempt %d was %s", r.ID, a.Attempt, a.Status))
			}
		}
	}
	return errors.Join(broken...)
}

// empty checks that no script has left a mark of this kind.
func (w *world) empty(mark string) error {
	var broken []error
	for _, l := range w.listeners {
		entries, err := os.ReadDir(filepath.Join(l.marks, mark))
		if err != nil {
			return err
		}
		for _, entry := range entries {
			broken = append(broken, fmt.Errorf("%s: %s %s", l.name, mark, entry.Name()))
		}
	}
	return errors.Join(broken...)
}

type logSizes struct{ count, bytes int }

// logs reads every attempt's log: whole when the script ended and was seen to, else its beginning.
func (w *world) logs(ctx context.Context, runs []run.Run) (logSizes, error) {
	var sizes logSizes
	var broken []error
	for _, r := range runs {
		for _, a := range r.Attempts {
			if a.Status == run.NotStarted {
				continue
			}
			got, err := w.log(ctx, r.ID, a.Attempt)
			if err != nil {
				return sizes, err
			}
			sizes.count++
			sizes.bytes += len(got)
			whole := wholeLog(r.ID, a.Attempt)
			if a.Status == run.Passed && got != whole || !strings.HasPrefix(whole, got) {
				broken = append(broken, fmt.Errorf("run %s attempt %d (%s): log of %d bytes is not the script's output %q",
					r.ID, a.Attempt, a.Status, len(got), got[max(0, len(got)-100):]))
			}
		}
	}
	return sizes, errors.Join(broken...)
}

// log returns an attempt's output without what Lightspeed itself says in it.
func (w *world) log(ctx context.Context, id string, attempt int) (string, error) {
	body, err := w.api.Log(ctx, id, api.LogQuery{Attempt: attempt})
	if err != nil {
		return "", err
	}
	defer body.Close()
	text, err := io.ReadAll(io.LimitReader(body, 1<<20))
	var said strings.Builder
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, "lightspeed: ") {
			said.WriteString(line)
		}
	}
	return said.String(), err
}

// leftovers looks through /proc for scripts that still run.
func (w *world) leftovers() error {
	environments, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		return err
	}
	var broken []error
	for _, path := range environments {
		environ, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		if bytes.Contains(environ, []byte("LIGHTSPEED_RUN_ID=")) && bytes.Contains(environ, []byte(w.dir)) {
			broken = append(broken, fmt.Errorf("%s still runs", filepath.Dir(path)))
		}
	}
	return errors.Join(broken...)
}

func (w *world) marked(r run.Run, a run.Attempt, mark string) bool {
	_, err := os.Stat(filepath.Join(w.listener(r.Listener).marks, mark, r.ID+"."+strconv.Itoa(a.Attempt)))
	return err == nil
}

func (w *world) listener(name string) listener {
	for _, l := range w.listeners {
		if l.name == name {
			return l
		}
	}
	return listener{}
}
