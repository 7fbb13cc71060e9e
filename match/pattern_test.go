package match

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
)

// TestGitHubsExamples holds the examples of GitHub's own cheat sheet
// (https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-syntax#filter-pattern-cheat-sheet),
// and beside them texts that must not match.
func TestGitHubsExamples(t *testing.T) {
	tests := []struct {
		patterns []string
		yes, no  []string
	}{
		{[]string{"feature/*"}, []string{"feature/my-branch", "feature/your-branch"}, []string{"feature/a/b", "feature", "my/feature/x"}},
		{[]string{"feature/**"}, []string{"feature/beta-a/my-branch", "feature/your-branch", "feature/mona/the/octocat"}, []string{"feature", "features/x"}},
		{[]string{"main", "releases/mona-the-octocat"}, []string{"main", "releases/mona-the-octocat"}, []string{"Main", "mainx", "xmain", "releases"}},
		{[]string{"*"}, []string{"main", "releases"}, []string{"all/the/branches"}},
		{[]string{"**"}, []string{"all/the/branches", "every/tag", "x"}, nil},
		{[]string{"*feature"}, []string{"mona-feature", "feature", "ver-10-feature"}, []string{"a/feature", "features"}},
		{[]string{"v2*"}, []string{"v2", "v2.0", "v2.9"}, []string{"v1", "v2/x", "xv2"}},
		{[]string{"v[12].[0-9]+.[0-9]+"}, []string{"v1.10.1", "v2.0.0"}, []string{"v3.0.0", "v1.10", "v1x10x1", "v1..1"}},
		{[]string{"Octoc?t"}, []string{"Octoct", "Octot"}, []string{"Octocat", "Octocct"}},
		{[]string{"[CB]at"}, []string{"Cat", "Bat"}, []string{"cat", "at", "CBat"}},
		{[]string{"[1-2]00"}, []string{"100", "200"}, []string{"300", "1200"}},
		{[]string{"*.jsx?"}, []string{"page.js", "page.jsx"}, []string{"page.jsxx", "a/page.js"}},
		{[]string{"*.js"}, []string{"app.js", "index.js"}, []string{"js/index.js", "app.jsx"}},
		{[]string{"**.js"}, []string{"index.js", "js/index.js", "src/js/app.js"}, []string{"index.jsx"}},
		{[]string{"docs/*"}, []string{"docs/README.md", "docs/file.txt"}, []string{"docs/a/b.md", "xdocs/a"}},
		{[]string{"docs/**"}, []string{"docs/README.md", "docs/mona/octocat.txt"}, []string{"docs", "a/docs/b"}},
		{[]string{"docs/**/*.md"}, []string{"docs/README.md", "docs/mona/hello-world.md", "docs/a/markdown/file.md"}, []string{"docs/a.txt", "docsx.md", "docs.md"}},
		{[]string{"**/docs/**"}, []string{"docs/hello.md", "dir/docs/my-file.txt", "space/docs/plan/space.doc"}, []string{"mydocs/hello.md", "docs"}},
		{[]string{"**/README.md"}, []string{"README.md", "js/README.md"}, []string{"js/MYREADME.md", "README.mdx"}},
		{[]string{"**/*src/**"}, []string{"a/src/app.js", "my-src/code/js/app.js"}, []string{"src-my/app.js", "src"}},
		{[]string{"**/*-post.md"}, []string{"my-post.md", "path/their-post.md"}, []string{"post.md", "my-post.md/x"}},
		{[]string{"**/migrate-*.sql"}, []string{"migrate-10909.sql", "db/migrate-v1.0.sql", "db/sept/migrate-v1.sql"}, []string{"xmigrate-1.sql", "migrate-a/b.sql"}},
		{[]string{"*.md", "!README.md"}, []string{"hello.md"}, []string{"README.md", "docs/hello.md"}},
		{[]string{"*.md", "!README.md", "README*"}, []string{"hello.md", "README.md", "README.doc"}, []string{"docs/hello.md"}},
		{[]string{"releases/**", "!releases/**-alpha"}, []string{"releases/10", "releases/beta/mona"}, []string{"releases/10-alpha", "releases/beta/3-alpha"}},
		{[]string{`v\*`, `\!x`, `a\?`, `b\+\[1]`}, []string{"v*", "!x", "a?", "b+[1]"}, []string{"v1", "x", "a", "b1"}},
		{[]string{"{a,b}"}, []string{"{a,b}"}, []string{"a", "b"}},
		{[]string{"a/**/b"}, []string{"a/b", "a/x/b", "a/x/y/b"}, []string{"a/xb", "ab"}},
		{[]string{"a**/b"}, []string{"a/b", "ax/b", "a/x/b"}, []string{"ab"}},
		{[]string{"a+b"}, []string{"ab", "aaab"}, []string{"b", "a+b"}},
		{[]string{"é?x", "ü+"}, []string{"x", "éx", "ü", "üüü"}, []string{"ééx", "\xc3\xa9\xa9x", ""}},
		{[]string{"x/*/**/y[a-f]+.z?"}, []string{"x/1/ya.", "x/1/2/3/yabc.z"}, []string{"x/ya.", "x/1/yg.z", "x/1/y.z"}},
		{[]string{"v1", "!**", "v1"}, []string{"v1"}, []string{"v2"}},
	}
	for _, test := range tests {
		t.Run(strings.Join(test.patterns, " "), func(t *testing.T) {
			f, err := compileFilter("files", test.patterns, actions)
			if err != nil {
				t.Fatal(err)
			}
			for want, texts := range map[bool][]string{true: test.yes, false: test.no} {
				for _, text := range texts {
					if got := f.holds(func(p *pattern) bool { return p.matches(text) }); got != want {
						t.Errorf("%q: got %v, want %v", text, got, want)
					}
				}
			}
		})
	}
}

