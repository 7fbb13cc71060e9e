package event

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Shown makes text from outside fit to be shown on one line: what a reader could not see, or would be misled
// by, is written out (\n, \x1b, \u202e, \xff for a byte that is not UTF-8), and the whole is cut to max
// bytes, at least 4, the cut marked by "…". It is for people: two different texts may look the same.
func Shown(text string, max int) string {
	const mark = "…"
	var b strings.Builder
	fits := 0 // where to cut when the text turns out to be too long
	for len(text) > 0 {
		r, size := utf8.DecodeRuneInString(text)
		b.WriteString(shownRune(r, size, text[0]))
		if b.Len() > max {
			return b.String()[:fits] + mark
		}
		if b.Len() <= max-len(mark) {
			fits = b.Len()
		}
		text = text[size:]
	}
	return b.String()
}

func shownRune(r rune, size int, first byte) string {
	switch {
	case r == utf8.RuneError && size == 1:
		return fmt.Sprintf(`\x%02x`, first)
	case unicode.IsPrint(r):
		return string(r)
	}
	quoted := strconv.QuoteRune(r)
	return quoted[1 : len(quoted)-1]
}

// quoted is how an error shows a value from outside.
func quoted(text string) string { return `"` + Shown(text, 100) + `"` }
