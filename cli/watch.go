package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	urfave "github.com/urfave/cli/v2"
	"golang.org/x/term"

	"lightspeed/api"
	"lightspeed/run"
)

// watchPause is how often runs are asked for while they are watched.
const watchPause = time.Second

func (p *program) runsWatch() *urfave.Command {
	return &urfave.Command{
		Name: "watch", Usage: "show runs as they come and go, until ^C",
		UsageText: "lightspeed runs watch [--listener NAME] [--repo OWNER/REPO] [--branch NAME] [--status STATUS]",
		Description: `A table that stays current; where the output is no terminal, a line for each change.

Examples:
  lightspeed runs watch
  lightspeed runs watch --listener deploy --branch main`,
		Flags: flags(filterFlags(), connection),
		Action: func(c *urfave.Context) error {
			if _, err := want(c); err != nil {
				return err
			}
			f, err := runFilter(c)
			if err != nil {
				return err
			}
			admin, err := p.client(c)
			if err != nil {
				return err
			}
			return (&watcher{p: p, admin: admin, filter: f, seen: map[string]run.State{}}).watch(c.Context)
		},
	}
}

// filterFlags choose runs.
func filterFlags() []urfave.Flag {
	return []urfave.Flag{
		&urfave.StringFlag{Name: "listener", Usage: "only runs of this `LISTENER`"},
		&urfave.StringFlag{Name: "repo", Usage: "only runs of this `OWNER/REPO`"},
		&urfave.StringFlag{Name: "branch", Usage: "only runs of this `BRANCH`"},
		&urfave.StringFlag{Name: "delivery", Usage: "only runs of this delivery's `ID`"},
		&urfave.StringFlag{Name: "status", Usage: "only runs with this `STATUS`: " + strings.Join(statuses, ", ")},
	}
}

func runFilter(c *urfave.Context) (api.RunFilter, error) {
	return api.RunFilter{
		Listener: c.String("listener"), Repo: c.String("repo"), Branch: c.String("branch"), Delivery: c.String("delivery"), Status: run.State(c.String("status")),
	}, checkStatus(c.String("status"))
}

// watcher shows runs until it is cut short.
type watcher struct {
	p      *program
	admin  *api.Client
	filter api.RunFilter
	seen   map[string]run.State // without a terminal: what was said of each run
	drawn  int                  // with one: how many lines stand there
	away   bool
}

func (w *watcher) watch(ctx context.Context) error {
	for {
		w.filter.Limit = w.rows()
		page, err := w.admin.Runs(ctx, w.filter)
		var unreachable *api.UnreachableError
		switch {
		case errors.As(err, &unreachable) && len(w.seen)+w.drawn > 0:
			if !w.away {
				w.away, w.drawn = true, 0
				w.p.note("%v; goes on when it is back", err)
			}
		case err != nil:
			return err
		default:
			w.away = false
			if err := w.show(page.Items); err != nil {
				return err
			}
		}
		if err := sleep(ctx, watchPause); err != nil {
			return err
		}
	}
}

// rows is how many runs there is room for.
func (w *watcher) rows() int {
	const usual = 20
	file, ok := w.p.Stdout.(*os.File)
	if !ok || !w.p.out.terminal {
		return usual
	}
	_, height, err := term.GetSize(int(file.Fd()))
	if err != nil {
		return usual
	}
	return max(1, min(height-2, api.MaxLimit))
}

func (w *watcher) show(runs []run.Run) error {
	if w.p.out.terminal {
		return w.draw(runs)
	}
	for i := len(runs) - 1; i >= 0; i-- {
		r := runs[i]
		if known, ok := w.seen[r.ID]; ok && known == r.Status {
			continue
		}
		w.seen[r.ID] = r.Status
		if err := w.p.say("%s", changeLine(r)); err != nil {
			return err
		}
	}
	w.forget(runs)
	return nil
}

// changeLine says of a run what it is now.
func changeLine(r run.Run) string {
	words := []string{time.Now().Format(time.TimeOnly), visible(r.ID), string(r.Status), visible(r.Listener), visible(r.Repo), visible(orDash(r.About())), orDash(shortSHA(text(r.SHA)))}
	if spent := runTook(r, time.Now()); spent != "" && r.Status.Ended() {
		words = append(words, "in "+spent)
	}
	return strings.Join(words, " ")
}

// forget drops runs that are no longer on the page, so that watching for days takes no more memory.
func (w *watcher) forget(runs []run.Run) {
	if len(w.seen) < 10*api.MaxLimit {
		return
	}
	kept := map[string]run.State{}
	for _, r := range runs {
		kept[r.ID] = r.Status
	}
	w.seen = kept
}

// draw puts the table where the one before stands, in one write: nothing flickers.
func (w *watcher) draw(runs []run.Run) error {
	var b strings.Builder
	if len(runs) == 0 {
		b.WriteString("no runs\n")
	} else if err := w.p.runTable(runs).print(&b, w.p.out); err != nil {
		return err
	}
	lines := strings.SplitAfter(b.String(), "\n")
	lines = lines[:len(lines)-1]
	var out strings.Builder
	if w.drawn > 0 {
		fmt.Fprintf(&out, "\x1b[%dF", w.drawn) // up to the first line of the table
	}
	out.WriteString("\x1b[?7l") // a line that is too long is cut, and does not become two
	for _, one := range lines {
		out.WriteString("\x1b[K" + one)
	}
	out.WriteString("\x1b[?7h\x1b[J")
	w.drawn = len(lines)
	_, err := w.p.Stdout.Write([]byte(out.String()))
	return err
}
