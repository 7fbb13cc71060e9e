package cli

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	urfave "github.com/urfave/cli/v2"

	"lightspeed/api"
	"lightspeed/app"
	"lightspeed/event"
)

func (p *program) demo() *urfave.Command {
	level := logLevel
	level.def = "warn"
	return &urfave.Command{
		Name: "demo", Category: groupStart,
		Usage:     "see it work: a signed push becomes a run, in one process, on this machine only",
		UsageText: "lightspeed demo [--once]",
		Description: `Everything runs on free ports of loopback, in a temporary folder that is removed at the end. It stays up until ^C,
so that you can try the commands that it suggests.

Examples:
  lightspeed demo
  lightspeed demo --once`,
		Flags: flags([]urfave.Flag{
			&urfave.BoolFlag{Name: "once", Usage: "end with the run's result: exit code 1 when it did not pass"},
		}, []setting{logFormat, level}),
		Action: func(c *urfave.Context) error {
			if _, err := want(c); err != nil {
				return err
			}
			out, err := p.output(c, level)
			if err != nil {
				return err
			}
			out.Ready = io.Discard // the story says it in its own words
			return p.serve(func(stop app.Stop) error {
				return app.RunDemo(stop, out, func(ctx context.Context, d app.Demo) (bool, error) {
					err := p.tellDemo(ctx, d)
					if c.Bool("once") || err != nil {
						return false, err
					}
					return true, p.demoNext(d)
				})
			})
		},
	}
}

// tellDemo sends a push and shows what becomes of it.
func (p *program) tellDemo(ctx context.Context, d app.Demo) error {
	p.step("Lightspeed runs in this process, for this machine only")
	p.fact("hooks", d.HooksURL, "takes deliveries, as GitHub sends them")
	p.fact("admin", d.AdminURL, "stores them, decides, keeps the output")
	p.fact("listener", d.Config.Rules.Name, "runs scripts; its config is "+d.Config.File)

	p.step("A push to demo/app, signed as GitHub signs, is sent to hooks")
	client, err := app.NewHTTPClient(app.TLSFiles{})
	if err != nil {
		return err
	}
	defer client.CloseIdleConnections()
	push, err := demoPush()
	if err != nil {
		return err
	}
	receipt, err := (&sender{url: d.HooksURL, secret: d.Secret, http: client}).send(ctx, push)
	if err != nil {
		return err
	}
	p.fact(receipt.Status, receipt.Delivery, "is on disk: it cannot be lost any more")
	for _, ref := range receipt.Runs {
		p.fact("matched", ref.Listener, d.Config.Rules.Sentence())
	}

	p.step("The listener runs its script, and the output comes as it is written")
	return p.followDemo(ctx, d, receipt)
}

func (p *program) followDemo(ctx context.Context, d app.Demo, receipt api.Receipt) error {
	err := p.followAll(ctx, d.Client, receipt.Runs)
	if err == nil && len(receipt.Runs) == 0 {
		return app.Failf("", "the demo's push matched nothing")
	}
	return err
}

// demoPush is the push that the demo sends itself.
func demoPush() (event.Delivery, error) {
	body, err := event.MakePush(event.PushSpec{
		Repo: "demo/app", Branch: "main", SHA: orRandomSHA(""), Files: []string{"main.go"},
		Message: "Say hello", Pusher: "you", Nonce: rand.Text(),
	})
	return event.Delivery{ID: rand.Text(), Event: event.Push, ContentType: "application/json", Body: body}, err
}

// demoNext says what to try in another terminal.
func (p *program) demoNext(d app.Demo) error {
	name := programName()
	p.step("Try it yourself, in another terminal")
	for _, line := range []string{
		"export LIGHTSPEED_ADMIN=" + d.AdminURL + " LIGHTSPEED_SECRET=" + d.Secret.Reveal(),
		name + " send --url " + d.HooksURL + " --repo demo/app --branch main --follow",
		name + " send --url " + d.HooksURL + " --repo demo/app --branch dev      " + p.out.paint(dim, "# matches nothing, and says why"),
		name + " runs",
		name + " deliveries",
	} {
		if err := p.say("  %s", line); err != nil {
			return err
		}
	}
	if err := p.say("\n  Change %s, and what it runs is what you wrote: each push runs it anew.", filepath.Join(d.Folder, "hello.sh")); err != nil {
		return err
	}
	return p.say("  %s", p.out.paint(bold, "^C ends the demo and removes its folder. For real: ")+name+" up --help")
}

// step and fact are the demo's two kinds of lines. What cannot be printed is noticed by the lines that matter.
func (p *program) step(text string) {
	_ = p.say("\n%s %s", p.out.paint(cyan, "▸"), p.out.paint(bold, text))
}

func (p *program) fact(what, value, text string) {
	_ = p.say("  %-9s %s  %s", what, p.out.paint(cyan, fmt.Sprintf("%-38s", visible(value))), p.out.paint(dim, visible(text)))
}

// programName is how this program was most likely called: `go run .` builds it in a folder of its own.
func programName() string {
	path, err := os.Executable()
	if err == nil && strings.Contains(path, string(filepath.Separator)+"go-build") {
		return "go run ."
	}
	return "lightspeed"
}
