package cli

import (
	"fmt"
	"path/filepath"
	"slices"
	"time"

	urfave "github.com/urfave/cli/v2"

	"lightspeed/app"
)

func (p *program) backup() *urfave.Command {
	return &urfave.Command{
		Name: "backup", Category: groupServe,
		Usage:     "copy admin's state to a new folder, while admin runs",
		UsageText: "lightspeed backup FOLDER [--state FOLDER]",
		Description: `On admin's machine, as its user or root. The database is copied as it stands at one moment, with the logs that it knows of, and
checked. Payloads and logs may be private: so is the folder. The webhook secret that ` + "`up`" + ` made is in it, too.

Examples:
  lightspeed backup /backups/lightspeed-$(date +%F)
  lightspeed backup /backups/lightspeed-$(date +%F) --state /var/lib/lightspeed-admin`,
		Flags: flags(nil, []setting{stateFolder}),
		Action: func(c *urfave.Context) error {
			to, state, err := p.backupArgs(c)
			if err != nil {
				return err
			}
			b, err := app.Backup(c.Context, state, to)
			if err != nil {
				return err
			}
			return p.say("backed up to %s: %s", visible(to), backupText(b))
		},
	}
}

func (p *program) restore() *urfave.Command {
	return &urfave.Command{
		Name: "restore", Category: groupServe,
		Usage:     "make admin's state out of a backup",
		UsageText: "lightspeed restore FOLDER [--state FOLDER] [--as-it-was]",
		Description: `Admin must not run, and its state folder must be empty or missing. What waited or ran when the backup was made may have run
since: runs that waited are cancelled, and those that ran are lost until their listener says what became of them. With
--as-it-was they stay as they are: for a move to another machine, when admin was ended before the backup. What root
restores belongs to the user of the state folder.

Examples:
  lightspeed restore /backups/lightspeed-2026-01-31`,
		Flags: flags([]urfave.Flag{
			&urfave.BoolFlag{Name: "as-it-was", Usage: "admin has not run since the backup was made: leave runs as they are"},
		}, []setting{stateFolder}),
		Action: func(c *urfave.Context) error {
			from, state, err := p.backupArgs(c)
			if err != nil {
				return err
			}
			b, err := app.Restore(c.Context, from, state, c.Bool("as-it-was"))
			if err != nil {
				return err
			}
			return p.say("restored to %s, as of %s", visible(state), b.MadeAt.Format(time.RFC3339))
		},
	}
}

// backupText says what is in a backup.
func backupText(b app.BackupInfo) string {
	logs := fmt.Sprintf("%s (%s)", counted(int64(b.Logs), "log", "logs"), bytesText(b.LogBytes))
	if slices.Contains(b.Beside, app.SecretFile) {
		return "the database, " + logs + ", and the webhook secret that `up` made"
	}
	return "the database, and " + logs
}

func (p *program) backupArgs(c *urfave.Context) (folder, state string, err error) {
	args, err := want(c, "FOLDER")
	if err != nil {
		return "", "", err
	}
	if folder, err = filepath.Abs(args[0]); err != nil {
		return "", "", err
	}
	state, err = p.state(c)
	return folder, state, err
}
