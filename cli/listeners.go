package cli

import (
	"fmt"
	"strings"
	"time"

	urfave "github.com/urfave/cli/v2"

	"lightspeed/api"
	"lightspeed/app"
)

func (p *program) listeners() *urfave.Command {
	return &urfave.Command{
		Name: "listeners", Category: groupWatch,
		Usage:     "list and show listeners, start one by hand, pause, resume, remove one",
		UsageText: "lightspeed listeners [COMMAND]",
		Description: `Without a command: list.

Examples:
  lightspeed listeners
  lightspeed listeners trigger NAME --repo me/my-app --branch main`,
		Subcommands: []*urfave.Command{p.listenersList(), p.listenersShow(), p.listenersTrigger(), p.listenersPause(), p.listenersResume(), p.listenersRemove()},
	}
}

func (p *program) listenersList() *urfave.Command {
	return &urfave.Command{
		Name: "list", Usage: "list listeners by name",
		UsageText: "lightspeed listeners list [--limit N] [--before NEXT]",
		Description: `Examples:
  lightspeed listeners list
  lightspeed listeners list --json`,
		Flags: flags(pageFlags(), connection),
		Action: p.list(func(c *urfave.Context, admin *api.Client, limit int) error {
			page, err := admin.Listeners(c.Context, limit, c.String("before"))
			if err != nil {
				return err
			}
			if c.Bool("json") {
				return p.printJSON(page)
			}
			if len(page.Items) == 0 {
				return p.say("no listeners: `lightspeed listen CONFIG` starts one")
			}
			if err := listenerTable(page.Items).print(p.Stdout, p.out); err != nil {
				return err
			}
			return p.more(page.Next)
		}),
	}
}

func listenerTable(listeners []api.Listener) *table {
	t := &table{head: []string{"LISTENER", "STATE", "RUNNING", "QUEUED", "LAST RUN", "LISTENS FOR"}}
	now := time.Now()
	for _, l := range listeners {
		t.add(cell{l.Name, ""}, listenerState(l), cell{runningText(l), ""}, cell{fmt.Sprint(l.Queued), ""}, lastRun(l, now), cell{listensFor(l), dim})
	}
	return t
}

// listensFor is admin's sentence without its subject, which stands beside it.
func listensFor(l api.Listener) string { return strings.TrimPrefix(l.Says, l.Name+" listens for ") }

// listenerState says in a word whether runs are taken.
func listenerState(l api.Listener) cell {
	if l.Paused != nil {
		return cell{"paused", yellow}
	}
	if l.Connected {
		return cell{"connected", green}
	}
	for _, i := range l.Instances {
		if i.Connected && i.Outdated {
			return cell{"outdated", yellow}
		}
	}
	return cell{"away", red}
}

func runningText(l api.Listener) string {
	if l.Held > 0 {
		return fmt.Sprintf("%d, %d held", l.Running, l.Held)
	}
	return fmt.Sprint(l.Running)
}

func lastRun(l api.Listener, now time.Time) cell {
	if l.LastRun == nil {
		return cell{"-", dim}
	}
	return cell{string(l.LastRun.Status) + " " + ago(l.LastRun.FinishedAt, now), stateColour(l.LastRun.Status)}
}

func (p *program) listenersShow() *urfave.Command {
	return &urfave.Command{
		Name: "show", Usage: "show one listener and the machines that share it",
		UsageText: "lightspeed listeners show NAME",
		Description: `Examples:
  lightspeed listeners show NAME
  lightspeed listeners show NAME --json`,
		Flags: flags([]urfave.Flag{jsonFlag()}, connection),
		Action: p.one("NAME", func(c *urfave.Context, admin *api.Client, name string) error {
			l, err := admin.Listener(c.Context, name)
			if err != nil {
				return noListener(err, name)
			}
			if c.Bool("json") {
				return p.printJSON(l)
			}
			return p.showListener(l)
		}),
	}
}

func pausedText(p api.Paused, now time.Time) string {
	said := moment(&p.At, now)
	if p.By != "" {
		said += ", by " + p.By
	}
	if p.Note != "" {
		said += ": " + p.Note
	}
	return said
}

func noListener(err error, name string) error {
	return notFound(err, "listener", name, "lightspeed listeners list")
}

