package cli

import (
	"strconv"
	"strings"

	urfave "github.com/urfave/cli/v2"

	"lightspeed/app"
)

func (p *program) hooks() *urfave.Command {
	addr := hooksAddr
	addr.flag = "addr"
	return &urfave.Command{
		Name: "hooks", Category: groupServe,
		Usage:     "the public server: takes GitHub's deliveries and hands them to admin",
		UsageText: "lightspeed hooks --secret SECRET [--admin URL] [--addr HOST:PORT]",
		Description: `GitHub's payload URL is http://THIS-MACHINE:8000/receive_hook, content type application/json. While admin is away
deliveries are kept on disk, and handed over when it is back.

Examples:
  lightspeed hooks --secret "$SECRET"
  lightspeed hooks --admin https://10.0.0.5:8443 --tls-ca ca.pem --token-file token --secret-file secrets
  LIGHTSPEED_SECRET_FILE=/run/secrets/webhook lightspeed hooks --addr :8000`,
		Flags: flags([]urfave.Flag{
			spoolMaxFlag(),
			&urfave.BoolFlag{Name: "insecure-no-secret", Usage: "take deliveries that nobody signed"},
		}, []setting{addr, adminURL, webhookSecret, token, stateFolder, metricsAddr}, tlsServer, []setting{tlsCA}, logging),
		Action: func(c *urfave.Context) error {
			if _, err := want(c); err != nil {
				return err
			}
			o, err := p.hooksOptions(c, addr)
			if err != nil {
				return err
			}
			out, err := p.output(c, logLevel)
			if err != nil {
				return err
			}
			return p.serve(func(stop app.Stop) error { return app.Hooks(stop, out, o) })
		},
	}
}

func spoolMaxFlag() urfave.Flag {
	return &urfave.StringFlag{Name: "spool-max", Value: "1GiB", Usage: "keep at most this `SIZE` on disk while admin is away; then answer 503\ndefault 1GiB"}
}

func (p *program) hooksOptions(c *urfave.Context, addr setting) (app.HooksOptions, error) {
	o := app.HooksOptions{Addr: p.value(c, addr), InsecureNoSecret: c.Bool("insecure-no-secret"), TLS: p.tls(c), MetricsAddr: p.value(c, metricsAddr)}
	var err error
	if o.Proxies, err = p.proxies(c); err != nil {
		return o, err
	}
	if o.Client, err = p.clientOptions(c); err != nil {
		return o, err
	}
	if o.Secrets, err = p.secrets(c, webhookSecret); err != nil {
		return o, err
	}
	if o.State, err = p.state(c); err != nil {
		return o, err
	}
	o.SpoolMax, err = size("spool-max", c.String("spool-max"))
	return o, err
}

// units of a size, the longest first.
var units = []struct {
	name  string
	shift uint
}{{"KiB", 10}, {"MiB", 20}, {"GiB", 30}, {"TiB", 40}, {"B", 0}}

// size reads a number of bytes: "512MiB", "1GiB", "1000000".
func size(flag, text string) (int64, error) {
	number, shift := text, uint(0)
	for _, u := range units {
		if before, ok := strings.CutSuffix(text, u.name); ok {
			number, shift = strings.TrimSpace(before), u.shift
			break
		}
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n <= 0 || n > 1<<62>>shift {
		return 0, app.Usagef("", "--%s is %q, and must be a size like 512MiB or 1GiB", flag, text)
	}
	return n << shift, nil
}
