package process

import (
	"context"
	"syscall"
	"time"
)

// Leftovers is what may still run of a tree whose own listener has died.
type Leftovers struct {
	Marks  []string // as in Options
	Cgroup string   // as in Options
	Leader ID       // the command that was started last; zero when none was noted
}

// End ends what is left: SIGTERM, after the grace or when ctx ends SIGKILL. It touches nothing but what the
// marks, the cgroup or the leader's pid and start time name, and what descends from that. The cgroup is removed.
func (l Leftovers) End(ctx context.Context, grace time.Duration) Rest {
	defer l.close()
	found := len(l.find())
	if found == 0 {
		return Rest{}
	}
	gone := func() bool { return len(l.find()) == 0 }
	l.signal(syscall.SIGTERM)
	poll(grace, func() bool { return ctx.Err() != nil || gone() })
	poll(killPatience, func() bool {
		l.signal(syscall.SIGKILL)
		return gone()
	})
	rest := Rest{Stuck: l.find()}
	rest.Ended = found - len(rest.Stuck)
	return rest
}
