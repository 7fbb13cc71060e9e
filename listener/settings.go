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
		MaxWaitS: seconds(c.MaxWait), TimeoutS: seconds(c.Timeout), GraceS: seconds(c.Grace),
	}
}

// seconds rounds up: admin must not give up before the listener does.
func seconds(d time.Duration) int64 { return int64((d + time.Second - 1) / time.Second) }
