package web

import (
	"context"
	"fmt"
	"time"

	"lightspeed/run"
)

// listed is a run as a list of runs shows it.
type listed struct {
	Row
	Waits string // of a queued run: why it has not begun; empty where nothing but its turn is known
}

// Why is what is known beside a run's status: why it waits, or why it did not pass.
func (l listed) Why() string {
	if l.Waits == "" && l.Reason != nil {
		return *l.Reason
	}
	return l.Waits
}

// list makes rows of runs, and asks each listener once what its waiting runs wait for.
func (v *visit) list(ctx context.Context, rows []Row) []listed {
	asked := map[string]string{}
	all := make([]listed, len(rows))
	for i, r := range rows {
		all[i].Row = r
		if r.Status != run.Queued {
			continue
		}
		waits, ok := asked[r.Listener]
		if !ok {
			waits = v.waitsFor(ctx, r.Listener)
			asked[r.Listener] = waits
		}
		all[i].Waits = waits
	}
	return all
}

// waitsFor says why the runs that wait for a listener do. That nothing can be said is no reason to show no page.
func (v *visit) waitsFor(ctx context.Context, listener string) string {
	l, err := v.source.Listener(ctx, listener)
	if err != nil {
		return ""
	}
	return l.Waits(time.Now())
}

// Waits says what the runs that wait for the listener wait for; empty where nothing but their turn is known.
func (l Listener) Waits(now time.Time) string {
	switch l.State() {
	case "paused":
		return l.Paused.words()
	case "outdated":
		return "the listener runs with older settings than its newest: restart it"
	case "away":
		return l.awayWords(now)
	}
	if l.Running+l.Held >= l.Concurrency {
		return l.busyWords()
	}
	for _, m := range l.Machines {
		if m.Connected && m.Waits != "" {
			return m.Waits
		}
	}
	return ""
}

func (p *Paused) words() string {
	text := "the listener is paused"
	if p.By != "" {
		text += " by " + p.By
	}
	if p.Note != "" {
		text += ": " + p.Note
	}
	return text
}

// awayWords says since when nobody is there to take a run.
func (l Listener) awayWords(now time.Time) string {
	var last time.Time
	for _, m := range l.Machines {
		if m.LastSeen.After(last) {
			last = m.LastSeen
		}
	}
	if last.IsZero() {
		return "the listener is away"
	}
	return "the listener is away, last seen " + since(now.Sub(last))
}

func (l Listener) busyWords() string {
	if l.Held > 0 {
		return fmt.Sprintf("%d of %d places taken, %d by runs that were lost and may still run", l.Running+l.Held, l.Concurrency, l.Held)
	}
	return fmt.Sprintf("%d of %d places taken", l.Running, l.Concurrency)
}
