package cli

import (
	"fmt"
	"slices"
	"strings"

	urfave "github.com/urfave/cli/v2"

	"lightspeed/app"
	"lightspeed/suggest"
)

// line is an argument vector that was taken apart: which command, its flags, its arguments.
type line struct {
	path  []*urfave.Command
	flags []string // "--name=value" or "--name", in the order given
	args  []string
	help  bool
}

// vector is the line in the order that urfave/cli reads: it takes no flag after the first argument.
func (l *line) vector() []string {
	words := []string{"lightspeed"}
	for _, command := range l.path {
		words = append(words, command.Name)
	}
	return slices.Concat(words, l.flags, []string{"--"}, l.args)
}

// names is the command as it is typed: "lightspeed runs show".
func (l *line) names() string {
	words := []string{"lightspeed"}
	for _, command := range l.path {
		words = append(words, command.Name)
	}
	return strings.Join(words, " ")
}

// below lists the commands that may come next.
func (l *line) below(top []*urfave.Command) []*urfave.Command {
	if len(l.path) == 0 {
		return top
	}
	return l.path[len(l.path)-1].Subcommands
}

// arrange takes an argument vector apart. Flags may stand anywhere after the program's name, "--" ends
// them. A group of commands (runs, deliveries, listeners) that is called alone means its list.
func arrange(top []*urfave.Command, args []string) (*line, error) {
	l := &line{}
	for len(args) > 0 {
		word := args[0]
		args = args[1:]
		switch {
		case word == "--":
			l.args = append(l.args, args...)
			args = nil
		case word == "-h" || word == "--help" || word == "-help":
			l.help = true
		case word == "--version" && len(l.path) == 0: // what most programs take
			args = append([]string{"version"}, args...)
		case len(word) > 1 && word[0] == '-':
			rest, err := l.takeFlag(top, word, args)
			if err != nil {
				return nil, err
			}
			args = rest
		default:
			if err := l.takeWord(top, word); err != nil {
				return nil, err
			}
		}
	}
	if group := l.below(top); len(l.path) > 0 && len(group) > 0 && !l.help {
		l.path = append(l.path, group[0])
	}
	return l, nil
}

// takeWord reads a command's name, or an argument once the command is complete.
func (l *line) takeWord(top []*urfave.Command, word string) error {
	next := l.below(top)
	switch {
	case len(l.path) > 0 && len(next) == 0:
		l.args = append(l.args, word)
		return nil
	case word == "help":
		l.help = true
		return nil
	}
	for _, command := range next {
		if command.HasName(word) {
			l.path = append(l.path, command)
			return nil
		}
	}
	return l.unknownCommand(next, word)
}

func (l *line) unknownCommand(next []*urfave.Command, word string) error {
	var names []string
	for _, command := range next {
		names = append(names, command.Names()...)
	}
	hint := fmt.Sprintf("`%s --help` lists the commands", l.names())
	if meant := suggest.Nearest(word, names); meant != "" {
		hint = fmt.Sprintf("did you mean `%s %s`?", l.names(), meant)
	}
	return app.Usagef(hint, "unknown command %q", strings.TrimPrefix(l.names()+" "+word, "lightspeed "))
}

// takeFlag reads a flag, and its value from the rest when it wants one; it returns what is left.
func (l *line) takeFlag(top []*urfave.Command, word string, rest []string) ([]string, error) {
	name, value, given := strings.Cut(strings.TrimLeft(word, "-"), "=")
	flags := l.flagsBelow(top)
	flag := findFlag(flags, name)
	if flag == nil {
		return nil, l.unknownFlag(flags, word, name)
	}
	if wants, ok := flag.(urfave.DocGenerationFlag); !ok || !wants.TakesValue() {
		l.flags = append(l.flags, "--"+strings.TrimLeft(word, "-"))
		return rest, nil
	}
	if !given {
		if len(rest) == 0 {
			return nil, app.Usagef("", "--%s needs a value", name)
		}
		if value, rest = rest[0], rest[1:]; strings.HasPrefix(value, "--") && findFlag(flags, value[2:]) != nil {
			return nil, app.Usagef(fmt.Sprintf("write --%s=%s if that is the value", name, value), "--%s needs a value, and %s is a flag", name, value)
		}
	}
	l.flags = append(l.flags, "--"+name+"="+value)
	return rest, nil
}

// flagsBelow lists the flags of the command, or of all commands that it may still become.
func (l *line) flagsBelow(top []*urfave.Command) []urfave.Flag {
	if len(l.path) == 0 {
		return allFlags(top)
	}
	return allFlags(l.path[len(l.path)-1:])
}

func allFlags(commands []*urfave.Command) []urfave.Flag {
	var flags []urfave.Flag
	for _, command := range commands {
		flags = append(append(flags, command.Flags...), allFlags(command.Subcommands)...)
	}
	return flags
}

func findFlag(flags []urfave.Flag, name string) urfave.Flag {
	for _, flag := range flags {
		if slices.Contains(flag.Names(), name) {
			return flag
		}
	}
	return nil
}

func (l *line) unknownFlag(flags []urfave.Flag, word, name string) error {
	var names []string
	for _, flag := range flags {
		names = append(names, flag.Names()...)
	}
	hint := fmt.Sprintf("`%s --help` lists the flags", l.names())
	if meant := suggest.Nearest(name, names); meant != "" {
		hint = fmt.Sprintf("did you mean --%s?", meant)
	}
	typed, _, _ := strings.Cut(word, "=")
	return app.Usagef(hint, "unknown flag %s", typed)
}
