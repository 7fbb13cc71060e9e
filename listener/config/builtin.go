package config

import (
	"os"

	"lightspeed/match"
)

// TestName is the name of the built-in listener.
const TestName = "test"

// Test is the config of `lightspeed listen test`: it matches every push and pull request, echoes hello, and is
// forgotten when it leaves.
func Test() Config {
	c := Loader{}.defaults("")
	c.Rules = match.Rules{
		Name:    TestName,
		Repos:   []string{"*/*"},
		Events:  []string{"push", "pull_request"},
		Forks:   "always",
		Deletes: true,
	}
	c.Exec = []Step{{Name: "step 1", Run: `printf 'hello from lightspeed: %s on %s, %s\n' "$LIGHTSPEED_EVENT" "$LIGHTSPEED_REPO" "$LIGHTSPEED_REF"`}}
	c.Cwd = os.TempDir()
	c.Temporary = true
	return c
}