func TestRepoGlobs(t *testing.T) {
	tests := []struct {
		glob    string
		yes, no []string
	}{
		{"me/my-repo", []string{"me/my-repo"}, []string{"me/my-repo2", "you/my-repo"}},
		{"Me/My-*", []string{"me/my-repo", "me/my-"}, []string{"me/your-repo"}},
		{"*/my-repo", []string{"me/my-repo"}, []string{"me/x"}},
		{"*", []string{"me/my-repo", "a/b"}, nil},
		{"**", []string{"me/my-repo"}, nil},
		{"me/app-?", []string{"me/app-1"}, []string{"me/app-", "me/app-12", "me/app"}},
		{"me/a+b", nil, []string{"me/aab", "me/ab"}},
		{"me/[A-C]*", []string{"me/apple", "me/crate"}, []string{"me/dog"}},
	}
	for _, test := range tests {
		t.Run(test.glob, func(t *testing.T) {
			f, err := compileRepos([]string{test.glob})
			if err != nil {
				t.Fatal(err)
			}
			for want, texts := range map[bool][]string{true: test.yes, false: test.no} {
				for _, text := range texts {
					if got := f.entries[0].matches(text); got != want {
						t.Errorf("%q: got %v, want %v", text, got, want)
					}
				}
			}
		})
	}
}

// TestEachWayOfMatching makes sure that the examples above have met every shape.
func TestEachWayOfMatching(t *testing.T) {
	long := strings.Repeat("a?", 64)
	for text, want := range map[string]shape{
		"**": isEverything, "main": isLiteral, "*": isOneLevel, "docs/**": hasPrefix, "**.js": hasSuffix,
		"**/README.md": isNamed, "docs/**/*.md": byMachine, "é?": byRegexp, long: byRegexp,
	} {
		p, problem := newPattern(text, actions)
		if problem != "" || p.shape != want {
			t.Errorf("%s: shape %v, want %v, problem %q", text, p.shape, want, problem)
		}
	}
	p, _ := newPattern(long, actions)
	if !p.matches("aaa") || p.matches("aab") {
		t.Error("the pattern that is too long for the machine is wrong")
	}
}