func (p *program) showListener(l api.Listener) error {
	now := time.Now()
	last := lastRun(l, now)
	if l.LastRun != nil {
		last.text += ", " + l.LastRun.ID
	}
	t := &table{}
	t.add(cell{"listener", bold}, cell{l.Name, ""})
	t.add(cell{"state", bold}, listenerState(l))
	if l.Paused != nil {
		t.add(cell{"paused", bold}, cell{pausedText(*l.Paused, now), ""})
	}
	t.add(cell{"listens for", bold}, cell{listensFor(l), ""})
	t.add(cell{"runs", bold}, cell{fmt.Sprintf("%s running, %d queued, at most %d at once", runningText(l), l.Queued, l.Settings.Concurrency), ""})
	t.add(cell{"when busy", bold}, cell{l.Settings.WhenBusy, ""})
	t.add(cell{"when lost", bold}, cell{l.Settings.OnLost, ""})
	t.add(cell{"last run", bold}, last)
	for _, i := range l.Instances {
		if i.Waiting != nil {
			t.add(cell{"work", bold}, cell{fmt.Sprintf("%s %v, since %s", i.Host, i.Waiting, moment(&i.Waiting.Since, now)), yellow})
		}
	}
	t.add(cell{"registered", bold}, cell{moment(&l.RegisteredAt, now) + fmt.Sprintf(", revision %d", l.Revision), ""})
	if err := t.print(p.Stdout, p.out); err != nil || len(l.Instances) == 0 {
		return err
	}
	hosts := &table{head: []string{"HOST", "STATE", "TOLD BY", "SEEN", "INSTANCE"}}
	for _, i := range l.Instances {
		hosts.add(cell{i.Host, ""}, instanceState(i), cell{i.Via, ""}, cell{ago(i.LastSeen, now), dim}, cell{i.Instance, dim})
	}
	if err := p.say(""); err != nil {
		return err
	}
	return hosts.print(p.Stdout, p.out)
}

func instanceState(i api.Instance) cell {
	switch {
	case i.Outdated:
		return cell{"outdated", yellow}
	case i.Connected:
		return cell{"connected", green}
	}
	return cell{"away", red}
}

func (p *program) listenersTrigger() *urfave.Command {
	return &urfave.Command{
		Name: "trigger", Usage: "start a run by hand, without a push",
		UsageText: "lightspeed listeners trigger NAME --repo OWNER/REPO (--branch NAME | --tag NAME) [--sha COMMIT] [--follow]",
		Description: `Examples:
  lightspeed listeners trigger tests --repo me/my-app --branch main --follow
  lightspeed listeners trigger --repo me/my-app --tag v1.2 release`,
		Flags: flags([]urfave.Flag{
			&urfave.StringFlag{Name: "repo", Usage: "for this `OWNER/REPO`"},
			&urfave.StringFlag{Name: "branch", Usage: "for this `BRANCH`"},
			&urfave.StringFlag{Name: "tag", Usage: "for this `TAG`"},
			&urfave.StringFlag{Name: "sha", Usage: "for this `COMMIT`"},
			followFlag(), jsonFlag(),
		}, connection),
		Action: p.one("NAME", func(c *urfave.Context, admin *api.Client, name string) error {
			t := api.Trigger{Repo: c.String("repo"), Branch: c.String("branch"), Tag: c.String("tag"), SHA: c.String("sha")}
			if err := checkTrigger(c, t); err != nil {
				return err
			}
			receipt, err := admin.Trigger(c.Context, name, t)
			if err != nil {
				return noListener(err, name)
			}
			if c.Bool("follow") {
				return p.followAll(c.Context, admin, receipt.Runs)
			}
			if c.Bool("json") {
				return p.printJSON(receipt)
			}
			return p.showReceipt(receipt)
		}),
	}
}

func checkTrigger(c *urfave.Context, t api.Trigger) error {
	if owner, name, ok := strings.Cut(t.Repo, "/"); !ok || owner == "" || name == "" || strings.Contains(name, "/") {
		return app.Usagef(usageHint(c), "--repo is %q, and must be OWNER/REPO", t.Repo)
	}
	if (t.Branch == "") == (t.Tag == "") {
		return app.Usagef(usageHint(c), "give either --branch or --tag")
	}
	return nil
}

func (p *program) listenersRemove() *urfave.Command {
	return &urfave.Command{
		Name: "remove", Usage: "forget a listener that will not come back",
		UsageText: "lightspeed listeners remove NAME [--force]",
		Description: `Its queued runs are cancelled. A listener that is connected is refused without --force.

Examples:
  lightspeed listeners remove old-tests
  lightspeed listeners remove --force old-tests`,
		Flags: flags([]urfave.Flag{
			&urfave.BoolFlag{Name: "force", Usage: "also when it is connected"},
		}, connection),
		Action: p.one("NAME", func(c *urfave.Context, admin *api.Client, name string) error {
			err := admin.RemoveListener(c.Context, name, c.Bool("force"))
			if api.IsCode(err, api.Conflict) {
				return &app.Error{Err: err, Hint: "stop it first, or use --force"}
			}
			if err != nil {
				return noListener(err, name)
			}
			return p.say("removed %s", visible(name))
		}),
	}
}
