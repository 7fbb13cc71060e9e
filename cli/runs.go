package cli

import (
	"fmt"
	"slices"
	"strings"
	"time"

	urfave "github.com/urfave/cli/v2"

	"lightspeed/api"
	"lightspeed/app"
	"lightspeed/run"
	"lightspeed/suggest"
)

func (p *program) runs() *urfave.Command {
	return &urfave.Command{
		Name: "runs", Category: groupWatch,
		Usage:     "list and show runs, read their output, cancel, retry",
		UsageText: "lightspeed runs [COMMAND]",
		Description: `Without a command: list.

Examples:
  lightspeed runs
  lightspeed runs log RUN --follow`,
		Subcommands: []*urfave.Command{
			p.runsList(), p.runsWatch(), p.runsShow(), p.runsLog(), p.runsArtifacts(), p.runsCancel(), p.runsRetry(), p.runsRelease(),
		},
	}
}

func (p *program) runsList() *urfave.Command {
	return &urfave.Command{
		Name: "list", Usage: "list runs, newest first",
		UsageText: "lightspeed runs list [--listener NAME] [--repo OWNER/REPO] [--branch NAME] [--status STATUS]",
		Description: `Examples:
  lightspeed runs list
  lightspeed runs list --status running
  lightspeed runs list --repo me/my-app --branch main --limit 5
  lightspeed runs list --json | jq -r '.items[].id'`,
		Flags: flags(append(filterFlags(), pageFlags()...), connection),
		Action: p.list(func(c *urfave.Context, admin *api.Client, limit int) error {
			f, err := runFilter(c)
			if err != nil {
				return err
			}
			f.Limit, f.Before = limit, c.String("before")
			page, err := admin.Runs(c.Context, f)
			if err != nil {
				return err
			}
			if c.Bool("json") {
				return p.printJSON(page)
			}
			if len(page.Items) == 0 {
				return p.say("no runs")
			}
			if err := p.runTable(page.Items).print(p.Stdout, p.out); err != nil {
				return err
			}
			return p.more(page.Next)
		}),
	}
}

// statuses are the states of a run.
var statuses = []string{
	string(run.Queued), string(run.Running), string(run.Passed), string(run.Failed), string(run.Errored),
	string(run.TimedOut), string(run.Cancelled), string(run.Superseded), string(run.Lost),
}

func checkStatus(status string) error {
	if status == "" || slices.Contains(statuses, status) {
		return nil
	}
	hint := "one of " + strings.Join(statuses, ", ")
	if meant := suggest.Nearest(status, statuses); meant != "" {
		hint = "did you mean " + meant + "?"
	}
	return app.Usagef(hint, "--status is %q, which no run has", status)
}

// say prints a line.
func (p *program) say(format string, args ...any) error {
	_, err := fmt.Fprintf(p.Stdout, format+"\n", args...)
	return err
}

// more says how to see the next page.
func (p *program) more(next *string) error {
	if next == nil {
		return nil
	}
	return p.say("%s", p.out.paint(dim, "older ones: --before "+visible(*next)))
}

func (p *program) runTable(runs []run.Run) *table {
	t := &table{head: []string{"RUN", "STATUS", "LISTENER", "REPOSITORY", "REF", "COMMIT", "QUEUED", "TOOK"}}
	now := time.Now()
	for _, r := range runs {
		t.add(cell{r.ID, ""}, stateCell(r.Status), cell{r.Listener, ""}, cell{r.Repo, ""}, cell{shorten(orDash(r.About()), 40), ""},
			cell{orDash(shortSHA(text(r.SHA))), ""}, cell{ago(r.QueuedAt, now), dim}, cell{runTook(r, now), dim})
	}
	return t
}

func stateCell(s run.State) cell { return cell{string(s), stateColour(s)} }

func runTook(r run.Run, now time.Time) string {
	switch {
	case r.StartedAt == nil:
		return ""
	case r.FinishedAt == nil:
		return took(now.Sub(*r.StartedAt))
	}
	return took(r.FinishedAt.Sub(*r.StartedAt))
}

func (p *program) runsShow() *urfave.Command {
	return &urfave.Command{
		Name: "show", Usage: "show one run with its attempts",
		UsageText: "lightspeed runs show RUN",
		Description: `Examples:
  lightspeed runs show RUN
  lightspeed runs show RUN --json`,
		Flags: flags([]urfave.Flag{jsonFlag()}, connection),
		Action: p.one("RUN", func(c *urfave.Context, admin *api.Client, id string) error {
			r, err := admin.Run(c.Context, id)
			if err != nil {
				return noRun(err, id)
			}
			return p.showRun(c, r)
		}),
	}
}

