package cli

import (
	"errors"
	"fmt"
	"io"
	"os"

	urfave "github.com/urfave/cli/v2"

	"lightspeed/api"
	"lightspeed/app"
)

func (p *program) runsArtifacts() *urfave.Command {
	return &urfave.Command{
		Name: "artifacts", Usage: "list what a run has kept, or get one of it",
		UsageText: "lightspeed runs artifacts RUN [PATH] [-o FILE]",
		Description: `With PATH: print that artifact, or write it to FILE.

Examples:
  lightspeed runs artifacts RUN
  lightspeed runs artifacts RUN dist/app.tar.gz -o app.tar.gz
  lightspeed runs artifacts RUN report.txt --attempt 1`,
		Flags: flags([]urfave.Flag{
			&urfave.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "write to `FILE`, which is replaced\ndefault standard output"},
			&urfave.IntFlag{Name: "attempt", Usage: "of attempt `N`\ndefault the newest that has it"},
			jsonFlag(),
		}, connection),
		Action: func(c *urfave.Context) error {
			if c.NArg() < 1 || c.NArg() > 2 {
				return app.Usagef(usageHint(c), "%s needs RUN, and may have a PATH; it got %d arguments", called(c), c.NArg())
			}
			admin, err := p.client(c)
			if err != nil {
				return err
			}
			id := c.Args().First()
			if c.NArg() == 2 {
				return noRun(p.getArtifact(c, admin, id, c.Args().Get(1)), id)
			}
			return noRun(p.listArtifacts(c, admin, id), id)
		},
	}
}

func (p *program) listArtifacts(c *urfave.Context, admin *api.Client, id string) error {
	list, err := admin.Artifacts(c.Context, id)
	if err != nil {
		return err
	}
	if c.Bool("json") {
		return p.printJSON(list)
	}
	if len(list.Items) == 0 {
		return p.say("no artifacts")
	}
	t := &table{head: []string{"PATH", "BYTES", "ATTEMPT", "SHA256"}}
	for _, one := range list.Items {
		t.add(cell{one.Path, ""}, cell{fmt.Sprint(one.Bytes), ""}, cell{fmt.Sprint(one.Attempt), dim}, cell{one.SHA256, dim})
	}
	return t.print(p.Stdout, p.out)
}

// getArtifact copies an artifact to where the caller says: its own path names no file here.
func (p *program) getArtifact(c *urfave.Context, admin *api.Client, id, path string) error {
	body, err := admin.Artifact(c.Context, id, path, c.Int("attempt"))
	if api.IsCode(err, api.NotFound) {
		if _, known := admin.Run(c.Context, id); known == nil {
			return app.Failf("lightspeed runs artifacts "+id, "%s", err)
		}
	}
	if err != nil {
		return err
	}
	defer body.Close()
	name := c.String("output")
	if name == "" {
		_, err = io.Copy(p.Stdout, body)
		return err
	}
	return writeFile(name, body)
}

// writeFile replaces a file when all of its new content is there.
func writeFile(name string, from io.Reader) error {
	part := name + ".part"
	f, err := os.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, from)
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(part))
	}
	return os.Rename(part, name)
}
