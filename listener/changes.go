package listener

import (
	"context"
	"os"
	"time"

	"lightspeed/event"
	"lightspeed/listener/config"
	"lightspeed/notify"
	"lightspeed/notify/commitstatus"
	"lightspeed/run"
)

// changesWait bounds how long a run waits for the list of what its pull request changes.
const changesWait = 10 * time.Second

// newForge is where it is asked what a pull request changes; nil when the config has no token for that.
func newForge(c config.Config, lanes *notify.Lanes) (*commitstatus.Target, error) {
	if c.GithubStatusToken.IsZero() {
		return nil, nil
	}
	return commitstatus.New(commitstatus.Options{Token: c.GithubStatusToken, URL: c.GithubURL, Lanes: lanes})
}

// learnFiles asks what a pull request changes, which its event does not say, and whether the listener's rules hold
// now that it is known. It returns why they do not, or nothing. A list that cannot be had stays unknown: that matches.
func (a *attempt) learnFiles(ctx context.Context, f *facts) (why string) {
	if a.edition.forge == nil || f.event.Name != event.PullRequest || f.event.FilesKnown {
		return ""
	}
	asking, cancel := context.WithTimeout(ctx, changesWait)
	defer cancel()
	files, err := a.edition.forge.ChangedFiles(asking, f.event.Repo, f.event.PR)
	if err != nil {
		a.log.Warn("what the pull request changes is not known: that counts as a match", "pr", f.event.PR, "err", err,
			"hint", `github_status_token needs "Pull requests: read" for it, or the scope repo`)
		return ""
	}
	f.event.Files, f.event.FilesKnown = files, true
	if err := os.WriteFile(a.entry.FilesFile(), filesList(f.event), 0o600); err != nil {
		a.log.Warn("the changed files cannot be written down for the commands", "err", err)
	} else {
		f.files = a.entry.FilesFile()
	}
	if d := a.edition.rules.Match(f.event); !d.Matched {
		return d.Why
	}
	return ""
}

// begun reports whether the commands of an attempt were started at all.
func begun(steps []run.Step) bool {
	for _, s := range steps {
		if s.StartedAt != nil {
			return true
		}
	}
	return false
}
