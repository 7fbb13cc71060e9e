package cli

import (
	"fmt"

	urfave "github.com/urfave/cli/v2"

	"lightspeed/api"
)

func (p *program) prune() *urfave.Command {
	return &urfave.Command{
		Name: "prune", Category: groupWatch,
		Usage:     "delete now what admin would delete in time, or say how much that is",
		UsageText: "lightspeed prune [--dry-run]",
		Description: `How much is kept is set at admin, by --keep-runs, --keep-logs, --keep-artifacts and --keep-deliveries. What waits or runs is never deleted.

Examples:
  lightspeed prune --dry-run
  lightspeed prune`,
		Flags: flags([]urfave.Flag{
			&urfave.BoolFlag{Name: "dry-run", Usage: "say what would be deleted, and delete nothing"},
			jsonFlag(),
		}, connection),
		Action: func(c *urfave.Context) error {
			if _, err := want(c); err != nil {
				return err
			}
			admin, err := p.client(c)
			if err != nil {
				return err
			}
			done, err := pruneAll(c, admin)
			if err != nil {
				return err
			}
			if c.Bool("json") {
				return p.printJSON(done)
			}
			return p.showPruning(done)
		},
	}
}

// pruneAll asks until nothing is left to do, and adds up.
func pruneAll(c *urfave.Context, admin *api.Client) (api.Pruning, error) {
	var all api.Pruning
	for {
		done, err := admin.Prune(c.Context, c.Bool("dry-run"))
		if err != nil {
			return all, err
		}
		all.DryRun, all.More = done.DryRun, done.More
		all.Runs, all.Deliveries = all.Runs+done.Runs, all.Deliveries+done.Deliveries
		all.Logs, all.LogBytes = all.Logs+done.Logs, all.LogBytes+done.LogBytes
		all.Artifacts, all.ArtifactBytes = all.Artifacts+done.Artifacts, all.ArtifactBytes+done.ArtifactBytes
		all.Payloads, all.PayloadBytes = all.Payloads+done.Payloads, all.PayloadBytes+done.PayloadBytes
		if !done.More || done.DryRun {
			return all, nil
		}
	}
}

func (p *program) showPruning(done api.Pruning) error {
	verb := "deleted"
	if done.DryRun {
		verb = "would delete"
	}
	if done.More {
		verb += " at least"
	}
	return p.say("%s %s with their logs and artifacts, %s of other runs (%s), artifacts of %s (%s), %s (%s), %s", verb, counted(done.Runs, "run", "runs"),
		counted(done.Logs, "log", "logs"), bytesText(done.LogBytes), counted(done.Artifacts, "attempt", "attempts"), bytesText(done.ArtifactBytes), counted(done.Payloads, "payload", "payloads"), bytesText(done.PayloadBytes),
		counted(done.Deliveries, "delivery", "deliveries"))
}

func counted(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// bytesText writes a number of bytes as people do: "512 bytes", "1.5 MiB".
func bytesText(n int64) string {
	if n < 1<<10 {
		return counted(n, "byte", "bytes")
	}
	value, unit := float64(n)/1024, 0
	for value >= 1024 && unit < 3 {
		value, unit = value/1024, unit+1
	}
	return fmt.Sprintf("%.1f %s", value, []string{"KiB", "MiB", "GiB", "TiB"}[unit])
}