// sameAsRE2 compares a pattern's answer with that of its RE2 form, which is what it means.
func sameAsRE2(t *testing.T, source, text string, lang language) {
	t.Helper()
	p, problem := newPattern(source, lang)
	if problem != "" {
		return
	}
	meant := source
	if lang == globs && source == everyRepo {
		meant = "**"
	}
	items, _ := parsePattern(meant, lang)
	form := translate(items)
	if want := regexp.MustCompile(form).MatchString(text); p.matches(text) != want {
		t.Errorf("pattern %q of shape %v on %q: %v, but its RE2 form %s says %v", source, p.shape, text, !want, form, want)
	}
}

func TestEveryWayMeansTheRE2Form(t *testing.T) {
	parts := []string{"a", "b/", "/", "*", "**", "**/", "?", "+", "[a-b]", "é", `\*`, "ab"}
	texts := []string{"", "a", "b", "ab", "a/b", "b/a", "aab/", "/", "//", "a/b/ab", "é", "aé/", "*", "a*b", "\xff", "a\xffb", "a\nb", "b/b/b/a"}
	var all func(prefix string, depth int)
	all = func(prefix string, depth int) {
		for _, text := range texts {
			sameAsRE2(t, prefix, text, actions)
		}
		for _, part := range parts {
			if depth > 0 {
				all(prefix+part, depth-1)
			}
		}
	}
	all("", 3)
}

func FuzzMatch(f *testing.F) {
	f.Add("docs/**/*.md", "docs/a/b.md")
	f.Add("v[12].[0-9]+.[0-9]+", "v1.10.1")
	f.Add("**/*src/**", "my-src/code")
	f.Add("a?b+c", "abbc")
	f.Add("**", "\xff\n/")
	f.Add(`\**é+`, "*éé")
	f.Fuzz(func(t *testing.T, source, text string) {
		if len(source)*len(text) > 1<<16 {
			return // RE2 alone would take too long
		}
		sameAsRE2(t, source, text, actions)
		sameAsRE2(t, source, text, globs)
	})
}

func TestPatternErrors(t *testing.T) {
	tests := []struct{ pattern, want string }{
		{"", `branches: "" is empty`},
		{"!", `branches: "!" excludes nothing: no pattern follows`},
		{"a[b", `branches: "a[b" has a bracket at offset 1 that is not closed`},
		{"a[]b", `branches: "a[]b" has empty brackets at offset 1`},
		{"[!a]", `branches: "[!a]" has "!" in brackets, which hold letters, digits, and ranges of them`},
		{"[z-a]", `branches: "[z-a]" has the range "z-a" in brackets: a range goes up from a to z, A to Z or 0 to 9`},
		{"[a-Z]", `branches: "[a-Z]" has the range "a-Z" in brackets: a range goes up from a to z, A to Z or 0 to 9`},
		{"[a-]", `branches: "[a-]" has the range "a-" in brackets: a range goes up from a to z, A to Z or 0 to 9`},
		{"?a", `branches: "?a" has a "?" at offset 0 with no character before it`},
		{"a*+", `branches: "a*+" has a "+" at offset 2 after a *: it repeats one character or one pair of brackets`},
		{"**/?", `branches: "**/?" has a "?" at offset 3 after a *: it repeats one character or one pair of brackets`},
		{"a+?", `branches: "a+?" has a "?" at offset 2 after "+": only one may follow a character`},
		{`a\`, `branches: "a\" ends in a \ with no character after it`},
		{"a\xffb", `branches: "a\xffb" is not UTF-8`},
		{"a\uFFFD", "branches: \"a\uFFFD\" is not UTF-8"},
		{strings.Repeat("ab", 600), fmt.Sprintf(`branches: "%s…" is 1200 bytes long, at most 1024 are allowed`, strings.Repeat("ab", 98)+"a")},
	}
	for _, test := range tests {
		_, err := Compile(Rules{Name: "x", Branches: []string{"main", test.pattern}})
		if err == nil || err.Error() != test.want {
			t.Errorf("got  %v\nwant %s", err, test.want)
		}
	}
}
