package cli

import (
	"io"
	"os"

	"golang.org/x/term"

	"lightspeed/run"
)

// style is how text looks on one output. Colour is used on a terminal only, and never with NO_COLOR set
// (https://no-color.org) or TERM=dumb.
type style struct {
	terminal bool
	colour   bool
}

func newStyle(w io.Writer, env func(string) (string, bool)) style {
	file, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return style{}
	}
	noColour, _ := env("NO_COLOR")
	kind, _ := env("TERM")
	return style{terminal: true, colour: noColour == "" && kind != "dumb"}
}

// Colours are ECMA-48 "select graphic rendition" parameters.
const (
	bold   = "1"
	dim    = "2"
	red    = "31"
	green  = "32"
	yellow = "33"
	cyan   = "36"
)

func (s style) paint(colour, text string) string {
	if !s.colour || colour == "" || text == "" {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[0m"
}

func stateColour(s run.State) string {
	switch s {
	case run.Passed:
		return green
	case run.Running:
		return cyan
	case run.Queued, run.Superseded, run.NotStarted:
		return dim
	case run.Cancelled:
		return yellow
	}
	return red
}
