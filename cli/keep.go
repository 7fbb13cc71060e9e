package cli

import (
	"strconv"
	"strings"
	"time"

	urfave "github.com/urfave/cli/v2"

	"lightspeed/app"
)

// keeping are the settings that bound what admin keeps.
var keeping = []setting{keepRuns, keepLogs, keepArtifacts, keepDeliveries}

const keepUsage = ": an age, a number, a size, several of them by commas, or all"

var (
	keepRuns = setting{
		flag: "keep-runs", env: "LIGHTSPEED_KEEP_RUNS", def: "90d,1000000",
		usage: "`LIMITS` of ended runs" + keepUsage,
	}
	keepLogs = setting{
		flag: "keep-logs", env: "LIGHTSPEED_KEEP_LOGS", def: "30d,10GiB",
		usage: "`LIMITS` of logs" + keepUsage,
	}
	keepArtifacts = setting{
		flag: "keep-artifacts", env: "LIGHTSPEED_KEEP_ARTIFACTS", def: "30d,10GiB",
		usage: "`LIMITS` of artifacts, whose number is that of the attempts that have some" + keepUsage,
	}
	keepDeliveries = setting{
		flag: "keep-deliveries", env: "LIGHTSPEED_KEEP_DELIVERIES", def: "30d,4GiB",
		usage: "`LIMITS` of deliveries' payloads" + keepUsage + "; their ids and hashes stay 30 days at least",
	}
)

// keep reads how much admin keeps.
func (p *program) keep(c *urfave.Context) (app.Retention, error) {
	var keep app.Retention
	for _, one := range []struct {
		setting
		limits *app.Limits
	}{{keepRuns, &keep.Runs}, {keepLogs, &keep.Logs}, {keepArtifacts, &keep.Artifacts}, {keepDeliveries, &keep.Payloads}} {
		var err error
		if *one.limits, err = limits(one.flag, p.value(c, one.setting)); err != nil {
			return keep, err
		}
	}
	if keep.Runs.Bytes > 0 {
		return keep, app.Usagef("--keep-logs, --keep-artifacts and --keep-deliveries take one", "--keep-runs takes an age and a number, and no size")
	}
	return keep, nil
}

// limits reads "30d,10GiB": an age ends in a unit of time, a size in B, and a number has no unit. Each may stand
// once. "all" bounds nothing.
func limits(flag, text string) (app.Limits, error) {
	var l app.Limits
	if text == "all" {
		return l, nil
	}
	for part := range strings.SplitSeq(text, ",") {
		part = strings.TrimSpace(part)
		n, err := strconv.ParseInt(part, 10, 64)
		age, isAge := age(part)
		switch {
		case err == nil && n > 0 && l.Count == 0:
			l.Count = n
		case isAge && l.Age == 0:
			l.Age = age
		case err != nil && strings.HasSuffix(part, "B") && l.Bytes == 0:
			if l.Bytes, err = size(flag, part); err != nil {
				return l, err
			}
		default:
			return l, app.Usagef("an age is 30d or 12h, a number 100000, a size 10GiB; all keeps everything", "--%s is %q: %q cannot be read, or stands twice", flag, text, part)
		}
	}
	return l, nil
}

// age reads a positive duration; days are 24 hours long.
func age(text string) (time.Duration, bool) {
	if days, ok := strings.CutSuffix(text, "d"); ok {
		n, err := strconv.ParseInt(days, 10, 64)
		return time.Duration(n) * 24 * time.Hour, err == nil && n > 0 && n <= 36500
	}
	d, err := time.ParseDuration(text)
	return d, err == nil && d > 0
}
