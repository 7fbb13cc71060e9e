package config

import (
	"fmt"
	"slices"
	"strings"

	"lightspeed/suggest"
)

// otherWords are words that other tools, or habit, have for our keys.
var otherWords = map[string]string{
	"command": "exec", "commands": "exec", "cmd": "exec", "run": "exec", "script": "exec", "steps": "exec",
	"repository": "repos", "repositories": "repos",
	"on": "events", "paths": "files",
	"dir": "cwd", "folder": "cwd", "workdir": "cwd", "workingdirectory": "cwd",
	"environment": "env", "webhook": "discord_hook", "discord": "discord_hook", "id": "name",
}

// plain takes away what people put between words.
var plain = strings.NewReplacer("_", "", "-", "", " ", "")

// didYouMean is a hint that names the candidate nearest to word; empty when none is near.
func didYouMean(word string, candidates []string) string {
	if other := otherWords[plain.Replace(strings.ToLower(word))]; slices.Contains(candidates, other) {
		return fmt.Sprintf("did you mean %q?", other)
	}
	if meant := suggest.Nearest(word, candidates); meant != "" {
		return fmt.Sprintf("did you mean %q?", meant)
	}
	return ""
}
