package cli

import (
	"bytes"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	urfave "github.com/urfave/cli/v2"
)

// fake is a program whose output is kept and whose environment is given.
func fake(env map[string]string) (p *program, stdout, stderr *bytes.Buffer) {
	stdout, stderr = &bytes.Buffer{}, &bytes.Buffer{}
	get := func(name string) (string, bool) { text, ok := env[name]; return text, ok }
	return &program{System: System{Stdin: strings.NewReader(""), Stdout: stdout, Stderr: stderr, Env: get}}, stdout, stderr
}

// Every flag may stand before or after every argument, and what urfave/cli then gets is the same.
func TestArrange(t *testing.T) {
	p, _, _ := fake(nil)
	for _, test := range []struct{ name, want string }{
		{"demo --once", "demo --once --"},
		{"up a.json b.json --secret s", "up --secret=s -- a.json b.json"},
		{"up --secret s a.json b.json", "up --secret=s -- a.json b.json"},
		{"up a.json --secret=s b.json", "up --secret=s -- a.json b.json"},
		{"admin --addr 127.0.0.1:0 --lease 5s", "admin --addr=127.0.0.1:0 --lease=5s --"},
		{"hooks --secret a --secret b", "hooks --secret=a --secret=b --"},
		{"listen a.json --admin http://h:1", "listen --admin=http://h:1 -- a.json"},
		{"listen --admin http://h:1 a.json", "listen --admin=http://h:1 -- a.json"},
		{"listen test", "listen -- test"},
		{"check a.json", "check -- a.json"},
		{"check -- -odd.json", "check -- -odd.json"},
		{"explain a.json --payload f --event push", "explain --payload=f --event=push -- a.json"},
		{"explain --payload f a.json --event push", "explain --payload=f --event=push -- a.json"},
		{"explain --payload - a.json", "explain --payload=- -- a.json"},
		{"run a.json --payload f", "run --payload=f -- a.json"},
		{"run --payload f a.json", "run --payload=f -- a.json"},
		{"send f --follow", "send --follow -- f"},
		{"send --follow f", "send --follow -- f"},
		{"send --follow=false f", "send --follow=false -- f"},
		{"send -", "send -- -"},
		{"runs", "runs list --"},
		{"runs --json", "runs list --json --"},
		{"runs --json list", "runs list --json --"},
		{"--json runs list", "runs list --json --"},
		{"--limit 5 runs", "runs list --limit=5 --"},
		{"runs log id --follow", "runs log --follow -- id"},
		{"runs --follow log id", "runs log --follow -- id"},
		{"deliveries replay --listener a id --listener b", "deliveries replay --listener=a --listener=b -- id"},
		{"listeners trigger name --repo o/r --branch b", "listeners trigger --repo=o/r --branch=b -- name"},
		{"listeners remove name --force", "listeners remove --force -- name"},
		{"runs log list", "runs log -- list"}, // an argument may be called like a command
		{"check help", "check -- help"},
		{"--version", "version --"},
	} {
		l, err := arrange(p.root().Commands, strings.Fields(test.name))
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		if got := strings.Join(l.vector()[1:], " "); got != test.want {
			t.Errorf("%s\n got %s\nwant %s", test.name, got, test.want)
		}
	}
}

func TestArrangeRefuses(t *testing.T) {
	p, _, _ := fake(nil)
	for line, want := range map[string]string{
		"rnus":                   "unknown command \"rnus\"\nhint: did you mean `lightspeed runs`?",
		"xyzzy":                  "unknown command \"xyzzy\"\nhint: `lightspeed --help` lists the commands",
		"runs lst":               "unknown command \"runs lst\"\nhint: did you mean `lightspeed runs list`?",
		"runs 0abc":              "unknown command \"runs 0abc\"\nhint: `lightspeed runs --help` lists the commands",
		"send --folow":           "unknown flag --folow\nhint: did you mean --follow?",
		"send -x":                "unknown flag -x\nhint: `lightspeed send --help` lists the flags",
		"send --event":           "--event needs a value",
		"send --repo --branch b": "--repo needs a value, and --branch is a flag\nhint: write --repo=--branch if that is the value",
	} {
		_, err := arrange(p.root().Commands, strings.Fields(line))
		if err == nil {
			t.Errorf("%s: no error", line)
			continue
		}
		told := explained(err)
		got := told.Error()
		if told.Hint != "" {
			got += "\nhint: " + told.Hint
		}
		if got != want || !told.Usage {
			t.Errorf("%s: usage %v\n%s", line, told.Usage, cmp.Diff(want, got))
		}
	}
}

