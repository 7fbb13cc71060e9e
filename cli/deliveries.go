package cli

import (
	"fmt"
	"strings"
	"time"

	urfave "github.com/urfave/cli/v2"

	"lightspeed/api"
)

func (p *program) deliveries() *urfave.Command {
	return &urfave.Command{
		Name: "deliveries", Category: groupWatch,
		Usage:     "list and show what came in, say why it ran or not, replay it",
		UsageText: "lightspeed deliveries [COMMAND]",
		Description: `Without a command: list.

Examples:
  lightspeed deliveries
  lightspeed deliveries explain DELIVERY
  lightspeed deliveries replay DELIVERY --dry-run`,
		Subcommands: []*urfave.Command{
			p.deliveriesList(), p.deliveriesShow(), p.deliveriesPayload(), p.deliveriesExplain(), p.deliveriesReplay(),
			p.deliveriesRecover(), p.deliveriesGaps(),
		},
	}
}

func (p *program) deliveriesList() *urfave.Command {
	return &urfave.Command{
		Name: "list", Usage: "list deliveries, newest first",
		UsageText: "lightspeed deliveries list [--limit N] [--before NEXT]",
		Description: `Examples:
  lightspeed deliveries list
  lightspeed deliveries list --limit 100 --json`,
		Flags: flags(pageFlags(), connection),
		Action: p.list(func(c *urfave.Context, admin *api.Client, limit int) error {
			page, err := admin.Deliveries(c.Context, limit, c.String("before"))
			if err != nil {
				return err
			}
			if c.Bool("json") {
				return p.printJSON(page)
			}
			if len(page.Items) == 0 {
				return p.say("no deliveries")
			}
			if err := deliveryTable(page.Items).print(p.Stdout, p.out); err != nil {
				return err
			}
			return p.more(page.Next)
		}),
	}
}

func deliveryTable(deliveries []api.Delivery) *table {
	t := &table{head: []string{"DELIVERY", "EVENT", "REPOSITORY", "REF", "COMMIT", "RECEIVED", "RUNS", "MESSAGE"}}
	now := time.Now()
	for _, d := range deliveries {
		t.add(cell{d.ID, ""}, cell{eventText(d), ""}, cell{orDash(text(d.Repo)), ""}, cell{shorten(deliveryRef(d), 40), ""},
			cell{orDash(shortSHA(text(d.SHA))), ""}, cell{ago(d.ReceivedAt, now), dim}, deliveryRuns(d), cell{shorten(text(d.Message), 50), dim})
	}
	return t
}

func eventText(d api.Delivery) string {
	if d.Action != nil && *d.Action != "" {
		return d.Event + ":" + *d.Action
	}
	return d.Event
}

func deliveryRef(d api.Delivery) string {
	switch {
	case d.PR != nil:
		return fmt.Sprintf("#%d", *d.PR)
	case d.Tag != nil:
		return "tag " + *d.Tag
	case d.Branch != nil:
		return *d.Branch
	}
	return orDash(text(d.Ref))
}

// deliveryRuns says what a delivery led to: "ignored", "none", "passed", "2 passed, 1 failed".
func deliveryRuns(d api.Delivery) cell {
	if d.Status == api.Ignored {
		return cell{"ignored", dim}
	}
	if len(d.Runs) == 0 {
		return cell{"none", dim}
	}
	if len(d.Runs) == 1 {
		return stateCell(d.Runs[0].Status)
	}
	var order []string
	counts := map[string]int{}
	for _, r := range d.Runs {
		if counts[string(r.Status)]++; counts[string(r.Status)] == 1 {
			order = append(order, string(r.Status))
		}
	}
	for i, status := range order {
		order[i] = fmt.Sprintf("%d %s", counts[status], status)
	}
	return cell{strings.Join(order, ", "), ""}
}

func (p *program) deliveriesShow() *urfave.Command {
	return &urfave.Command{
		Name: "show", Usage: "show one delivery, what it led to, and why",
		UsageText: "lightspeed deliveries show DELIVERY",
		Description: `Examples:
  lightspeed deliveries show DELIVERY
  lightspeed deliveries show DELIVERY --json`,
		Flags: flags([]urfave.Flag{jsonFlag()}, connection),
		Action: p.one("DELIVERY", func(c *urfave.Context, admin *api.Client, id string) error {
			d, err := admin.Delivery(c.Context, id)
			if err != nil {
				return noDelivery(err, id)
			}
			if c.Bool("json") {
				return p.printJSON(d)
			}
			if err := p.showDelivery(d); err != nil {
				return err
			}
			if d.PayloadPrunedAt != nil {
				return p.say("\n%s", p.out.paint(dim, "its payload was deleted on "+d.PayloadPrunedAt.Format(time.DateOnly)+": it can be neither explained nor replayed"))
			}
			e, err := admin.Explain(c.Context, id)
			if err != nil {
				return noDelivery(err, id)
			}
			if err := p.say(""); err != nil {
				return err
			}
			return p.showExplanation(e)
		}),
	}
}

func noDelivery(err error, id string) error {
	return notFound(err, "delivery", id, "lightspeed deliveries list")
}

