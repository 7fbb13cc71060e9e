package cli

import (
	"fmt"
	"io"
	"os"

	urfave "github.com/urfave/cli/v2"

	"lightspeed/api"
	"lightspeed/app"
	"lightspeed/event"
	"lightspeed/match"
)

func (p *program) explain() *urfave.Command {
	return &urfave.Command{
		Name: "explain", Category: groupTry,
		Usage:     "say which listener a delivery is for, and why not for the others",
		UsageText: "lightspeed explain CONFIG... --payload FILE [--event push]\nlightspeed explain --delivery ID",
		Description: `With configs: needs no server. With --delivery: asks admin about a delivery that came in, as the rules were then.
Exit code 1 when nothing matches.

Examples:
  lightspeed explain deploy.json --payload push.json
  lightspeed explain --event pull_request --payload pr.json deploy.json tests.json
  lightspeed explain --delivery DELIVERY`,
		Flags: flags(append(payloadFlags(),
			&urfave.StringFlag{Name: "delivery", Usage: "ask admin about the delivery with this `ID`"},
			jsonFlag(),
		), connection),
		Action: func(c *urfave.Context) error {
			if id := c.String("delivery"); id != "" {
				return p.explainStored(c, id)
			}
			configs, err := p.configs(c, true)
			if err != nil {
				return err
			}
			d, err := p.payload(c)
			if err != nil {
				return err
			}
			rules := make([]match.Rules, len(configs))
			for i, one := range configs {
				rules[i] = one.Rules
			}
			decided, err := explainRules(d, rules)
			if err != nil {
				return err
			}
			return p.answerExplanation(c, decided)
		},
	}
}

// payloadFlags name a delivery that stands in a file.
func payloadFlags() []urfave.Flag {
	return []urfave.Flag{
		&urfave.StringFlag{Name: "payload", Usage: "`FILE` with a delivery's body; - reads stdin"},
		&urfave.StringFlag{Name: "event", Value: event.Push, Usage: "the `EVENT` that it is, as in X-GitHub-Event\ndefault push"},
	}
}

// payload reads the delivery that --payload and --event name.
func (p *program) payload(c *urfave.Context) (event.Delivery, error) {
	path := c.String("payload")
	if path == "" {
		return event.Delivery{}, app.Usagef(usageHint(c), "%s needs --payload FILE", called(c))
	}
	body, err := p.readBody(path)
	return event.Delivery{Event: c.String("event"), ContentType: contentType(body), Body: body}, err
}

// readBody reads a delivery's body from a file, or from stdin for "-".
func (p *program) readBody(path string) ([]byte, error) {
	source := p.Stdin
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, &app.Error{Err: err, Usage: true}
		}
		defer f.Close()
		source = f
	}
	body, err := io.ReadAll(io.LimitReader(source, event.MaxPayload+1))
	if err != nil {
		return nil, err
	}
	if len(body) > event.MaxPayload {
		return nil, app.Usagef("", "%s is larger than %d MiB, the most that GitHub sends", path, event.MaxPayload>>20)
	}
	return body, nil
}

// contentType tells the two forms apart in which GitHub sends a body.
func contentType(body []byte) string {
	if len(body) > 0 && body[0] != 'p' {
		return "application/json"
	}
	return "application/x-www-form-urlencoded"
}

// explainRules decides for each listener as admin would.
func explainRules(d event.Delivery, rules []match.Rules) (api.Explanation, error) {
	e, err := event.Parse(d)
	if err != nil {
		return api.Explanation{}, &app.Error{Err: err, Usage: true}
	}
	result := api.Explanation{Status: api.Accepted, Listeners: []api.Decision{}}
	if e.Ignored != "" {
		result.Status, result.Why = api.Ignored, &e.Ignored
		return result, nil
	}
	for _, r := range rules {
		matcher, err := match.Compile(r)
		if err != nil {
			return result, err
		}
		result.Listeners = append(result.Listeners, api.Decision{Listener: r.Name, Decision: matcher.Match(e)})
	}
	return result, nil
}

func (p *program) explainStored(c *urfave.Context, id string) error {
	if c.NArg() > 0 || c.IsSet("payload") {
		return app.Usagef(usageHint(c), "--delivery asks admin, and goes without configs and --payload")
	}
	admin, err := p.client(c)
	if err != nil {
		return err
	}
	return p.explainDelivery(c, admin, id)
}

// explainDelivery prints why a stored delivery led to runs or not.
func (p *program) explainDelivery(c *urfave.Context, admin *api.Client, id string) error {
	e, err := admin.Explain(c.Context, id)
	if err != nil {
		return noDelivery(err, id)
	}
	return p.answerExplanation(c, e)
}

// answerExplanation prints an explanation; its exit code says whether anything matched.
func (p *program) answerExplanation(c *urfave.Context, e api.Explanation) error {
	show := p.showExplanation
	if c.Bool("json") {
		show = func(e api.Explanation) error { return p.printJSON(e) }
	}
	if err := show(e); err != nil {
		return err
	}
	for _, d := range e.Listeners {
		if d.Matched {
			return nil
		}
	}
	return exit(exitFail)
}

// showExplanation prints a line for each listener: matched, or the first rule that did not hold.
func (p *program) showExplanation(e api.Explanation) error {
	if e.Why != nil {
		return p.say("%s: %s", visible(e.Status), visible(*e.Why))
	}
	if len(e.Listeners) == 0 {
		return p.say("no listener was there")
	}
	t := &table{}
	for _, d := range e.Listeners {
		switch {
		case d.Matched && d.Run != nil:
			t.add(cell{d.Listener, bold}, cell{"matched", green}, cell{fmt.Sprintf("run %s", *d.Run), ""})
		case d.Matched:
			t.add(cell{d.Listener, bold}, cell{"matched", green})
		default:
			t.add(cell{d.Listener, bold}, cell{"no", dim}, cell{d.Why, ""})
		}
	}
	return t.print(p.Stdout, p.out)
}
