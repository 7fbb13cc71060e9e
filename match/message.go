package match

import "strings"

// maxMessage is how much of a commit message the expressions of message see, in bytes.
const maxMessage = 64 << 10

// skipWords are GitHub's words in a commit message that ask for no run
// (https://docs.github.com/en/actions/how-tos/manage-workflow-runs/skip-workflow-runs).
var skipWords = []string{"[skip ci]", "[ci skip]", "[no ci]", "[skip actions]", "[actions skip]"}

// skipWord returns the words in a message that ask for no run, or "". Letter case does not count. The
// trailer skip-checks: true counts as the message's last line, below an empty line.
func skipWord(message string) string {
	lower := strings.ToLower(message)
	for _, word := range skipWords {
		if strings.Contains(lower, word) {
			return word
		}
	}
	lines := strings.Split(strings.TrimRight(lower, " \t\r\n"), "\n")
	key, value, _ := strings.Cut(lines[len(lines)-1], ":")
	if key == "skip-checks" && strings.TrimSpace(value) == "true" && hasEmptyLine(lines) {
		return "skip-checks: true"
	}
	return ""
}

func hasEmptyLine(lines []string) bool {
	for _, line := range lines {
		if strings.TrimSpace(line) == "" {
			return true
		}
	}
	return false
}

// firstLine is what is shown of a message.
func firstLine(message string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(message), "\n")
	return strings.TrimSpace(line)
}
