package web

import (
	"fmt"
	"html/template"
	"net/url"
	"strings"
	"time"

	"lightspeed/event"
	"lightspeed/run"
)

// maxShown bounds a text from outside that a page shows, in bytes.
const maxShown = 300

// shown is a text from outside: control characters and marks that turn text around are visible in it, and it turns
// nothing around it.
func shown(text string) template.HTML { return shownUpTo(text, maxShown) }

func shownUpTo(text string, limit int) template.HTML {
	return template.HTML("<bdi>" + template.HTMLEscapeString(event.Shown(text, limit)) + "</bdi>")
}

// shownLines is shown for a text of many lines.
func shownLines(text string) template.HTML {
	var b strings.Builder
	for i, line := range strings.Split(text, "\n") {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(template.HTMLEscapeString(event.Shown(line, maxPayloadShown)))
	}
	return template.HTML(b.String())
}

// plain is the same where no element can stand: in a title, an attribute.
func plain(text string) string { return event.Shown(text, maxShown) }

// word is a state as people say it.
func word(s run.State) string { return strings.ReplaceAll(string(s), "_", " ") }

// sign is a state in a character, for titles.
func sign(s run.State) string {
	switch s {
	case run.Passed:
		return "✓"
	case run.Running:
		return "●"
	case run.Queued:
		return "○"
	case run.Cancelled, run.Superseded, run.NotStarted, run.Skipped:
		return "–"
	case run.Lost:
		return "?"
	}
	return "✗"
}

// look is which of the few colours and shapes a state has.
func look(s run.State) string {
	switch s {
	case run.Passed, run.Running, run.Queued, run.Failed, run.Lost:
		return string(s)
	case run.Errored:
		return "errored"
	case run.TimedOut:
		return "timedout"
	}
	return "stopped"
}

// status is a state by shape, word and colour.
func status(s run.State) template.HTML {
	return template.HTML(`<span class="status s-` + look(s) + `"><svg class="i" aria-hidden="true"><use href="#i-` + look(s) + `"/></svg>` +
		template.HTMLEscapeString(word(s)) + `</span>`)
}

// iconOf names the favicon for a state.
func iconOf(s run.State) string {
	switch look(s) {
	case "passed", "running", "queued", "lost", "stopped":
		return look(s)
	case "failed", "errored", "timedout":
		return "failed"
	}
	return "none"
}

// exactly is a moment in full.
const exactly = "2006-01-02 15:04:05 UTC"

// ago is a moment as a time element: "2 min ago", with the exact time on hover.
func ago(t time.Time) template.HTML {
	return template.HTML(fmt.Sprintf(`<time datetime="%s" title="%s">%s</time>`, t.UTC().Format(time.RFC3339Nano), t.UTC().Format(exactly), since(time.Since(t))))
}

func since(d time.Duration) string {
	switch {
	case d < 5*time.Second:
		return "just now"
	case d < time.Minute:
		return fmt.Sprintf("%d s ago", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min ago", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h ago", int(d.Hours()))
	}
	return fmt.Sprintf("%d days ago", int(d.Hours()/24))
}

// spent says how long something took: "0.3 s", "12 s", "3 min 4 s", "2 h 5 min".
func spent(d time.Duration) string {
	d = max(d, 0)
	switch {
	case d < 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min %d s", int(d.Minutes()), int(d.Seconds())%60)
	}
	return fmt.Sprintf("%d h %d min", int(d.Hours()), int(d.Minutes())%60)
}

// took is how long it was from one moment to another; while there is no other, it goes on.
func took(from, to *time.Time) template.HTML {
	switch {
	case from == nil:
		return ""
	case to == nil:
		return template.HTML(fmt.Sprintf(`<span data-since="%s">%s</span>`, from.UTC().Format(time.RFC3339Nano), spent(time.Since(*from))))
	}
	return template.HTML(spent(to.Sub(*from)))
}

// size is a number of bytes as people say it.
func size(n int64) string {
	switch {
	case n == 1:
		return "1 byte"
	case n < 1<<10:
		return fmt.Sprintf("%d bytes", n)
	case n < 1<<20:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	case n < 1<<30:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
}

// grouped is a number with its digits in groups of three.
func grouped(n int64) string {
	digits := fmt.Sprint(n)
	for at := len(digits) - 3; at > 0; at -= 3 {
		digits = digits[:at] + "\u202f" + digits[at:]
	}
	return digits
}

// commit is a commit as people write it.
func commit(sha *string) string {
	if sha == nil {
		return ""
	}
	return (*sha)[:min(7, len(*sha))]
}

// webLink returns an address that may be linked to: http or https; anything else is empty.
func webLink(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return ""
	}
	return u.String()
}

// count is "1 run", "2 runs".
func count(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %ss", n, one)
}
