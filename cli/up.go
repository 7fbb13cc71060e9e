package cli

import (
	urfave "github.com/urfave/cli/v2"

	"lightspeed/app"
)

func (p *program) up() *urfave.Command {
	return &urfave.Command{
		Name: "up", Category: groupServe,
		Usage:     "admin, hooks and listeners in one process, for one machine",
		UsageText: "lightspeed up CONFIG... [--secret SECRET] [--hooks-addr HOST:PORT] [--addr HOST:PORT]",
		Description: `Without --secret a webhook secret is made, kept in the state folder, and printed once: GitHub needs it.

Examples:
  lightspeed up deploy.json
  lightspeed up deploy.json tests.json --hooks-addr :8000 --secret-file webhook-secret
  lightspeed up --addr 10.0.0.5:8080 --admin-token "$TOKEN" deploy.json`,
		Flags: flags(append(adminFlags(), spoolMaxFlag(), drainTimeoutFlag(),
			&urfave.BoolFlag{Name: "insecure-no-auth", Usage: "let everyone who reaches admin's address do everything, without tokens"},
			&urfave.BoolFlag{Name: "insecure-no-secret", Usage: "take deliveries that nobody signed"},
		), []setting{adminAddr, hooksAddr, publicURL, webhookSecret, stateFolder, adminToken, hooksToken, listenerToken}, keeping, recovering, tlsServer, logging),
		Action: func(c *urfave.Context) error {
			source := p.source(c)
			configs, err := p.configs(c, true)
			if err != nil {
				return err
			}
			o, err := p.upOptions(c)
			if err != nil {
				return err
			}
			o.Configs, o.Source = configs, source
			out, err := p.output(c, logLevel)
			if err != nil {
				return err
			}
			return p.serve(func(stop app.Stop) error { return app.Up(stop, out, o) })
		},
	}
}

func (p *program) upOptions(c *urfave.Context) (app.UpOptions, error) {
	a, err := p.adminOptions(c)
	if err != nil {
		return app.UpOptions{}, err
	}
	o := app.UpOptions{
		Addr: a.Addr, HooksAddr: p.value(c, hooksAddr), State: a.State, InsecureNoSecret: c.Bool("insecure-no-secret"),
		AdminTokens: a.AdminTokens, HooksTokens: a.HooksTokens, ListenerTokens: a.ListenerTokens, InsecureNoAuth: a.InsecureNoAuth,
		Lease: a.Lease, AllowIdenticalBodies: a.AllowIdenticalBodies, Keep: a.Keep, Recover: a.Recover, PublicURL: a.PublicURL, TLS: a.TLS, Proxies: a.Proxies,
	}
	if o.Secrets, err = p.secrets(c, webhookSecret); err != nil {
		return o, err
	}
	o.DiscordAPI = p.getenv(discordAPI)
	if o.DrainTimeout, err = drainTimeout(c); err != nil {
		return o, err
	}
	o.SpoolMax, err = size("spool-max", c.String("spool-max"))
	return o, err
}
