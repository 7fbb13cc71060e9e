package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func pages(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob("../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, file := range append(files, "../README.md", "../CHANGELOG.md", "../SECURITY.md", "../CONTRIBUTING.md") {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all[file] = string(text)
	}
	return all
}

// Every link within the documentation leads to a page, and to a heading on it.
func TestLinksInTheDocs(t *testing.T) {
	all := pages(t)
	for file, text := range all {
		for _, m := range regexp.MustCompile(`\]\(([^)\s]+)\)`).FindAllStringSubmatch(text, -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			path, anchor, _ := strings.Cut(m[1], "#")
			target := file
			if path != "" {
				target = filepath.Join(filepath.Dir(file), path)
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s: there is no %s", file, m[1])
			} else if anchor != "" && !headings(all[target])[anchor] {
				t.Errorf("%s: there is no heading %s", file, m[1])
			}
		}
	}
}

// headings are the anchors of a page's headings, as GitHub makes them.
func headings(page string) map[string]bool {
	found := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(page, -1) {
		plain := regexp.MustCompile(`[^\p{L}\p{N} _-]`).ReplaceAllString(strings.ToLower(m[1]), "")
		found[strings.ReplaceAll(plain, " ", "-")] = true
	}
	return found
}

// Every whole config that the documentation shows is right.
func TestConfigsInTheDocs(t *testing.T) {
	found := 0
	for file, text := range pages(t) {
		for _, m := range regexp.MustCompile("(?ms)^```jsonc?\n(\\{.*?)^```$").FindAllStringSubmatch(text, -1) {
			if !strings.Contains(m[1], `"name"`) || !strings.Contains(m[1], `"exec"`) {
				continue // a part of one, or something else
			}
			found++
			path := filepath.Join(t.TempDir(), "config.json")
			if err := os.WriteFile(path, []byte(m[1]), 0o600); err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			if code := Main([]string{"lightspeed", "check", path}, System{Stdout: &out, Stderr: &out, Env: noEnv}); code != exitDone {
				t.Errorf("%s: %s\n%s", file, m[1], &out)
			}
		}
	}
	if found < 3 {
		t.Errorf("only %d configs", found)
	}
}
