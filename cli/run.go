package cli

import (
	"fmt"
	"strings"
	"time"

	urfave "github.com/urfave/cli/v2"

	"lightspeed/api"
	"lightspeed/app"
	"lightspeed/run"
)

func (p *program) run() *urfave.Command {
	return &urfave.Command{
		Name: "run", Category: groupTry,
		Usage:     "run a config's commands for a delivery, here and now, as the listener would",
		UsageText: "lightspeed run CONFIG --payload FILE [--event push] [--listener NAME] [--artifacts DIR]",
		Description: `Needs no server. The commands get the environment and the files that they would get; with a checkout, a tree of the
commit. Exit code 1 when the run does not pass, or when the delivery is not for this listener.

Examples:
  lightspeed run deploy.json --payload push.json
  lightspeed deliveries payload DELIVERY | lightspeed run deploy.json --payload -`,
		Flags: flags(append(payloadFlags(),
			&urfave.StringFlag{Name: "listener", Usage: "the `NAME` of the listener, when the config has several"},
			&urfave.StringFlag{Name: "artifacts", Usage: "keep the files that the config's artifacts name in `DIR`\ndefault say which these are"},
		), []setting{stateFolder}, logging),
		Action: func(c *urfave.Context) error {
			o, err := p.runOptions(c)
			if err != nil {
				return err
			}
			out, err := p.output(c, logLevel)
			if err != nil {
				return err
			}
			log := p.logOut()
			o.Log = log
			return p.serve(func(stop app.Stop) error {
				outcome, err := app.RunHere(stop, out, o)
				log.end()
				if err != nil {
					return err
				}
				return p.endRun(outcome, o.Artifacts)
			})
		},
	}
}

func (p *program) runOptions(c *urfave.Context) (app.RunOptions, error) {
	if c.NArg() != 1 {
		return app.RunOptions{}, app.Usagef(usageHint(c), "%s needs one CONFIG, and got %d", called(c), c.NArg())
	}
	configs, err := p.configs(c, true)
	if err != nil {
		return app.RunOptions{}, err
	}
	name := c.String("listener")
	var names []string
	for _, one := range configs {
		names = append(names, one.Rules.Name)
		if name != one.Rules.Name && (name != "" || len(configs) > 1) {
			continue
		}
		o := app.RunOptions{Config: one, Artifacts: c.String("artifacts")}
		if o.Delivery, err = p.payload(c); err == nil && one.Checkout != nil {
			o.State, err = p.state(c)
		}
		return o, err
	}
	if name == "" {
		return app.RunOptions{}, app.Usagef("choose one with --listener", "%s has several listeners: %s", c.Args().First(), strings.Join(names, ", "))
	}
	return app.RunOptions{}, app.Usagef("it has "+strings.Join(names, ", "), "%s has no listener %q", c.Args().First(), name)
}

// endRun says on stderr how a run ended, and what is kept of it: stdout carries its output alone.
func (p *program) endRun(o app.Outcome, folder string) error {
	if len(o.Steps) > 1 {
		if err := stepTable(o.Steps, time.Now()).print(p.Stderr, p.err); err != nil {
			return err
		}
	}
	p.noteArtifacts(o.Artifacts, folder)
	if o.Status == run.Passed {
		p.note("passed")
		return nil
	}
	return fmt.Errorf("the run did not pass: %s: %s", o.Status, o.Reason)
}

func (p *program) noteArtifacts(kept []api.Artifact, folder string) {
	for _, one := range kept {
		p.note("artifact %q, %d bytes", one.Path, one.Bytes)
	}
	switch {
	case len(kept) == 0:
	case folder == "":
		p.note("admin would keep these: run keeps them with --artifacts DIR")
	default:
		p.note("kept in %s", folder)
	}
}
