package cli

import (
	"context"
	"flag"
	"fmt"
	"slices"
	"strings"
	"time"

	urfave "github.com/urfave/cli/v2"

	"lightspeed/api"
	"lightspeed/app"
	"lightspeed/run"
)

// completeWord is the first argument of a call by a shell that completes a command line: the words of the line
// follow, the last one being completed. It is no command of anybody's.
const completeWord = "__complete"

// shells are the scripts that have a shell ask.
var shells = map[string]string{
	"bash": `_lightspeed() {
  local IFS=$'\n' word="${COMP_WORDS[COMP_CWORD]}"
  COMPREPLY=($(compgen -W "$(lightspeed __complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)" -- "$word"))
}
complete -o default -F _lightspeed lightspeed
`,
	"zsh": `#compdef lightspeed
_lightspeed() {
  local -a found
  found=(${(f)"$(lightspeed __complete "${(@)words[2,CURRENT]}" 2>/dev/null)"})
  if (( $#found )); then compadd -a found; else _files; fi
}
if [[ $funcstack[1] == _lightspeed ]]; then _lightspeed "$@"; else compdef _lightspeed lightspeed; fi
`,
	"fish": `function __lightspeed_complete
  set -l words (commandline -opc) (commandline -ct)
  lightspeed __complete $words[2..-1] 2>/dev/null
end
complete -c lightspeed -a '(__lightspeed_complete)'
`,
}

func (p *program) completion() *urfave.Command {
	return &urfave.Command{
		Name: "completion", Category: groupWatch,
		Usage:     "print a script that completes commands, flags, and names of listeners, runs and deliveries",
		UsageText: "lightspeed completion (bash | zsh | fish)",
		Description: `Names come from admin, as LIGHTSPEED_ADMIN and LIGHTSPEED_TOKEN name it; when it does not answer at once there are none.

Examples:
  lightspeed completion bash > ~/.local/share/bash-completion/completions/lightspeed
  lightspeed completion zsh > ~/.zfunc/_lightspeed
  lightspeed completion fish > ~/.config/fish/completions/lightspeed.fish`,
		Action: func(c *urfave.Context) error {
			args, err := want(c, "SHELL")
			if err != nil {
				return err
			}
			script, ok := shells[args[0]]
			if !ok {
				return app.Usagef("one of bash, zsh, fish", "there is no completion for shell %q", args[0])
			}
			_, err = fmt.Fprint(p.Stdout, script)
			return err
		},
	}
}

// completionPatience is how long admin may take to name something while somebody waits at a prompt.
const completionPatience = 700 * time.Millisecond

// complete prints what the last of some words could become, one a line.
func (p *program) complete(root *urfave.App, words []string) int {
	if len(words) == 0 {
		words = []string{""}
	}
	last := words[len(words)-1]
	for _, one := range p.candidates(root, words[:len(words)-1], last) {
		if strings.HasPrefix(one, last) && one == visible(one) {
			fmt.Fprintln(p.Stdout, one)
		}
	}
	return exitDone
}

func (p *program) candidates(root *urfave.App, before []string, last string) []string {
	l := &line{}
	flagName := ""
	for _, word := range before {
		if flagName != "" {
			flagName = ""
		} else if strings.HasPrefix(word, "-") {
			flagName = l.wantsValue(root.Commands, word)
		} else if l.takeWord(root.Commands, word) != nil {
			return nil
		}
	}
	below := l.below(root.Commands)
	switch {
	case flagName != "":
		return p.flagValues(root, flagName)
	case strings.HasPrefix(last, "-"):
		return flagNames(l.flagsBelow(root.Commands))
	case len(below) > 0:
		return commandNames(below)
	case len(l.args) == 0:
		return p.arguments(root, l)
	}
	return nil
}

// wantsValue returns a flag's name when the next word is its value.
func (l *line) wantsValue(top []*urfave.Command, word string) string {
	name := strings.TrimLeft(word, "-")
	known, ok := findFlag(l.flagsBelow(top), name).(urfave.DocGenerationFlag)
	if ok && known.TakesValue() && !strings.Contains(word, "=") {
		return name
	}
	return ""
}

func flagNames(flags []urfave.Flag) []string {
	var names []string
	for _, one := range flags {
		names = append(names, "--"+one.Names()[0])
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func commandNames(commands []*urfave.Command) []string {
	var names []string
	for _, one := range commands {
		names = append(names, one.Name)
	}
	return names
}

// flagValues are what is known of a flag's values.
func (p *program) flagValues(root *urfave.App, name string) []string {
	switch name {
	case "status":
		return statuses
	case "listener":
		return p.named(root, listenerNames)
	case "repo":
		return p.named(root, runsBy(func(r run.Run) string { return r.Repo }))
	case "branch":
		return p.named(root, runsBy(func(r run.Run) string { return text(r.Branch) }))
	}
	return nil
}

// arguments are what a command could be about.
func (p *program) arguments(root *urfave.App, l *line) []string {
	switch l.path[0].Name {
	case "listeners":
		return p.named(root, listenerNames)
	case "runs":
		return p.named(root, runsBy(func(r run.Run) string { return r.ID }))
	case "deliveries":
		return p.named(root, deliveryIDs)
	case "completion":
		return []string{"bash", "fish", "zsh"}
	}
	return nil
}

// named asks admin for names. When that goes wrong there are none: a prompt is no place for errors.
func (p *program) named(root *urfave.App, ask func(context.Context, *api.Client) ([]string, error)) []string {
	admin, err := p.client(urfave.NewContext(root, flag.NewFlagSet("", flag.ContinueOnError), nil))
	if err != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), completionPatience)
	defer cancel()
	names, err := ask(ctx, admin)
	if err != nil {
		return nil
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func listenerNames(ctx context.Context, admin *api.Client) (names []string, err error) {
	page, err := admin.Listeners(ctx, api.MaxLimit, "")
	for _, l := range page.Items {
		names = append(names, l.Name)
	}
	return names, err
}

func deliveryIDs(ctx context.Context, admin *api.Client) (names []string, err error) {
	page, err := admin.Deliveries(ctx, api.DefaultLimit, "")
	for _, d := range page.Items {
		names = append(names, d.ID)
	}
	return names, err
}

// runsBy asks for something of each of the newest runs.
func runsBy(part func(run.Run) string) func(context.Context, *api.Client) ([]string, error) {
	return func(ctx context.Context, admin *api.Client) (names []string, err error) {
		page, err := admin.Runs(ctx, api.RunFilter{Limit: api.DefaultLimit})
		for _, r := range page.Items {
			if name := part(r); name != "" {
				names = append(names, name)
			}
		}
		return names, err
	}
}
