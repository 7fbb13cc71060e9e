package listener

import (
	"time"

	"lightspeed/api"
	"lightspeed/listener/config"
)

// settings is the part of a config that travels to admin: no command, folder, variable, URL or token.
func settings(c config.Config) api.Settings {
	return api.Settings{
		Rules: c.Rules, Concurrency: max(c.Concurrency, 1), WhenBusy: c.WhenBusy, OnLost: c.OnLost,
		MaxWaitS: seconds(c.MaxWait), TimeoutS: seconds(c.Timeout), GraceS: seconds(toEnd(c)),
	}
}

// toEnd is how long a run may still take after a cancel or its timeout: the grace, and once more for the steps
// that clean up then.
func toEnd(c config.Config) time.Duration {
	for _, step := range c.Exec {
		if step.If == config.Always {
			return 2*c.Grace + cleanUpGrace
		}
	}
	return c.Grace
}

// seconds rounds up: admin must not give up before the listener does.
func seconds(d time.Duration) int64 { return int64((d + time.Second - 1) / time.Second) }