func noRun(err error, id string) error { return notFound(err, "run", id, "lightspeed runs list") }

// showRun prints a run, or its JSON.
func (p *program) showRun(c *urfave.Context, r run.Run) error {
	if c.Bool("json") {
		return p.printJSON(r)
	}
	now := time.Now()
	t := &table{}
	t.add(cell{"run", bold}, cell{r.ID, ""})
	t.add(cell{"status", bold}, stateCell(r.Status))
	for _, row := range []struct{ name, value string }{
		{"reason", text(r.Reason)}, {"exit code", text(r.ExitCode)}, {"listener", r.Listener},
		{"cause", causeText(r)}, {"delivery", r.Delivery}, {"event", r.Event}, {"repository", r.Repo}, {"ref", text(r.Ref)},
		{"commit", text(r.SHA)}, {"queued", moment(&r.QueuedAt, now)}, {"started", moment(r.StartedAt, now)},
		{"finished", moment(r.FinishedAt, now)}, {"took", runTook(r, now)}, {"output", logText(r.LogBytes, r.LogCut)},
		{"cancel", asked(r.CancelRequestedAt, now)}, {"slot", heldText(r.SlotHeldUntil)},
	} {
		if row.value != "" {
			t.add(cell{row.name, bold}, cell{row.value, ""})
		}
	}
	for _, n := range r.Notices {
		if n.Status != run.Told {
			t.add(cell{n.Target, bold}, noticeCell(n))
		}
	}
	if err := t.print(p.Stdout, p.out); err != nil || len(r.Attempts) == 0 {
		return err
	}
	if err := p.say(""); err != nil {
		return err
	}
	if err := attemptTable(r.Attempts, now).print(p.Stdout, p.out); err != nil {
		return err
	}
	steps := r.Attempts[len(r.Attempts)-1].Steps
	if len(steps) == 0 {
		return nil
	}
	if err := p.say(""); err != nil {
		return err
	}
	return stepTable(steps, now).print(p.Stdout, p.out)
}

func attemptTable(attempts []run.Attempt, now time.Time) *table {
	t := &table{head: []string{"ATTEMPT", "STATUS", "EXIT", "HOST", "STARTED", "TOOK", "OUTPUT", "REASON"}}
	for _, a := range attempts {
		end := now
		if a.FinishedAt != nil {
			end = *a.FinishedAt
		}
		t.add(cell{fmt.Sprint(a.Attempt), ""}, stateCell(a.Status), cell{orDash(text(a.ExitCode)), ""}, cell{a.Host, ""},
			cell{ago(a.StartedAt, now), dim}, cell{took(end.Sub(a.StartedAt)), dim}, cell{logText(a.LogBytes, a.LogCut), ""}, cell{text(a.Reason), ""})
	}
	return t
}

func causeText(r run.Run) string {
	if r.RetryOf != nil {
		return string(r.Cause) + " of " + *r.RetryOf
	}
	return string(r.Cause)
}

// moment is a time for people, and how long ago that was.
func moment(t *time.Time, now time.Time) string {
	if t == nil {
		return ""
	}
	return t.Local().Format("2006-01-02 15:04:05") + ", " + ago(*t, now)
}

func asked(t *time.Time, now time.Time) string {
	if t == nil {
		return ""
	}
	return "asked for " + ago(*t, now)
}

func logText(bytes int64, cut bool) string {
	if cut {
		return fmt.Sprintf("%d bytes, the middle was cut", bytes)
	}
	return fmt.Sprintf("%d bytes", bytes)
}

func heldText(until *time.Time) string {
	if until == nil {
		return ""
	}
	return "kept until " + until.Local().Format("2006-01-02 15:04:05") + ": it may still run there; `runs release` frees it"
}

