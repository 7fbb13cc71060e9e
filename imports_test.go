package main

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// imports is the table of who may import whom, of ours. What things are (event, run, match) knows nothing of how
// they are stored or shown; the three roles never import each other: they talk over HTTP, also in `up`.
var imports = map[string]string{
	"":           "cli secret",
	"cli":        "app api event logtime run match notify secret suggest listener/config",
	"app":        "admin admin/store admin/web api broker broker/embedded broker/rabbit event hooks listener listener/checkout listener/config logtime match metric notify notify/discord run secret redelivery",
	"event":      "",
	"secret":     "",
	"run":        "event",
	"match":      "event suggest",
	"api":        "event logtime run match secret",
	"fault":      "",
	"logtime":    "",
	"redelivery": "secret",
	"metric":     "",
	"suggest":    "",

	"broker":          "secret",
	"broker/embedded": "broker secret",
	"broker/rabbit":   "broker secret",

	"hooks":       "api event fault metric secret hooks/spool",
	"hooks/spool": "event fault",
	"admin":       "admin/store api broker event fault logtime match metric run secret redelivery",
	"admin/store": "api event fault match run",
	"admin/web":   "event logtime match run",

	"notify":              "event run secret",
	"notify/discord":      "notify event run secret",
	"notify/commitstatus": "notify event run secret",

	"listener":          "api broker event fault logtime match metric notify notify/commitstatus notify/discord run secret listener/checkout listener/config listener/journal listener/lock listener/process",
	"listener/checkout": "secret listener/process",
	"listener/config":   "match run secret suggest",
	"listener/journal":  "api fault logtime run",
	"listener/lock":     "",
	"listener/process":  "",
}

// forTests is the same for packages that only tests, benchmarks and fault runs use; nothing above imports them.
var forTests = map[string]string{
	"fleet":                          "listener/process",
	"crash":                          "",
	"fanout":                         "",
	"deploy":                         "",
	"bench":                          "api broker/rabbit/rabbittest event fleet run secret",
	"chaos":                          "api broker/rabbit/rabbittest event fleet run secret",
	"broker/brokertest":              "broker",
	"broker/rabbit/rabbittest":       "",
	"notify/discord/discordtest":     "",
	"notify/commitstatus/githubtest": "",
	"redelivery/redeliverytest":      "",
}

func TestImportTable(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", `{{.ImportPath}}:{{range .Imports}} {{.}}{{end}}`, "./...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	seen := map[string]bool{}
	for line := range strings.Lines(string(out)) {
		path, list, _ := strings.Cut(strings.TrimSpace(line), ":")
		name := ours(path)
		seen[name] = true
		may, known := imports[name]
		if !known {
			may, known = forTests[name]
		}
		if !known {
			t.Errorf("package %q is not in the import table: say there what it may import, and why it is one", name)
			continue
		}
		for _, imported := range strings.Fields(list) {
			if imported != "lightspeed" && !strings.HasPrefix(imported, "lightspeed/") {
				continue
			}
			if !slices.Contains(strings.Fields(may), ours(imported)) {
				t.Errorf("%s imports %s, which the table does not allow", path, imported)
			}
		}
		for _, bad := range []string{"util", "utils", "common", "helpers", "types", "models"} {
			if slices.Contains(strings.Split(name, "/"), bad) {
				t.Errorf("package %s is named after nothing that it does", path)
			}
		}
	}
	for _, table := range []map[string]string{imports, forTests} {
		for name := range table {
			if !seen[name] {
				t.Errorf("the import table has %q, and there is no such package", name)
			}
		}
	}
}

// ours is a package's path within the module; the module's own is "".
func ours(path string) string { return strings.TrimPrefix(strings.TrimPrefix(path, "lightspeed"), "/") }
