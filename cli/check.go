package cli

import (
	urfave "github.com/urfave/cli/v2"
)

func (p *program) check() *urfave.Command {
	return &urfave.Command{
		Name: "check", Category: groupTry,
		Usage:     "validate configs, and say in one sentence what each listens for",
		UsageText: "lightspeed check CONFIG...",
		Description: `Needs no server, and none of the folders that the configs name. Warnings go to stderr and do not count.

Examples:
  lightspeed check deploy.json
  lightspeed check /etc/lightspeed/*.json`,
		Action: func(c *urfave.Context) error {
			configs, err := p.configs(c, true)
			if err != nil {
				return err
			}
			for _, one := range configs {
				if err := p.say("%s", one.Rules.Sentence()); err != nil {
					return err
				}
			}
			return nil
		},
	}
}
