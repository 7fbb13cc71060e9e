package notify

import (
	"fmt"
	"time"

	"lightspeed/run"
)

// verbs say after a listener's name how its run stands.
var verbs = map[run.State]string{
	run.Running:    "is running",
	run.Passed:     "passed",
	run.Failed:     "failed",
	run.Errored:    "could not run",
	run.TimedOut:   "timed out",
	run.Cancelled:  "was cancelled",
	run.Superseded: "was superseded",
	run.Lost:       "was lost",
}

// Verb says after the listener's name how the run stands: "is running", "failed", "passed again".
func (t *Telling) Verb() string {
	if t.Recovered {
		return "passed again"
	}
	if verb, ok := verbs[t.Notice.State]; ok {
		return verb
	}
	return string(t.Notice.State)
}

// Short writes a duration for people: "850ms", "4.2s", "3m 12s", "1h 5m".
func Short(d time.Duration) string {
	switch {
	case d < time.Second:
		return fmt.Sprintf("%dms", d.Milliseconds())
	case d < 10*time.Second:
		return fmt.Sprintf("%.1fs", d.Truncate(100*time.Millisecond).Seconds())
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm %ds", int(d.Minutes()), int(d.Seconds())%60)
	}
	return fmt.Sprintf("%dh %dm", int(d.Hours()), int(d.Minutes())%60)
}
