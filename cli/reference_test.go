package cli

import (
	"bytes"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	urfave "github.com/urfave/cli/v2"

	"lightspeed/api"
	"lightspeed/listener/config"
)

var update = flag.Bool("update", false, "write docs/reference.md anew")

const aboutReference = `# Reference

Every command with its flags, the variables that stand for them, and the defaults; the exit codes are at the end of the first. This page is made of the
program's own help: ` + "`go test ./cli -run Reference -update`" + `. Besides: [every key of a config](config.md#keys), [every route of admin and who may use
it](tokens.md#every-route).
`

// docs/reference.md is what --help says of each command.
func TestReference(t *testing.T) {
	var b strings.Builder
	b.WriteString(aboutReference + "\n```text\n" + output(t, "--help") + "```\n")
	root := (&program{System: System{Stdout: &b, Stderr: &b, Env: noEnv}}).root()
	walk(root.Commands, nil, func(path []string) {
		b.WriteString("\n## lightspeed " + strings.Join(path, " ") + "\n\n```text\n" + output(t, append(path, "--help")...) + "```\n")
	})
	const file = "../docs/reference.md"
	if *update {
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(b.String(), string(text)); diff != "" {
		t.Errorf("make it anew by `go test ./cli -run Reference -update` (-help +page):\n%s", diff)
	}
}

// What describes the API comes out byte for byte.
func TestSchemaOfTheAPI(t *testing.T) {
	if got := output(t, "schema", "--api"); got != string(api.OpenAPI) {
		t.Errorf("%d bytes, want %d", len(got), len(api.OpenAPI))
	}
	if got := output(t, "schema"); got != string(config.Schema) {
		t.Errorf("%d bytes, want %d", len(got), len(config.Schema))
	}
}

func noEnv(string) (string, bool) { return "", false }

// walk calls do with the path of every command, groups first.
func walk(commands []*urfave.Command, above []string, do func(path []string)) {
	for _, command := range commands {
		path := append(append([]string{}, above...), command.Name)
		do(path)
		walk(command.Subcommands, path, do)
	}
}

func output(t *testing.T, args ...string) string {
	t.Helper()
	var out bytes.Buffer
	if code := Main(append([]string{"lightspeed"}, args...), System{Stdout: &out, Stderr: &out, Env: noEnv}); code != exitDone {
		t.Fatalf("lightspeed %s: exit code %d\n%s", strings.Join(args, " "), code, &out)
	}
	return out.String()
}
