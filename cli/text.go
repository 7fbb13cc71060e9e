package cli

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"lightspeed/event"
)

// maxShown bounds a text from outside that is shown, in bytes.
const maxShown = 64 << 10

// visible makes text from outside safe to print on one line.
func visible(text string) string { return event.Shown(text, maxShown) }

// visibleLines is visible, but for line ends, which stay.
func visibleLines(text string) string {
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = visible(lines[i])
	}
	return strings.Join(lines, "\n")
}

// shorten cuts text to at most n characters, the last then being "…".
func shorten(text string, n int) string {
	if utf8.RuneCountInString(text) <= n {
		return text
	}
	return string([]rune(text)[:n-1]) + "…"
}

// ago says how long before now a moment was: "just now", "42s ago", "2m ago", "3h ago", "5d ago".
func ago(t, now time.Time) string {
	d := now.Sub(t)
	switch {
	case d < time.Second:
		return "just now"
	case d < time.Minute:
		return fmt.Sprintf("%ds ago", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm ago", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh ago", int(d.Hours()))
	}
	return fmt.Sprintf("%dd ago", int(d.Hours()/24))
}

// took says how long something took: "0.3s", "12s", "3m04s", "2h05m".
func took(d time.Duration) string {
	switch {
	case d < 10*time.Second:
		return fmt.Sprintf("%.1fs", max(d, 0).Seconds())
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	}
	return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
}

// count is "1 run", "2 runs".
func count(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	if plural, irregular := strings.CutSuffix(one, "y"); irregular {
		return fmt.Sprintf("%d %sies", n, plural)
	}
	return fmt.Sprintf("%d %ss", n, one)
}

// text is what a pointer of the API points to, or "".
func text[T any](p *T) string {
	if p == nil {
		return ""
	}
	return fmt.Sprint(*p)
}

// orDash shows that there is no value.
func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// shortSHA is a commit as people write it.
func shortSHA(sha string) string { return sha[:min(len(sha), 7)] }
