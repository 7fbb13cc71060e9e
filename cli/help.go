package cli

import (
	"fmt"
	"strings"

	urfave "github.com/urfave/cli/v2"
)

// exitCodes stands in the root's help and in the docs.
const exitCodes = `Exit codes:
  0         done; also a server that was ended by SIGINT or SIGTERM, check with warnings, demo at ^C
  1         failure, admin not reachable, a run that did not pass (run, demo --once, send --follow),
            nothing matched (explain)
  2         usage or config error
  130, 143  cut short by SIGINT or SIGTERM; a server by the third
`

// help is the text for the root, a group or a command.
func (p *program) help(root *urfave.App, l *line) string {
	if len(l.path) == 0 {
		return rootHelp(root)
	}
	return commandHelp(l.names(), l.path[len(l.path)-1])
}

func rootHelp(root *urfave.App) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s\n\n", root.Name, root.Usage)
	b.WriteString("  lightspeed demo                    see it work, in one process, in a second\n")
	b.WriteString("  lightspeed COMMAND [ARGUMENTS] [FLAGS]\n")
	category := ""
	for _, command := range root.Commands {
		if command.Category != category {
			category = command.Category
			fmt.Fprintf(&b, "\n%s:\n", category)
		}
		fmt.Fprintf(&b, "  %-12s %s\n", command.Name, command.Usage)
	}
	b.WriteString("\nFlags may stand before or after arguments. `lightspeed COMMAND --help` shows a command's flags, with examples.\n")
	b.WriteString("A flag counts before its LIGHTSPEED_… variable, that before an older name, that before the default.\n")
	b.WriteString("Colour only on a terminal, and never with NO_COLOR set.\n\n" + exitCodes)
	return b.String()
}

func commandHelp(name string, command *urfave.Command) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s\n\n", name, command.Usage)
	b.WriteString(indent(command.UsageText))
	if command.Description != "" {
		fmt.Fprintf(&b, "\n%s\n", strings.TrimSpace(command.Description))
	}
	if len(command.Subcommands) > 0 {
		b.WriteString("\nCommands:\n")
		for _, sub := range command.Subcommands {
			fmt.Fprintf(&b, "  %-8s %s\n", sub.Name, sub.Usage)
		}
		fmt.Fprintf(&b, "\n`%s COMMAND --help` shows a command's flags, with examples.\n", name)
	}
	if lines := flagLines(command.Flags); lines != "" {
		fmt.Fprintf(&b, "\nFlags:\n%s", lines)
	}
	return b.String()
}

// flagColumn is where a flag's description starts.
const flagColumn = 26

func flagLines(flags []urfave.Flag) string {
	var b strings.Builder
	for _, flag := range flags {
		visible, ok := flag.(urfave.VisibleFlag)
		shown, documented := flag.(urfave.DocGenerationFlag)
		if !ok || !visible.IsVisible() || !documented {
			continue
		}
		value, usage := placeholder(shown.GetUsage())
		head := "  --" + flag.Names()[0]
		if shown.TakesValue() {
			head += " " + value
		}
		lines := strings.Split(usage, "\n")
		if len(head) > flagColumn-2 {
			b.WriteString(head + "\n")
			head = ""
		}
		for _, text := range lines {
			fmt.Fprintf(&b, "%-*s%s\n", flagColumn, head, text)
			head = ""
		}
	}
	return b.String()
}

// placeholder finds the value's name, which stands in backquotes in a flag's description; at its start it
// is the name alone.
func placeholder(usage string) (value, plain string) {
	before, rest, found := strings.Cut(usage, "`")
	name, after, closed := strings.Cut(rest, "`")
	if !found || !closed {
		return "VALUE", usage
	}
	if before == "" {
		return name, strings.TrimSpace(after)
	}
	return name, before + name + after
}

func indent(text string) string {
	var b strings.Builder
	for line := range strings.Lines(strings.TrimSpace(text) + "\n") {
		b.WriteString("  " + line)
	}
	return b.String()
}
