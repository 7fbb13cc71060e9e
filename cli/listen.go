package cli

import (
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	urfave "github.com/urfave/cli/v2"

	"lightspeed/app"
	"lightspeed/listener/config"
)

// drainTimeoutFlag bounds what the first signal of `listen` and `up` waits for.
func drainTimeoutFlag() urfave.Flag {
	return &urfave.DurationFlag{Name: "drain-timeout", Usage: "cancel what still runs `SO-LONG` after the first signal\ndefault never"}
}

func drainTimeout(c *urfave.Context) (time.Duration, error) {
	d := c.Duration("drain-timeout")
	if d < 0 {
		return 0, app.Usagef("", "--drain-timeout is %v, and must not be negative", d)
	}
	return d, nil
}

func (p *program) listen() *urfave.Command {
	return &urfave.Command{
		Name: "listen", Category: groupServe,
		Usage:     "run what configs say, on this machine",
		UsageText: "lightspeed listen CONFIG... [--admin URL]\nlightspeed listen test",
		Description: `"test" is a built-in config that matches everything, echoes hello, and is forgotten when it leaves.

At the first SIGINT or SIGTERM it takes nothing new and finishes what runs; at the second it cancels that; at
the third it leaves. With --drain-timeout it cancels by itself: choose it shorter than what the service manager
waits before it kills (systemd: TimeoutStopSec, with KillMode=mixed; Docker: stop_grace_period).

When a config file changes, and at SIGHUP, the configs are read anew: those that changed hold at once for what comes in,
and runs that are under way keep theirs; listeners that are new start, those that are gone take nothing new and finish
what runs. Configs with a mistake are refused, and all goes on as it was.

Examples:
  lightspeed listen test
  lightspeed listen deploy.json tests.json
  lightspeed listen --host rabbit deploy.json
  lightspeed listen --admin https://10.0.0.5:8443 --tls-ca ca.pem --token-file token deploy.json`,
		Flags: flags([]urfave.Flag{rabbitHost, drainTimeoutFlag()}, []setting{adminURL, token, rabbitURL, stateFolder, tlsCA, metricsAddr}, logging),
		Action: func(c *urfave.Context) error {
			source := p.source(c)
			configs, err := p.configs(c, true)
			if err != nil {
				return err
			}
			o := app.ListenOptions{Configs: configs, Source: source, DiscordAPI: p.getenv(discordAPI), MetricsAddr: p.value(c, metricsAddr)}
			if o.Client, err = p.clientOptions(c); err != nil {
				return err
			}
			if o.RabbitURLs, err = p.rabbitURLs(c); err != nil {
				return err
			}
			if o.State, err = p.state(c); err != nil {
				return err
			}
			if o.DrainTimeout, err = drainTimeout(c); err != nil {
				return err
			}
			out, err := p.output(c, logLevel)
			if err != nil {
				return err
			}
			return p.serve(func(stop app.Stop) error { return app.Listen(stop, out, o) })
		},
	}
}

// source lets the configs that a command's arguments name be read anew: when a file changes, and at SIGHUP. It is
// nil when only the built-in one is named. It is made before they are read first.
func (p *program) source(c *urfave.Context) *app.Source {
	var files []string
	for _, arg := range c.Args().Slice() {
		if arg != config.TestName {
			files = append(files, arg)
		}
	}
	if len(files) == 0 {
		return nil
	}
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGHUP)
	return app.NewSource(files, func() ([]config.Config, error) { return p.configs(c, true) }, asked)
}

// configs loads the configs that a command's arguments name; builtin lets "test" be one of them. Warnings go
// to stderr.
func (p *program) configs(c *urfave.Context, builtin bool) ([]config.Config, error) {
	if c.NArg() == 0 {
		return nil, app.Usagef(usageHint(c), "%s needs a config file", called(c))
	}
	loader := config.Loader{DeletesByDefault: p.deletesByDefault()}
	var files []string
	var configs []config.Config
	for _, arg := range c.Args().Slice() {
		if builtin && arg == config.TestName && len(configs) == 0 {
			configs = append(configs, config.Test())
			continue
		}
		files = append(files, arg)
	}
	if len(files) == 0 {
		return configs, nil
	}
	loaded, warnings, err := loader.Load(files...)
	for _, w := range warnings {
		fmt.Fprintln(p.Stderr, p.err.paint(yellow, visibleLines(w.String())))
	}
	if err != nil {
		return nil, err
	}
	for _, one := range loaded {
		if len(configs) > 0 && one.Rules.Name == config.TestName {
			return nil, app.Usagef("", "%s: the name %q is that of the built-in config", one.File, config.TestName)
		}
	}
	return append(configs, loaded...), nil
}

// deletesByDefault reads TRIGGER_ON_DELETE, which earlier versions knew.
func (p *program) deletesByDefault() bool {
	yes, err := strconv.ParseBool(p.getenv("TRIGGER_ON_DELETE"))
	return err == nil && yes
}
