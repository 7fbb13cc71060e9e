package cli

import (
	urfave "github.com/urfave/cli/v2"

	"lightspeed/app"
)

func (p *program) admin() *urfave.Command {
	return &urfave.Command{
		Name: "admin", Category: groupServe,
		Usage:     "the private server: stores deliveries, matches them, queues runs, keeps their output",
		UsageText: "lightspeed admin [--addr HOST:PORT] [--state FOLDER]",
		Description: `On an address that other machines reach, it wants tokens: one kind for people, one for hooks, one for
listeners. Each may be set several times, to change it without a gap.

Examples:
  lightspeed admin
  lightspeed admin --addr 10.0.0.5:8080 --admin-token-file people --hooks-token-file hooks --listener-token-file listeners
  lightspeed admin --rabbit-url amqp://lightspeed:PASSWORD@rabbit/
  lightspeed admin --addr :8443 --tls-cert cert.pem --tls-key key.pem --admin-token "$TOKEN"`,
		Flags: flags(append(adminFlags(),
			&urfave.BoolFlag{Name: "insecure-no-auth", Usage: "serve everyone who reaches the address, without tokens"},
			rabbitHost,
		), []setting{adminAddr, publicURL, stateFolder, rabbitURL, tlsCA, adminToken, hooksToken, listenerToken}, keeping, recovering, tlsServer, logging),
		Action: func(c *urfave.Context) error {
			if _, err := want(c); err != nil {
				return err
			}
			o, err := p.adminOptions(c)
			if err != nil {
				return err
			}
			if o.RabbitURLs, err = p.rabbitURLs(c); err != nil {
				return err
			}
			out, err := p.output(c, logLevel)
			if err != nil {
				return err
			}
			return p.serve(func(stop app.Stop) error { return app.Admin(stop, out, o) })
		},
	}
}

// adminFlags are those of admin, also within `up`.
func adminFlags() []urfave.Flag {
	return []urfave.Flag{
		&urfave.DurationFlag{Name: "lease", Value: app.DefaultLease, Usage: "a listener that was not heard of for so `LONG` is given up, at least 2s\ndefault 30s"},
		&urfave.BoolFlag{Name: "allow-identical-bodies", Usage: "do not take a body that came before, under another id, for a duplicate"},
	}
}

func (p *program) adminOptions(c *urfave.Context) (app.AdminOptions, error) {
	o := app.AdminOptions{
		Addr: p.value(c, adminAddr), InsecureNoAuth: c.Bool("insecure-no-auth"), Lease: c.Duration("lease"),
		AllowIdenticalBodies: c.Bool("allow-identical-bodies"), PublicURL: p.value(c, publicURL), TLS: p.tls(c),
	}
	if o.Lease < app.MinLease {
		return o, app.Usagef("", "--lease is %v, and must be at least %v", o.Lease, app.MinLease)
	}
	var err error
	if o.Proxies, err = p.proxies(c); err != nil {
		return o, err
	}
	if o.Recover, err = p.recoverOptions(c); err != nil {
		return o, err
	}
	if o.Keep, err = p.keep(c); err != nil {
		return o, err
	}
	if o.State, err = p.state(c); err != nil {
		return o, err
	}
	if o.AdminTokens, err = p.secrets(c, adminToken); err != nil {
		return o, err
	}
	if o.HooksTokens, err = p.secrets(c, hooksToken); err != nil {
		return o, err
	}
	o.ListenerTokens, err = p.secrets(c, listenerToken)
	return o, err
}
