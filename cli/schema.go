package cli

import (
	urfave "github.com/urfave/cli/v2"

	"lightspeed/api"
	"lightspeed/listener/config"
)

func (p *program) schema() *urfave.Command {
	return &urfave.Command{
		Name: "schema", Category: groupTry,
		Usage:     "print the JSON Schema of a config, for editors; or what describes admin's API",
		UsageText: "lightspeed schema [--api]",
		Description: `Editors complete keys and mark mistakes by it. In VS Code's settings, for files that are called so:

  "json.schemas": [{"fileMatch": ["*.lightspeed.json"], "url": "./lightspeed.schema.json"}]

Examples:
  lightspeed schema > lightspeed.schema.json
  lightspeed schema --api > openapi.json`,
		Flags: []urfave.Flag{&urfave.BoolFlag{Name: "api", Usage: "print the OpenAPI 3.1 document of admin's API instead,\nas GET /api/v1/openapi.json answers it"}},
		Action: func(c *urfave.Context) error {
			if _, err := want(c); err != nil {
				return err
			}
			text := config.Schema
			if c.Bool("api") {
				text = api.OpenAPI
			}
			_, err := p.Stdout.Write(text)
			return err
		},
	}
}
