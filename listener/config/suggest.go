package config

import (
	"fmt"
	"slices"
	"strings"
)

// otherWords are words that other tools, or habit, have for our keys.
var otherWords = map[string]string{
	"command": "exec", "commands": "exec", "cmd": "exec", "run": "exec", "script": "exec", "steps": "exec",
	"repository": "repos", "repositories": "repos",
	"on": "events", "paths": "files",
	"dir": "cwd", "folder": "cwd", "workdir": "cwd", "workingdirectory": "cwd",
	"environment": "env", "webhook": "discord_hook", "discord": "discord_hook", "id": "name",
}

// didYouMean is a hint that names the candidate nearest to word; empty when none is near.
func didYouMean(word string, candidates []string) string {
	if other := otherWords[plain(word)]; slices.Contains(candidates, other) {
		return fmt.Sprintf("did you mean %q?", other)
	}
	best, least := "", 0
	for _, candidate := range candidates {
		d := distance(plain(word), plain(candidate))
		if best == "" || d < least {
			best, least = candidate, d
		}
	}
	if best == "" || least > max(1, len(plain(best))/3) {
		return ""
	}
	return fmt.Sprintf("did you mean %q?", best)
}

// plain takes away what people vary without noticing.
func plain(word string) string {
	return strings.ToLower(strings.NewReplacer("_", "", "-", "", " ", "").Replace(word))
}

// distance counts the insertions, deletions, changes and swaps of neighbours that make a into b. Long words
// are cut: they are no slip of the pen.
func distance(a, b string) int {
	const longest = 40
	a, b = a[:min(len(a), longest)], b[:min(len(b), longest)]
	var rows [longest + 1][longest + 1]int
	for i := range len(a) + 1 {
		for j := range len(b) + 1 {
			if i == 0 || j == 0 {
				rows[i][j] = i + j
				continue
			}
			change := 1
			if a[i-1] == b[j-1] {
				change = 0
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}
