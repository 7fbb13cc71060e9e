package cli

import (
	"fmt"
	"slices"
	"strings"
	"time"

	urfave "github.com/urfave/cli/v2"

	"lightspeed/api"
	"lightspeed/app"
)

func (p *program) token() *urfave.Command {
	return &urfave.Command{
		Name: "token", Category: groupWatch,
		Usage:     "make, list and revoke tokens of people, hooks and listeners",
		UsageText: "lightspeed token [COMMAND]",
		Description: `Without a command: list. Admin keeps only a hash of each.

Examples:
  lightspeed token create hooks > hooks-token
  lightspeed token create listener --listener my-app --listener 'team-*'
  lightspeed token revoke ID`,
		Subcommands: []*urfave.Command{p.tokenList(), p.tokenCreate(), p.tokenRevoke()},
	}
}

func (p *program) tokenList() *urfave.Command {
	return &urfave.Command{
		Name: "list", Usage: "list tokens, newest first, and when each was last used",
		UsageText: "lightspeed token list",
		Description: `Examples:
  lightspeed token list
  lightspeed token list --json`,
		Flags: flags([]urfave.Flag{jsonFlag()}, connection),
		Action: func(c *urfave.Context) error {
			if _, err := want(c); err != nil {
				return err
			}
			admin, err := p.client(c)
			if err != nil {
				return err
			}
			list, err := admin.Tokens(c.Context)
			switch {
			case err != nil:
				return err
			case c.Bool("json"):
				return p.printJSON(list)
			case len(list.Items) == 0:
				return p.say("no tokens but those that admin was started with")
			}
			return tokenTable(list.Items).print(p.Stdout, p.out)
		},
	}
}

func tokenTable(tokens []api.Token) *table {
	t := &table{head: []string{"TOKEN", "ROLE", "LISTENERS", "MADE", "LAST USED", "NOTE"}}
	now := time.Now()
	for _, one := range tokens {
		used := "-"
		if one.LastUsedAt != nil {
			used = ago(*one.LastUsedAt, now)
		}
		t.add(cell{one.ID, ""}, cell{one.Role, bold}, cell{orDash(strings.Join(one.Listeners, ", ")), ""},
			cell{ago(one.CreatedAt, now), dim}, cell{used, ""}, cell{text(one.Note), dim})
	}
	return t
}

func (p *program) tokenCreate() *urfave.Command {
	return &urfave.Command{
		Name: "create", Usage: "make a token and print it, once",
		UsageText: "lightspeed token create ROLE [--listener NAME]... [--note TEXT]",
		Description: `ROLE is admin (everything), viewer (looks), hooks (hands in deliveries) or listener. The token alone stands on stdout.

Examples:
  lightspeed token create viewer --note "the screen in the kitchen"
  lightspeed token create listener --listener my-app > token`,
		Flags: flags([]urfave.Flag{
			&urfave.StringSliceFlag{Name: "listener", Usage: "bind a listener's token to this `NAME`, or to a pattern like team-* (repeatable)\ndefault every name"},
			&urfave.StringFlag{Name: "note", Usage: "`TEXT` that the list shows"},
			jsonFlag(),
		}, connection),
		Action: p.one("ROLE", func(c *urfave.Context, admin *api.Client, role string) error {
			if !slices.Contains(api.Roles, role) {
				return app.Usagef(usageHint(c), "role %q is none of %s", role, strings.Join(api.Roles, ", "))
			}
			listeners := c.StringSlice("listener")
			if len(listeners) > 0 && role != api.RoleListener {
				return app.Usagef("", "--listener binds a listener's token, and this one is for role %s", role)
			}
			made, err := admin.MakeToken(c.Context, api.NewToken{Role: role, Listeners: listeners, Note: c.String("note")})
			if err != nil {
				return err
			}
			if c.Bool("json") {
				return p.printJSON(made)
			}
			fmt.Fprintf(p.Stderr, "token %s of role %s; it is shown only now\n", made.ID, made.Role)
			return p.say("%s", made.Text)
		}),
	}
}

func (p *program) tokenRevoke() *urfave.Command {
	return &urfave.Command{
		Name: "revoke", Usage: "have a token refused from now on",
		UsageText: "lightspeed token revoke ID",
		Description: `Examples:
  lightspeed token revoke ID`,
		Flags: flags(nil, connection),
		Action: p.one("ID", func(c *urfave.Context, admin *api.Client, id string) error {
			if err := admin.RevokeToken(c.Context, id); err != nil {
				return notFound(err, "token", id, "lightspeed token list")
			}
			return p.say("revoked %s", visible(id))
		}),
	}
}
