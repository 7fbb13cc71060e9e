package web

import (
	"fmt"
	"html/template"
	"unicode/utf8"

	"lightspeed/event"
	"lightspeed/run"
)

// badge draws a label and a result, in the form that badges have elsewhere.
func badge(name string, state run.State) string {
	label, result := event.Shown(name, 64), "no runs"
	if state != "" {
		result = word(state)
	}
	colour := map[string]string{"passed": "#1f7a37", "running": "#0b5fbe", "queued": "#57606a", "": "#57606a", "stopped": "#57606a"}[lookOrNone(state)]
	if colour == "" {
		colour = "#b3261e"
	}
	left, right := width(label), width(result)
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" width="%[1]d" height="20" role="img" aria-label="%[4]s: %[5]s"><title>%[4]s: %[5]s</title>`+
		`<rect width="%[2]d" height="20" fill="#30363d"/><rect x="%[2]d" width="%[3]d" height="20" fill="%[6]s"/>`+
		`<g fill="#fff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11" text-anchor="middle">`+
		`<text x="%[7]d" y="14">%[4]s</text><text x="%[8]d" y="14">%[5]s</text></g></svg>`,
		left+right, left, right, template.HTMLEscapeString(label), template.HTMLEscapeString(result), colour, left/2, left+right/2)
}

func lookOrNone(s run.State) string {
	if s == "" {
		return ""
	}
	return look(s)
}

// width is about how wide a text is at 11 px, with some room around it.
func width(text string) int { return 7*utf8.RuneCountInString(text) + 12 }
