package cli

import (
	urfave "github.com/urfave/cli/v2"

	"lightspeed/api"
)

func (p *program) listenersPause() *urfave.Command {
	return &urfave.Command{
		Name: "pause", Usage: "give a listener no runs for now; what runs goes on",
		UsageText: "lightspeed listeners pause NAME [--note TEXT]",
		Description: `Its runs wait, until "listeners resume". The pause stays when admin or the listener restart.

Examples:
  lightspeed listeners pause deploy --note "moving to another machine"`,
		Flags: flags([]urfave.Flag{
			&urfave.StringFlag{Name: "note", Usage: "`TEXT` for others to read"},
			jsonFlag(),
		}, connection),
		Action: p.one("NAME", func(c *urfave.Context, admin *api.Client, name string) error {
			l, err := admin.Pause(c.Context, name, api.Pause{Note: c.String("note"), By: p.me()})
			if err != nil {
				return noListener(err, name)
			}
			if c.Bool("json") {
				return p.printJSON(l)
			}
			return p.say("paused %s: `lightspeed listeners resume %s` lets it go on", visible(name), visible(name))
		}),
	}
}

func (p *program) listenersResume() *urfave.Command {
	return &urfave.Command{
		Name: "resume", Usage: "give a paused listener runs again",
		UsageText: "lightspeed listeners resume NAME",
		Description: `Examples:
  lightspeed listeners resume deploy`,
		Flags: flags([]urfave.Flag{jsonFlag()}, connection),
		Action: p.one("NAME", func(c *urfave.Context, admin *api.Client, name string) error {
			l, err := admin.Resume(c.Context, name)
			if err != nil {
				return noListener(err, name)
			}
			if c.Bool("json") {
				return p.printJSON(l)
			}
			return p.say("%s gets runs again", visible(name))
		}),
	}
}