func (p *program) showDelivery(d api.Delivery) error {
	now := time.Now()
	t := &table{}
	for _, row := range []struct{ name, value string }{
		{"delivery", d.ID}, {"status", d.Status}, {"why", text(d.Why)}, {"event", eventText(d)}, {"repository", text(d.Repo)},
		{"ref", text(d.Ref)}, {"commit", text(d.SHA)}, {"before", text(d.Before)}, {"pusher", text(d.Pusher)},
		{"message", text(d.Message)}, {"page", text(d.URL)}, {"received", moment(&d.ReceivedAt, now)}, {"recovered", recoveredText(d, now)}, {"size", fmt.Sprintf("%d bytes", d.Bytes)},
	} {
		if row.value != "" {
			t.add(cell{row.name, bold}, cell{row.value, ""})
		}
	}
	if err := t.print(p.Stdout, p.out); err != nil || len(d.Runs) == 0 {
		return err
	}
	runs := &table{head: []string{"RUN", "STATUS", "LISTENER", "CAUSE"}}
	for _, r := range d.Runs {
		runs.add(cell{r.ID, ""}, stateCell(r.Status), cell{r.Listener, ""}, cell{string(r.Cause), ""})
	}
	if err := p.say(""); err != nil {
		return err
	}
	return runs.print(p.Stdout, p.out)
}

// recoveredText says that GitHub was asked for a delivery again, or nothing.
func recoveredText(d api.Delivery, now time.Time) string {
	if d.RecoveredAt == nil {
		return ""
	}
	return "GitHub was asked for it again " + ago(*d.RecoveredAt, now)
}

func (p *program) deliveriesPayload() *urfave.Command {
	return &urfave.Command{
		Name: "payload", Usage: "print the raw body of a delivery",
		UsageText: "lightspeed deliveries payload DELIVERY",
		Description: `Examples:
  lightspeed deliveries payload DELIVERY > push.json
  lightspeed deliveries payload DELIVERY | jq .head_commit`,
		Flags: flags(nil, connection),
		Action: p.one("DELIVERY", func(c *urfave.Context, admin *api.Client, id string) error {
			body, err := admin.Payload(c.Context, id)
			if err != nil {
				return noDelivery(err, id)
			}
			out := p.logOut()
			defer out.end()
			_, err = out.Write(body)
			return err
		}),
	}
}

func (p *program) deliveriesExplain() *urfave.Command {
	return &urfave.Command{
		Name: "explain", Usage: "say for each listener why a delivery led to a run or not",
		UsageText: "lightspeed deliveries explain DELIVERY",
		Description: `As the rules were when the delivery came in. Exit code 1 when nothing matched.

Examples:
  lightspeed deliveries explain DELIVERY`,
		Flags: flags([]urfave.Flag{jsonFlag()}, connection),
		Action: p.one("DELIVERY", func(c *urfave.Context, admin *api.Client, id string) error {
			return p.explainDelivery(c, admin, id)
		}),
	}
}

func (p *program) deliveriesReplay() *urfave.Command {
	return &urfave.Command{
		Name: "replay", Usage: "run a stored delivery again",
		UsageText: "lightspeed deliveries replay DELIVERY [--listener NAME]... [--dry-run] [--follow]",
		Description: `For the listeners named, or for all whose rules hold now.

Examples:
  lightspeed deliveries replay DELIVERY --dry-run
  lightspeed deliveries replay DELIVERY --listener tests --follow`,
		Flags: flags([]urfave.Flag{
			&urfave.StringSliceFlag{Name: "listener", Usage: "only for this `LISTENER` (repeatable)"},
			&urfave.BoolFlag{Name: "dry-run", Usage: "say what would run, and run nothing"},
			followFlag(), jsonFlag(),
		}, connection),
		Action: p.one("DELIVERY", func(c *urfave.Context, admin *api.Client, id string) error {
			receipt, err := admin.Replay(c.Context, id, api.Replay{Listeners: c.StringSlice("listener")}, c.Bool("dry-run"))
			if err != nil {
				return noDelivery(err, id)
			}
			if c.Bool("json") {
				return p.printJSON(receipt)
			}
			if err := p.showReceipt(receipt); err != nil || !c.Bool("follow") || receipt.DryRun {
				return err
			}
			return p.followAll(c.Context, admin, receipt.Runs)
		}),
	}
}

// showReceipt says what a delivery led to, and what was about its repository and did not match.
func (p *program) showReceipt(r api.Receipt) error {
	if r.Status == api.Ignored {
		return p.say("ignored: delivery %s: %s", visible(r.Delivery), visible(r.Why))
	}
	verb := "queued"
	if r.DryRun {
		verb = "would queue"
	}
	for _, ref := range r.Runs {
		if err := p.say("%s %s for %s", verb, visible(orDash(ref.ID)), p.out.paint(bold, visible(ref.Listener))); err != nil {
			return err
		}
	}
	for _, s := range r.Skipped {
		if err := p.say("%s", p.out.paint(dim, "not for "+visible(s.Listener)+": "+visible(s.Why))); err != nil {
			return err
		}
	}
	if r.SkippedMore > 0 {
		return p.say("%s", p.out.paint(dim, fmt.Sprintf("nor for %d more", r.SkippedMore)))
	}
	if len(r.Runs) == 0 && r.Status != api.Duplicate && r.Status != api.Pong && r.Status != api.Spooled {
		return p.say("nothing runs: no listener matched")
	}
	return nil
}
