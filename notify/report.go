package notify

import (
	"context"
	"time"
)

func rankResult(*Result) rank { return rank{} } // the later wins

func worthResult(r *Result) int {
	if r.Status == Failed {
		return 1
	}
	return 0
}

// result keeps what is to be reported.
func (d *Dispatcher) result(r Result) {
	if d.report == nil {
		return
	}
	dropped, err := d.reports.put(r.Target+" "+r.Run, r)
	if err != nil {
		d.log.Error("how a notice went cannot be written down", "run", r.Run, "target", r.Target, "error", err)
	}
	if dropped != nil {
		d.log.Warn("too much waits to be reported: how an old notice went will not be seen on its run",
			"run", dropped.Value.Run, "target", dropped.Value.Target)
	}
}

// reportAll hands on what is to be reported.
func (d *Dispatcher) reportAll(soft, hard context.Context) {
	trouble := trouble{log: d.log}
	failures := 0
	work(soft, hard, d.reports, d.log, func(ctx context.Context, it item[Result]) time.Duration {
		err := d.report(ctx, it.Value)
		if err != nil {
			if problem := asError(err); !problem.Final {
				failures++
				trouble.begins(&Error{Message: "how notices went cannot be reported: " + problem.Message, Hint: problem.Hint}, d.reports.len())
				return backoff(failures, problem.After)
			}
			d.log.Warn("how a notice went cannot be reported", "run", it.Value.Run, "target", it.Value.Target, "error", err)
		}
		failures = 0
		trouble.over()
		if err := d.reports.done(it); err != nil {
			d.log.Error("what was reported cannot be removed: after a restart it is reported again", "error", err)
		}
		return 0
	})
}
