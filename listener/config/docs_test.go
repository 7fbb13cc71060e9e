package config

import (
	"encoding/json"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"lightspeed/event"
	"lightspeed/match"
)

// page is docs/config.md.
func page(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/config.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// section is what stands under a heading, up to the next one.
func section(t *testing.T, text, heading string) string {
	t.Helper()
	_, rest, found := strings.Cut(text, "\n"+heading+"\n")
	if !found {
		t.Fatalf("no heading %q in docs/config.md", heading)
	}
	level, _, _ := strings.Cut(heading, " ")
	end := regexp.MustCompile(`(?m)^#{1,` + string(rune('0'+len(level))) + `} `).FindStringIndex(rest)
	if end != nil {
		rest = rest[:end[0]]
	}
	return rest
}

// table is the rows of the first tables in a text, without their heads, cut into cells.
func table(text string) [][]string {
	var rows [][]string
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "|") {
			continue
		}
		var cells []string
		for cell := range strings.SplitSeq(strings.Trim(strings.TrimSpace(line), "|"), "|") {
			cells = append(cells, strings.TrimSpace(cell))
		}
		if strings.HasPrefix(line, "|---") {
			rows = rows[:len(rows)-1]
			continue
		}
		rows = append(rows, cells)
	}
	return rows
}

// code is the `texts` in a cell or a paragraph.
func code(text string) []string {
	var found []string
	for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(text, -1) {
		found = append(found, m[1])
	}
	return found
}

// blocks are the ```jsonc blocks in a text.
func blocks(text string) []string {
	var found []string
	for _, m := range regexp.MustCompile("(?ms)^```jsonc\n(.*?)^```").FindAllStringSubmatch(text, -1) {
		found = append(found, m[1])
	}
	return found
}

func sortedKeys() []string {
	names := keyNames()
	slices.Sort(names)
	return names
}

// The page explains every key, and no other.
func TestPageHasEveryKey(t *testing.T) {
	var explained []string
	for _, row := range table(section(t, page(t), "## Keys")) {
		explained = append(explained, code(row[0])...)
	}
	slices.Sort(explained)
	if diff := cmp.Diff(sortedKeys(), explained); diff != "" {
		t.Errorf("keys (-table of keys, +page):\n%s", diff)
	}
}

// What the page calls a key's default is what a config without the key has.
func TestPageHasTheDefaults(t *testing.T) {
	given := map[string]json.RawMessage{"name": []byte(`"a"`), "exec": []byte(`"x"`)}
	bare := write(t, `{"name": "a", "exec": "x"}`)
	for _, row := range table(section(t, page(t), "## Keys")) {
		if value := code(row[2]); len(value) == 1 {
			given[code(row[0])[0]] = json.RawMessage(value[0])
		}
	}
	if len(given) < 10 {
		t.Fatalf("only these defaults are on the page: %s", slices.Sorted(maps.Keys(given)))
	}
	text, err := json.Marshal(given)
	if err != nil {
		t.Fatal(err)
	}
	var loaded []Config
	for _, file := range []string{bare, write(t, string(text))} {
		configs, _, err := Load(file)
		if err != nil {
			t.Fatal(err)
		}
		loaded = append(loaded, configs[0])
	}
	loaded[0].Rules.Events, loaded[0].Rules.Forks = []string{"push"}, "never" // what match.Rules says of none
	if diff := cmp.Diff(loaded[0], loaded[1], cmpopts.IgnoreUnexported(Config{}), equalSecrets, cmpopts.IgnoreFields(Config{}, "File", "Cwd")); diff != "" {
		t.Errorf("defaults (-code +page):\n%s", diff)
	}
}

// The annotated config loads, and holds every key.
func TestPageShowsEveryKey(t *testing.T) {
	found := blocks(section(t, page(t), "## One config with every key"))
	if len(found) != 1 {
		t.Fatalf("%d blocks", len(found))
	}
	d, listeners := Loader{}.decode("docs/config.md", []byte(found[0]), false)
	if len(d.mistakes) > 0 {
		t.Fatal(Mistakes(d.mistakes))
	}
	if diff := cmp.Diff(sortedKeys(), slices.Sorted(maps.Keys(listeners[0].given))); diff != "" {
		t.Errorf("keys (-table of keys, +page):\n%s", diff)
	}
}

// Every example on the page loads; what is a part of a listener is put into one.
func TestPageExamplesLoad(t *testing.T) {
	all := blocks(page(t))
	if len(all) < 6 {
		t.Fatalf("only %d examples", len(all))
	}
	for _, text := range all {
		if !strings.HasPrefix(text, "{") {
			text = "{" + text + "\n, \"name\": \"part\"" + map[bool]string{false: `, "exec": "x"`}[strings.Contains(text, `"exec"`)] + "}"
		}
		if d, _ := (Loader{}).decode("docs/config.md", []byte(text), false); len(d.mistakes) > 0 {
			t.Errorf("%s\n%v", text, Mistakes(d.mistakes))
		}
	}
}

// The first Lightspeed's example stands on the page as it does in testdata.
func TestPageHasTheFirstExample(t *testing.T) {
	want, err := os.ReadFile(testdata + "/good/first-lightspeed.json")
	if err != nil {
		t.Fatal(err)
	}
	if got := blocks(section(t, page(t), "## Moving from the first Lightspeed")); len(got) != 1 || got[0] != string(want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// The tables of patterns say what match does.
func TestPageTablesOfPatterns(t *testing.T) {
	rows := table(section(t, page(t), "## Patterns"))
	if len(rows) < 10 {
		t.Fatalf("only %d rows", len(rows))
	}
	for _, row := range rows {
		list := []string{code(row[0])[0]}
		if strings.HasPrefix(list[0], `["`) {
			if err := json.Unmarshal([]byte(list[0]), &list); err != nil {
				t.Fatal(err)
			}
		}
		rules := match.Rules{Name: "a", Repos: []string{"**"}, Branches: list}
		for _, branch := range code(row[1]) {
			checkMatch(t, rules, event.Event{Repo: "o/r", Branch: branch}, true)
		}
		for _, branch := range code(row[2]) {
			checkMatch(t, rules, event.Event{Repo: "o/r", Branch: branch}, false)
		}
	}
}

// The table of the name rule says what match does.
func TestPageTableOfNames(t *testing.T) {
	for _, row := range table(section(t, page(t), "## The name rule")) {
		rules := match.Rules{Name: code(row[0])[0]}
		for _, repo := range code(row[1]) {
			checkMatch(t, rules, event.Event{Repo: repo, Branch: "main"}, true)
		}
		for _, repo := range code(row[2]) {
			checkMatch(t, rules, event.Event{Repo: repo, Branch: "main"}, false)
		}
	}
}

func checkMatch(t *testing.T, rules match.Rules, e event.Event, want bool) {
	t.Helper()
	m, err := match.Compile(rules)
	if err != nil {
		t.Fatal(err)
	}
	e.Name, e.Ref = "push", "refs/heads/"+e.Branch
	if d := m.Match(e); d.Matched != want {
		t.Errorf("%+v on %s %s: matched %v, want %v (%s)", rules, e.Repo, e.Branch, d.Matched, want, d.Why)
	}
}
