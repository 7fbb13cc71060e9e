// Package cli is the command line: it reads arguments and the environment, calls app, admin's API or a
// rule, and prints the answer. Each command has a file of its own.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	urfave "github.com/urfave/cli/v2"

	"lightspeed/app"
	"lightspeed/listener/config"
)

// System is what a command sees of the outside.
type System struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Env            func(string) (string, bool) // as os.LookupEnv
}

// OS is the real outside.
func OS() System {
	return System{Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Env: os.LookupEnv}
}

// Exit codes; the table in the root's help and in the docs.
const (
	exitDone  = 0
	exitFail  = 1
	exitUsage = 2
)

// Main runs the command line args, args[0] being the program's name, and returns its exit code.
func Main(args []string, sys System) int {
	p := &program{System: sys}
	p.out = newStyle(sys.Stdout, sys.Env)
	p.err = newStyle(sys.Stderr, sys.Env)
	root := p.root()
	p.prepare(root.Commands)
	if len(args) > 1 && args[1] == completeWord {
		return p.complete(root, args[2:])
	}
	line, err := arrange(root.Commands, args[1:])
	switch {
	case err != nil:
		return p.report(err)
	case line.help:
		if _, err := fmt.Fprint(sys.Stdout, p.help(root, line)); err != nil {
			return p.report(err)
		}
		return exitDone
	case len(line.path) == 0:
		fmt.Fprint(sys.Stderr, p.help(root, line))
		return exitUsage
	}
	if err := root.RunContext(context.Background(), line.vector()); err != nil {
		return p.report(err)
	}
	return exitDone
}

// program is one invocation.
type program struct {
	System
	out, err style
}

// root lists the commands in the order in which help shows them.
func (p *program) root() *urfave.App {
	return &urfave.App{
		Name:                      "lightspeed",
		Usage:                     "a push comes in, your scripts run on your machines, you are told what happened",
		Writer:                    p.Stdout,
		ErrWriter:                 p.Stderr,
		HideHelp:                  true,
		HideVersion:               true,
		Suggest:                   true,
		DisableSliceFlagSeparator: true,
		ExitErrHandler:            func(*urfave.Context, error) {}, // Main reports, main exits
		OnUsageError:              onUsageError,
		CommandNotFound: func(_ *urfave.Context, name string) {
			_ = p.report(app.Usagef("", "unknown command %q", name))
		},
		Commands: []*urfave.Command{
			p.demo(), p.up(), p.admin(), p.hooks(), p.listen(), p.backup(), p.restore(),
			p.check(), p.explain(), p.run(), p.send(), p.notify(), p.schema(),
			p.runs(), p.deliveries(), p.listeners(), p.prune(), p.token(), p.health(), p.completion(), p.version(),
		},
	}
}

// prepare sets what urfave/cli does not pass on to commands.
func (p *program) prepare(commands []*urfave.Command) {
	for _, command := range commands {
		command.OnUsageError = onUsageError
		command.HideHelp = true
		p.prepare(command.Subcommands)
	}
}

// onUsageError is called for flags whose value cannot be read.
func onUsageError(c *urfave.Context, err error, _ bool) error {
	said := strings.Replace(err.Error(), "for flag -", "for --", 1)
	value, unread := strings.CutSuffix(said, ": parse error")
	if !unread {
		return app.Usagef("", "%s", said)
	}
	want := "a whole number"
	if _, ok := findFlag(c.Command.Flags, value[strings.LastIndex(value, "--")+2:]).(*urfave.DurationFlag); ok {
		want = "a duration, as 30s or 2h"
	}
	return app.Usagef("", "%s: want %s", value, want)
}

// exit is an error that only carries a code: everything has been said.
type exit int

func (e exit) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// report prints an error as "lightspeed: message", with its advice on a line of its own, and returns the
// exit code that goes with it.
func (p *program) report(err error) int {
	var code exit
	if errors.As(err, &code) {
		return int(code)
	}
	var mistakes config.Mistakes
	if errors.As(err, &mistakes) {
		for _, one := range mistakes {
			fmt.Fprintf(p.Stderr, "lightspeed: %s\n", visibleLines(one.Error()))
		}
		return exitUsage
	}
	told := explained(err)
	fmt.Fprintf(p.Stderr, "lightspeed: %s\n", visibleLines(told.Error()))
	if told.Hint != "" {
		fmt.Fprintf(p.Stderr, "hint: %s\n", told.Hint)
	}
	if told.Usage {
		return exitUsage
	}
	return exitFail
}
