package admin

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// roles writes who may use a route as the docs do.
func (w who) roles() string {
	if w == anyone {
		return "anyone"
	}
	roles := []string{"admin"}
	for _, one := range []struct {
		kind who
		name string
	}{{viewing, "viewer"}, {hooks, "hooks"}, {listening, "listener"}} {
		if w&one.kind != 0 {
			roles = append(roles, one.name)
		}
	}
	return strings.Join(roles, ", ")
}

// TestDocsListEveryRoute compares docs/tokens.md with the table that the server serves by.
func TestDocsListEveryRoute(t *testing.T) {
	page, err := os.ReadFile("../docs/tokens.md")
	if err != nil {
		t.Fatal(err)
	}
	var want strings.Builder
	for _, r := range start(t).server.table() {
		fmt.Fprintf(&want, "| `%s %s` | %s |\n", r.method, r.path, r.may.roles())
	}
	_, table, _ := strings.Cut(string(page), "| route | roles |\n|---|---|\n")
	table, _, _ = strings.Cut(table, "\n\n")
	if strings.TrimSpace(table) != strings.TrimSpace(want.String()) {
		t.Errorf("docs/tokens.md is not the table of routes:\n%s", want.String())
	}
}