func (p *program) runsLog() *urfave.Command {
	return &urfave.Command{
		Name: "log", Usage: "print a run's output, as it was written",
		UsageText: "lightspeed runs log RUN [--follow] [--timestamps] [--attempt N] [--offset BYTES]",
		Description: `Bytes are printed as they are. On a terminal, control sequences other than colours are made visible.

Examples:
  lightspeed runs log RUN
  lightspeed runs log RUN --follow
  lightspeed runs log RUN --timestamps
  lightspeed runs log -f --offset 65536 RUN
  lightspeed runs log --attempt 1 RUN > first.log`,
		Flags: flags([]urfave.Flag{
			&urfave.BoolFlag{Name: "follow", Aliases: []string{"f"}, Usage: "go on until the run has ended"},
			&urfave.BoolFlag{Name: "timestamps", Usage: "begin each line with when it came, in UTC, to a tenth of a second\nby the clock of the listener's machine"},
			&urfave.IntFlag{Name: "attempt", Usage: "of attempt `N`\ndefault the newest"},
			&urfave.Int64Flag{Name: "offset", Usage: "start after so many `BYTES`"},
		}, connection),
		Action: p.one("RUN", func(c *urfave.Context, admin *api.Client, id string) error {
			query := api.LogQuery{Attempt: c.Int("attempt"), Offset: c.Int64("offset")}
			if query.Attempt < 0 || query.Offset < 0 {
				return app.Usagef("", "--attempt and --offset are not negative")
			}
			if !c.Bool("follow") {
				return noRun(p.printLog(c.Context, admin, id, query, c.Bool("timestamps")), id)
			}
			_, err := p.follow(c.Context, admin, id, query, c.Bool("timestamps"))
			return noRun(err, id)
		}),
	}
}

func (p *program) runsCancel() *urfave.Command {
	return &urfave.Command{
		Name: "cancel", Usage: "end a run, or take it out of its queue",
		UsageText: "lightspeed runs cancel RUN [--why TEXT]",
		Description: `Examples:
  lightspeed runs cancel RUN
  lightspeed runs cancel RUN --why "wrong branch"`,
		Flags: flags([]urfave.Flag{
			&urfave.StringFlag{Name: "why", Usage: "`TEXT` for others to read"},
			jsonFlag(),
		}, connection),
		Action: p.one("RUN", func(c *urfave.Context, admin *api.Client, id string) error {
			r, err := admin.Cancel(c.Context, id, api.Cancel{By: p.me(), Why: c.String("why")})
			if err != nil {
				return noRun(err, id)
			}
			if c.Bool("json") {
				return p.printJSON(r)
			}
			if r.Status.Ended() {
				return p.say("%s is %s", visible(r.ID), p.out.paint(stateColour(r.Status), string(r.Status)))
			}
			return p.say("asked for %s to end; `lightspeed runs show %s` says when it has", visible(r.ID), visible(r.ID))
		}),
	}
}

func (p *program) runsRetry() *urfave.Command {
	return &urfave.Command{
		Name: "retry", Usage: "run the same delivery and listener once more, as a new run",
		UsageText: "lightspeed runs retry RUN [--follow]",
		Description: `Examples:
  lightspeed runs retry RUN
  lightspeed runs retry RUN --follow`,
		Flags: flags([]urfave.Flag{followFlag(), jsonFlag()}, connection),
		Action: p.one("RUN", func(c *urfave.Context, admin *api.Client, id string) error {
			r, err := admin.Retry(c.Context, id)
			if err != nil {
				return noRun(err, id)
			}
			if c.Bool("follow") {
				return p.followAll(c.Context, admin, []api.RunRef{{ID: r.ID, Listener: r.Listener}})
			}
			if c.Bool("json") {
				return p.printJSON(r)
			}
			return p.say("queued %s for %s", visible(r.ID), visible(r.Listener))
		}),
	}
}

func followFlag() urfave.Flag {
	return &urfave.BoolFlag{
		Name: "follow", Usage: "show the output, and end with the result: exit code 1 when a run did not pass",
		Action: func(c *urfave.Context, follow bool) error {
			if follow && c.Bool("json") {
				return app.Usagef("leave one of them out", "--follow shows output, and --json an answer")
			}
			return nil
		},
	}
}

func (p *program) runsRelease() *urfave.Command {
	return &urfave.Command{
		Name: "release", Usage: "free the slot that a lost run keeps",
		UsageText: "lightspeed runs release RUN",
		Description: `A lost run keeps its slot, because its processes may still run on that machine. Release it once you know that
they do not.

Examples:
  lightspeed runs release RUN`,
		Flags: flags([]urfave.Flag{jsonFlag()}, connection),
		Action: p.one("RUN", func(c *urfave.Context, admin *api.Client, id string) error {
			r, err := admin.Release(c.Context, id)
			if err != nil {
				return noRun(err, id)
			}
			if c.Bool("json") {
				return p.printJSON(r)
			}
			return p.say("%s keeps no slot any more", visible(r.ID))
		}),
	}
}
