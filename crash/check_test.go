package crash

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"lightspeed/api"
	"lightspeed/run"
)

// settle waits until admin has every delivery that was promised and every run has ended.
func (w *world) settle() {
	w.t.Helper()
	var open error
	if !poll(patience, func() bool { open = w.unsettled(); return open == nil }) {
		w.t.Fatalf("after %v: %v", patience, open)
	}
}

func (w *world) unsettled() error {
	stored, err := w.deliveries()
	if err != nil {
		return err
	}
	for id, status := range w.accepted {
		if stored[id] == 0 {
			return fmt.Errorf("%s was answered %s and is not in admin", id, status)
		}
	}
	runs, err := w.runs()
	if err != nil {
		return err
	}
	for _, r := range runs {
		if !r.Status.Ended() {
			return fmt.Errorf("run %s of %s is %s", r.ID, r.Delivery, r.Status)
		}
	}
	return nil
}

// deliveries counts what admin has, by id.
func (w *world) deliveries() (map[string]int, error) {
	seen, before := map[string]int{}, ""
	for {
		list, err := w.api.Deliveries(w.t.Context(), api.MaxLimit, before)
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

// check compares what was promised with what there is, once all has settled.
func (w *world) check() {
	w.t.Helper()
	stored, err := w.deliveries()
	w.must(err)
	runs, err := w.runs()
	w.must(err)
	byDelivery := map[string]int{}
	for _, r := range runs {
		byDelivery[r.Delivery]++
		if err := w.honest(r); err != nil {
			w.t.Errorf("run %s of %s, %s: %v", r.ID, r.Delivery, r.Status, err)
		}
	}
	for id, status := range w.accepted {
		if stored[id] != 1 || byDelivery[id] != 1 {
			w.t.Errorf("%s was answered %s, is stored %d times and has %d runs", id, status, stored[id], byDelivery[id])
		}
	}
	for _, kind := range []string{"twice", "crowd", "overlap"} {
		entries, err := os.ReadDir(filepath.Join(w.marks, kind))
		w.must(err)
		for _, e := range entries {
			w.t.Errorf("%s: %s", kind, e.Name())
		}
	}
	if pids := w.alive(); len(pids) > 0 {
		w.t.Errorf("scripts still run: %v", pids)
	}
}

// honest compares a run's attempts with the marks of its scripts, and with their output.
func (w *world) honest(r run.Run) error {
	var broken []error
	for i, a := range r.Attempts {
		started, ended := w.marked("started", r.ID, a.Attempt), w.marked("ended", r.ID, a.Attempt)
		got, err := w.log(r.ID, a.Attempt)
		broken = append(broken, err, w.timed(r.ID, a))
		whole := wholeLog(r.ID, a.Attempt)
		switch {
		case a.Status == run.Passed && (!ended || got != whole):
			broken = append(broken, fmt.Errorf("attempt %d passed; its script ended: %t; its log is %q", a.Attempt, ended, got))
		case a.Status == run.NotStarted && (started || got != ""):
			broken = append(broken, fmt.Errorf("attempt %d was not started, and its script ran: %q", a.Attempt, got))
		case a.Status == run.Failed, a.Status == run.Errored, a.Status == run.TimedOut, !a.Status.Ended():
			broken = append(broken, fmt.Errorf("attempt %d is %s: %s", a.Attempt, a.Status, text(a.Reason)))
		case !strings.HasPrefix(whole, got):
			broken = append(broken, fmt.Errorf("attempt %d: its log is not what the script printed: %q", a.Attempt, got))
		}
		if i < len(r.Attempts)-1 && a.Status != run.NotStarted && a.Status != run.Lost {
			broken = append(broken, fmt.Errorf("attempt %d was %s, and there is another", a.Attempt, a.Status))
		}
	}
	if n := len(r.Attempts); n > 0 && r.Status != r.Attempts[n-1].Status {
		broken = append(broken, fmt.Errorf("its last attempt is %s", r.Attempts[n-1].Status))
	}
	return errors.Join(broken...)
}

// log returns an attempt's output without what Lightspeed itself says in it.
func (w *world) log(id string, attempt int) (string, error) {
	body, err := w.api.Log(w.t.Context(), id, api.LogQuery{Attempt: attempt})
	if err != nil {
		return "", err
	}
	defer body.Close()
	text, err := io.ReadAll(io.LimitReader(body, 64<<20))
	return spoken(string(text)), err
}

// timed checks that admin says of all output of an attempt, and of nothing else, when it came.
func (w *world) timed(id string, a run.Attempt) error {
	times, err := w.api.LogTimes(w.t.Context(), run.Ref{Run: id, Attempt: a.Attempt}, 0)
	if err != nil {
		return err
	}
	next := int64(0)
	for _, one := range times.Items {
		if one.Offset < next || next == 0 && one.Offset > 0 || one.Offset >= a.LogBytes || one.At.Year() < 2000 {
			return fmt.Errorf("attempt %d: %d bytes of output came at %+v", a.Attempt, a.LogBytes, times.Items)
		}
		next = one.Offset + 1
	}
	if a.LogBytes > 0 && next == 0 {
		return fmt.Errorf("attempt %d: it is not known when its output came", a.Attempt)
	}
	return nil
}

// spoken is a log without Lightspeed's own lines, and without the empty line before them.
func spoken(log string) string {
	var said strings.Builder
	for line := range strings.Lines(log) {
		if !strings.HasPrefix(line, "lightspeed: ") && line != "\n" {
			said.WriteString(line)
		}
	}
	return said.String()
}

// statuses are those of a run's attempts.
func statuses(r run.Run) string {
	var all []string
	for _, a := range r.Attempts {
		all = append(all, string(a.Status))
	}
	return strings.Join(all, " ")
}
