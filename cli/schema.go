package cli

import (
	urfave "github.com/urfave/cli/v2"

	"lightspeed/listener/config"
)

func (p *program) schema() *urfave.Command {
	return &urfave.Command{
		Name: "schema", Category: groupTry,
		Usage:     "print the JSON Schema of a config, for editors",
		UsageText: "lightspeed schema",
		Description: `Editors complete keys and mark mistakes by it. In VS Code's settings, for files that are called so:

  "json.schemas": [{"fileMatch": ["*.lightspeed.json"], "url": "./lightspeed.schema.json"}]

Examples:
  lightspeed schema > lightspeed.schema.json`,
		Action: func(c *urfave.Context) error {
			if _, err := want(c); err != nil {
				return err
			}
			_, err := p.Stdout.Write(config.Schema)
			return err
		},
	}
}
