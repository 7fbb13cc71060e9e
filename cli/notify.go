package cli

import (
	"errors"
	"fmt"

	urfave "github.com/urfave/cli/v2"

	"lightspeed/app"
	"lightspeed/listener/config"
	"lightspeed/notify"
)

func (p *program) notify() *urfave.Command {
	return &urfave.Command{
		Name: "notify", Category: groupTry,
		Usage:       "try how people are told of runs",
		UsageText:   "lightspeed notify test CONFIG...",
		Description: "Examples:\n  lightspeed notify test deploy.json",
		Subcommands: []*urfave.Command{p.notifyTest()},
	}
}

func (p *program) notifyTest() *urfave.Command {
	return &urfave.Command{
		Name: "test", Usage: "send a sample to each target, and say what came back",
		UsageText: "lightspeed notify test CONFIG... [--repo OWNER/REPO [--sha COMMIT]]",
		Description: `A sample message is posted in Discord and edited; it calls nobody. With --repo it is seen whether the token may set
statuses there; with --sha, too, one is set, under a name of its own. Nothing runs. Exit code 1 when a target cannot
be told.

Examples:
  lightspeed notify test deploy.json
  lightspeed notify test deploy.json --repo me/my-app
  lightspeed notify test deploy.json --repo me/my-app --sha "$(git rev-parse HEAD)"`,
		Flags: []urfave.Flag{
			&urfave.StringFlag{Name: "repo", Usage: "`OWNER/REPO` where statuses are to be set"},
			&urfave.StringFlag{Name: "sha", Usage: "`COMMIT` to set one on, 40 hex digits"},
		},
		Action: p.tryNotices,
	}
}

func (p *program) tryNotices(c *urfave.Context) error {
	configs, err := p.configs(c, false)
	if err != nil {
		return err
	}
	o := app.SampleOptions{DiscordAPI: p.getenv(discordAPI), Repo: c.String("repo"), SHA: c.String("sha")}
	if o.SHA != "" && o.Repo == "" {
		return app.Usagef("", "--sha needs --repo: a commit is of a repository")
	}
	tried, failed := 0, 0
	for _, one := range configs {
		answers, err := app.SampleNotices(c.Context, one, o)
		if err != nil {
			return err
		}
		for _, a := range answers {
			tried++
			if a.Err != nil {
				failed++
			}
		}
		if err := p.sayAnswers(one, answers); err != nil {
			return err
		}
	}
	switch {
	case tried == 0:
		return app.Failf("give it discord_hook or github_status_token", "nobody is told of any run")
	case failed > 0:
		return app.Failf("", "%d of %d cannot be told", failed, tried)
	}
	return nil
}

// sayAnswers says what came back from whom a config tells.
func (p *program) sayAnswers(c config.Config, answers []notify.Answer) error {
	if len(answers) == 0 {
		return p.say("%s: tells nobody", visible(c.Rules.Name))
	}
	for _, a := range answers {
		said, hint := a.Said, ""
		if a.Err != nil {
			said = p.out.paint(red, visibleLines(a.Err.Error()))
			var problem *notify.Error
			if errors.As(a.Err, &problem) && problem.Hint != "" {
				hint = "\nhint: " + problem.Hint
			}
		}
		if _, err := fmt.Fprintf(p.Stdout, "%s: %s: %s%s\n", visible(c.Rules.Name), a.Target, said, hint); err != nil {
			return err
		}
	}
	return nil
}
