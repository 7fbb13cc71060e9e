package cli

import (
	"os"

	urfave "github.com/urfave/cli/v2"

	"lightspeed/api"
	"lightspeed/app"
)

// Headings of the root's help.
const (
	groupStart = "Start here"
	groupServe = "Servers"
	groupTry   = "Write and try configs"
	groupWatch = "Watch and act, through admin"
)

// jsonFlag makes a command print the API's own JSON.
func jsonFlag() urfave.Flag {
	return &urfave.BoolFlag{Name: "json", Usage: "print the API's own JSON"}
}

// pageFlags choose a page of a list.
func pageFlags() []urfave.Flag {
	return []urfave.Flag{
		&urfave.IntFlag{Name: "limit", Value: 20, Usage: "show `N` at most, up to 200\ndefault 20"},
		&urfave.StringFlag{Name: "before", Usage: "go on where a page ended: the `NEXT` that it showed"},
		jsonFlag(),
	}
}

// limit reads --limit.
func limit(c *urfave.Context) (int, error) {
	n := c.Int("limit")
	if n < 1 || n > api.MaxLimit {
		return 0, app.Usagef("", "--limit is %d, and must be from 1 to %d", n, api.MaxLimit)
	}
	return n, nil
}

// client makes a client of admin.
func (p *program) client(c *urfave.Context) (*api.Client, error) {
	o, err := p.clientOptions(c)
	if err != nil {
		return nil, err
	}
	return app.NewClient(o)
}

// one is the frame of a command that has one argument and asks admin about it.
func (p *program) one(name string, action func(c *urfave.Context, admin *api.Client, arg string) error) urfave.ActionFunc {
	return func(c *urfave.Context) error {
		args, err := want(c, name)
		if err != nil {
			return err
		}
		admin, err := p.client(c)
		if err != nil {
			return err
		}
		return action(c, admin, args[0])
	}
}

// list is the frame of a command that has no argument and asks admin for a page of something.
func (p *program) list(action func(c *urfave.Context, admin *api.Client, limit int) error) urfave.ActionFunc {
	return func(c *urfave.Context) error {
		if _, err := want(c); err != nil {
			return err
		}
		n, err := limit(c)
		if err != nil {
			return err
		}
		admin, err := p.client(c)
		if err != nil {
			return err
		}
		return action(c, admin, n)
	}
}

// me says to admin who asked, for others to see.
func (p *program) me() string {
	who := p.getenv("USER")
	if who == "" {
		who = "someone"
	}
	if host, err := os.Hostname(); err == nil {
		who += "@" + host
	}
	return who
}
