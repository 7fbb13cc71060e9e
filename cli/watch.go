package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
	"unicode/utf8"

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
	drawn  int                  // with one: how many lines stand there …
	wide   int                  // … and how many columns it had then
	away   bool
}

func (w *watcher) watch(ctx context.Context) error {
	for {
		columns, rows := w.room()
		w.filter.Limit = rows
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
			if err := w.show(page.Items, columns); err != nil {
				return err
			}
		}
		if err := sleep(ctx, watchPause); err != nil {
			return err
		}
	}
}

// room is how many columns a terminal has, and how many runs there is room for.
func (w *watcher) room() (columns, rows int) {
	columns, rows = 80, 20
	if file, ok := w.p.Stdout.(*os.File); ok && w.p.out.terminal {
		if width, height, err := term.GetSize(int(file.Fd())); err == nil && width > 0 {
			columns, rows = width, max(1, min(height-2, api.MaxLimit))
		}
	}
	return columns, rows
}

func (w *watcher) show(runs []run.Run, columns int) error {
	if w.p.out.terminal {
		return w.draw(runs, columns)
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

// narrow are the columns that a table of runs goes without, one after the other, where a terminal is too narrow.
var narrow = []string{"COMMIT", "QUEUED", "REPOSITORY"}

// draw puts the table where the one before stands, in one write: nothing flickers. Of the terminal it changes nothing
// that somebody would have to set right again, since ^C ends this at any moment.
func (w *watcher) draw(runs []run.Run, columns int) error {
	var b strings.Builder
	t := w.p.runTable(runs)
	for i := 0; i < len(narrow) && t.width() > columns; i++ {
		t.drop(narrow[i])
	}
	if len(runs) == 0 {
		b.WriteString("no runs\n")
	} else if err := t.print(&b, w.p.out); err != nil {
		return err
	}
	lines := strings.SplitAfter(b.String(), "\n")
	lines = lines[:len(lines)-1]
	var out strings.Builder
	switch {
	case w.drawn > 0 && columns < w.wide:
		out.WriteString("\x1b[H\x1b[2J") // many terminals have made two lines of one: nobody knows where the first is
	case w.drawn > 0:
		fmt.Fprintf(&out, "\x1b[%dF", w.drawn) // up to the first line of the table
	}
	for _, one := range lines {
		out.WriteString("\x1b[K" + cutLine(one, columns))
	}
	out.WriteString("\x1b[J")
	w.drawn, w.wide = len(lines), columns
	_, err := w.p.Stdout.Write([]byte(out.String()))
	return err
}

// cutLine cuts a line of ours to the columns of a terminal: one that is longer would become two. Colours take none.
func cutLine(line string, columns int) string {
	var b strings.Builder
	for len(line) > 0 {
		if end := strings.IndexByte(line, 'm'); line[0] == 0x1b && end > 0 {
			b.WriteString(line[:end+1])
			line = line[end+1:]
			continue
		}
		r, size := utf8.DecodeRuneInString(line)
		if r != '\n' {
			columns -= mostColumns(r)
		}
		if columns >= 0 || r == '\n' {
			b.WriteString(line[:size])
		}
		line = line[size:]
	}
	return b.String()
}

// mostColumns is how many columns of a terminal a character takes at most: those of the scripts of East Asia, which
// begin at U+1100, and pictures take two (https://www.unicode.org/reports/tr11/).
func mostColumns(r rune) int {
	if r < 0x1100 {
		return 1
	}
	return 2
}
