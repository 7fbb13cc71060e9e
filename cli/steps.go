package cli

import (
	"fmt"
	"time"

	"lightspeed/run"
)

// stepTable shows the steps of an attempt.
func stepTable(steps []run.Step, now time.Time) *table {
	t := &table{head: []string{"STEP", "NAME", "STATUS", "EXIT", "TOOK", "OUTPUT"}}
	for _, s := range steps {
		t.add(cell{fmt.Sprint(s.Step), ""}, cell{s.Name, ""}, stateCell(s.Status), cell{orDash(text(s.ExitCode)), ""},
			cell{stepTook(s, now), dim}, cell{stepOutput(s), ""})
	}
	return t
}

func stepTook(s run.Step, now time.Time) string {
	switch {
	case s.StartedAt == nil:
		return ""
	case s.FinishedAt != nil:
		return took(s.FinishedAt.Sub(*s.StartedAt))
	case s.Status == run.Running:
		return took(now.Sub(*s.StartedAt))
	}
	return "" // it was cut off, nobody knows when
}

// stepOutput says where a step's output stands in the log, for `runs log --offset`.
func stepOutput(s run.Step) string {
	switch {
	case s.LogOffset == nil:
		return ""
	case s.LogEnd == nil:
		return fmt.Sprintf("from %d", *s.LogOffset)
	}
	return fmt.Sprintf("%d bytes from %d", *s.LogEnd-*s.LogOffset, *s.LogOffset)
}
