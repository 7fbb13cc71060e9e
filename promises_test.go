package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	promiseRow = regexp.MustCompile(`^\| [1-8]\. `)
	testName   = regexp.MustCompile(`\bTest[A-Z]\w*`)
	testOrFuzz = regexp.MustCompile(`\b(Test|Fuzz)[A-Z]\w*`)
	scriptName = regexp.MustCompile(`[a-z-]+\.txtar`)
)

// For each promise docs/architecture.md names the tests that would fail if it broke: they must be there.
func TestPromisesNameTestsThatExist(t *testing.T) {
	page, err := os.ReadFile("docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	tests := testsOfTheProject(t)
	rows := 0
	for line := range strings.Lines(string(page)) {
		if !promiseRow.MatchString(line) {
			continue
		}
		rows++
		named := testName.FindAllString(line, -1)
		for _, name := range named {
			if !strings.Contains(tests, "func "+name+"(") {
				t.Errorf("docs/architecture.md names %s, and there is no such test", name)
			}
		}
		scripts := scriptName.FindAllString(line, -1)
		for _, name := range scripts {
			if _, err := os.Stat(filepath.Join("testdata/script", name)); err != nil {
				t.Errorf("docs/architecture.md names %s: %v", name, err)
			}
		}
		if len(named)+len(scripts) == 0 {
			t.Errorf("no test holds the promise %q", line)
		}
	}
	if rows != 8 {
		t.Errorf("docs/architecture.md has %d promises, want 8", rows)
	}
}

// For each limit docs/security.md names what would fail if it did not hold: those are there, too.
func TestLimitsNameTestsThatExist(t *testing.T) {
	page, err := os.ReadFile("docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(page), "## Sizes and ends")
	tests, named := testsOfTheProject(t), testOrFuzz.FindAllString(table, -1)
	if len(named) < 20 {
		t.Errorf("it names %d", len(named))
	}
	for _, name := range named {
		if !strings.Contains(tests, "func "+name+"(") {
			t.Errorf("docs/security.md names %s, and there is no such test", name)
		}
	}
}

// testsOfTheProject is the text of all test files.
func testsOfTheProject(t *testing.T) string {
	var all strings.Builder
	err := filepath.WalkDir(".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		all.Write(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.String()
}