// Every command says what it does, shows its synopsis and an example; each of these is one that it takes.
func TestHelpIsTrue(t *testing.T) {
	p, _, _ := fake(nil)
	commands := p.root().Commands
	each(commands, func(command *urfave.Command) {
		if command.Usage == "" || command.UsageText == "" || !strings.Contains(command.Description, "Examples:\n") {
			t.Errorf("%s: the help lacks a usage, a synopsis or examples", command.Name)
		}
		for text := range strings.Lines(command.UsageText + "\n" + command.Description) {
			_, example, found := strings.Cut(text, "lightspeed ")
			if !found || strings.Contains(text, "`") {
				continue
			}
			example, _, _ = strings.Cut(example, " > ")
			example, _, _ = strings.Cut(example, " | jq")
			if _, after, piped := strings.Cut(example, "| lightspeed "); piped {
				example = after
			}
			words := strings.Fields(strings.NewReplacer("[", "", "]...", "", "]", "", "(", "", ")", "", "|", "").Replace(example))
			if words[len(words)-1] == "COMMAND" {
				continue
			}
			if _, err := arrange(commands, words); err != nil {
				t.Errorf("%s: the help shows %q, which is refused: %v", command.Name, strings.TrimSpace(text), err)
			}
		}
	})
}

// Every command that the documentation shows is one.
func TestDocsAreTrue(t *testing.T) {
	p, _, _ := fake(nil)
	commands, shown := p.root().Commands, 0
	for page, text := range pages(t) {
		if filepath.Base(page) == "reference.md" {
			continue // which is the help itself
		}
		for _, found := range shownCommand.FindAllStringSubmatch(text, -1) {
			words := strings.Fields(strings.NewReplacer("[", "", "]", "", "…", "").Replace(found[1]))
			shown++
			if _, err := arrange(commands, words); err != nil {
				t.Errorf("%s shows `lightspeed %s`, which is refused: %v", page, found[1], err)
			}
		}
	}
	if shown < 10 {
		t.Errorf("only %d commands were found in the docs: is the pattern still right?", shown)
	}
}

// shownCommand is a command at the start of an indented line, or in backquotes, up to what a shell takes.
var shownCommand = regexp.MustCompile("(?m)(?:^ {4,}(?:\\w+=\\S+ )*|`|&& )lightspeed ([a-z-][^`\n|&;>#]*)")

func each(commands []*urfave.Command, visit func(*urfave.Command)) {
	for _, command := range commands {
		visit(command)
		each(command.Subcommands, visit)
	}
}

// Flags of one name take a value in every command or in none: arrange may meet a flag before the command.
func TestFlagsAgree(t *testing.T) {
	p, _, _ := fake(nil)
	takes := map[string]bool{}
	for _, flag := range allFlags(p.root().Commands) {
		value := flag.(urfave.DocGenerationFlag).TakesValue()
		for _, name := range flag.Names() {
			if before, seen := takes[name]; seen && before != value {
				t.Errorf("--%s takes a value in one command and none in another", name)
			}
			takes[name] = value
		}
	}
}

func TestHelpNeedsNothing(t *testing.T) {
	for _, args := range [][]string{{"--help"}, {"help"}, {"runs", "--help"}, {"help", "runs"}, {"runs", "show", "-h"}, {"--help", "send"}, {"admin", "--lease", "1s", "--help"}} {
		p, stdout, stderr := fake(nil)
		if code := Main(append([]string{"lightspeed"}, args...), p.System); code != 0 || stdout.Len() == 0 || stderr.Len() > 0 {
			t.Errorf("%v: exit code %d, stdout %q, stderr %q", args, code, stdout, stderr)
		}
	}
	p, stdout, stderr := fake(nil)
	if code := Main([]string{"lightspeed"}, p.System); code != 2 || stdout.Len() > 0 || !strings.Contains(stderr.String(), "Exit codes:") {
		t.Errorf("without a command: exit code %d, stdout %q, stderr %q", code, stdout, stderr)
	}
}
