package cli

import (
	"fmt"
	"time"

	urfave "github.com/urfave/cli/v2"

	"lightspeed/api"
	"lightspeed/app"
)

// recovering are the settings by which admin asks GitHub for what was missed.
var recovering = []setting{recoverHooks, recoverEvery, githubToken, githubAppID, githubAppKey, githubURL}

var (
	recoverHooks = setting{
		flag: "recover", env: "LIGHTSPEED_RECOVER",
		usage: "`HOOKS` of GitHub's whose deliveries are asked for again when they were missed, by commas: OWNER/REPO/HOOK-ID, ORGANISATION/HOOK-ID, app",
	}
	recoverEvery = setting{flag: "recover-every", env: "LIGHTSPEED_RECOVER_EVERY", def: "10m", usage: "look for them so `OFTEN`, at least 1m; 0: only when asked to"}
	githubToken  = setting{flag: "github-token", env: "LIGHTSPEED_GITHUB_TOKEN", secret: true, usage: "`TOKEN` that may read and redeliver the deliveries of these hooks"}
	githubAppID  = setting{flag: "github-app-id", env: "LIGHTSPEED_GITHUB_APP_ID", usage: "`ID` of the GitHub App, for the hook app"}
	githubAppKey = setting{flag: "github-app-key", env: "LIGHTSPEED_GITHUB_APP_KEY", usage: "`FILE` with its private key, PEM"}
	githubURL    = setting{flag: "github-url", env: "LIGHTSPEED_GITHUB_URL", usage: "`URL` of a GitHub Enterprise Server\ndefault github.com"}
)

func (p *program) recoverOptions(c *urfave.Context) (o app.RecoverOptions, err error) {
	o = app.RecoverOptions{Hooks: p.value(c, recoverHooks), AppID: p.value(c, githubAppID), AppKeyFile: p.value(c, githubAppKey), URL: p.value(c, githubURL)}
	if o.Every, err = time.ParseDuration(p.value(c, recoverEvery)); err != nil || o.Every < 0 || (o.Every > 0 && o.Every < time.Minute) {
		return o, app.Usagef("", "--recover-every is %q, and must be a duration of at least 1m, or 0", p.value(c, recoverEvery))
	}
	o.Token, err = p.secret(c, githubToken)
	return o, err
}

func (p *program) deliveriesRecover() *urfave.Command {
	return &urfave.Command{
		Name: "recover", Usage: "have GitHub send again what never came in",
		UsageText: "lightspeed deliveries recover [--dry-run]",
		Description: `Admin does so by itself when it was started with --recover; this does it now.

Examples:
  lightspeed deliveries recover --dry-run
  lightspeed deliveries recover`,
		Flags: flags([]urfave.Flag{
			&urfave.BoolFlag{Name: "dry-run", Usage: "say what is missing, and ask for nothing"}, jsonFlag(),
		}, connection),
		Action: p.gapsBy(func(c *urfave.Context, admin *api.Client) (api.Gaps, error) {
			return admin.Recover(c.Context, c.Bool("dry-run"))
		}),
	}
}

func (p *program) deliveriesGaps() *urfave.Command {
	return &urfave.Command{
		Name: "gaps", Usage: "say what GitHub sent and admin never saw, and the reverse",
		UsageText: "lightspeed deliveries gaps",
		Description: `Of the last three days, which is how long GitHub keeps deliveries; Enterprise Server: seven.

Examples:
  lightspeed deliveries gaps`,
		Flags:  flags([]urfave.Flag{jsonFlag()}, connection),
		Action: p.gapsBy(func(c *urfave.Context, admin *api.Client) (api.Gaps, error) { return admin.Gaps(c.Context) }),
	}
}

// gapsBy is the frame of both.
func (p *program) gapsBy(ask func(*urfave.Context, *api.Client) (api.Gaps, error)) urfave.ActionFunc {
	return func(c *urfave.Context) error {
		if _, err := want(c); err != nil {
			return err
		}
		admin, err := p.client(c)
		if err != nil {
			return err
		}
		gaps, err := ask(c, admin)
		if err != nil {
			return err
		}
		if c.Bool("json") {
			return p.printJSON(gaps)
		}
		return p.showGaps(gaps)
	}
}

func (p *program) showGaps(gaps api.Gaps) error {
	failed := false
	for _, h := range gaps.Hooks {
		if err := p.say("%s sent %s since %s: %s missing, %d asked for now", p.out.paint(bold, visible(h.Hook)),
			counted(int64(h.Sent), "delivery", "deliveries"), h.Since.Format(time.RFC3339), counted(int64(len(h.Missing)), "is", "are"), h.Asked); err != nil {
			return err
		}
		t := &table{}
		for _, m := range h.Missing {
			answer := m.Status
			if m.Code > 0 {
				answer = fmt.Sprintf("%d %s", m.Code, m.Status)
			}
			t.add(cell{m.Delivery, ""}, cell{m.Event, ""}, cell{m.SentAt.Format(time.RFC3339), dim}, cell{answer, yellow})
		}
		if err := t.print(p.Stdout, p.out); err != nil {
			return err
		}
		if h.Error != nil {
			failed = true
			fmt.Fprintf(p.Stderr, "lightspeed: %s\n", visible(*h.Error))
		}
	}
	for _, id := range gaps.Unsent {
		if err := p.say("%s is here, and none of these hooks sent it", visible(id)); err != nil {
			return err
		}
	}
	if failed {
		return exit(exitFail)
	}
	return nil
}
