package discord

import (
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Discord does not say in which unit it counts. UTF-16 units are never fewer than characters, so what fits in
// these fits in any.

// units is the length of text in UTF-16 units.
func units(text string) int {
	n := 0
	for _, r := range text {
		n += utf16.RuneLen(r)
	}
	return n
}

// builder collects text up to a number of units.
type builder struct {
	strings.Builder
	left int
}

// add appends a piece as a whole; false: there is no room for it.
func (b *builder) add(piece string) bool {
	n := units(piece)
	if n > b.left {
		return false
	}
	b.left -= n
	b.WriteString(piece)
	return true
}

const ellipsis = "…"

// plain makes text from outside one line of at most max units, without anything that cannot be seen or that
// turns what is around it: control characters, line ends, characters that change the direction of writing.
func plain(text string, max int) string {
	return collect(text, max, func(r rune) string { return string(r) })
}

// escaped is plain for a place where Discord reads Markdown: nothing in it is a mention, a link or a format.
func escaped(text string, max int) string {
	text = strings.TrimSpace(visible(text))
	b := builder{left: max - 1}
	for at, r := range text {
		piece := string(r)
		if strings.ContainsRune("\\`*_~|<[]@", r) || at == 0 && strings.ContainsRune("#->+", r) || strings.HasPrefix(text[at:], "://") {
			piece = `\` + piece
		}
		if !b.add(piece) {
			return b.String() + ellipsis
		}
	}
	return b.String()
}

// code is plain as inline code, in which nothing is read as Markdown. It is empty when there is no text.
func code(text string, max int) string {
	inner := collect(text, max-2, func(r rune) string {
		if r == '`' {
			return "ˋ"
		}
		return string(r)
	})
	if inner == "" {
		return ""
	}
	return "`" + inner + "`"
}

// collect puts the visible characters of text together, as write writes each, and ends with an ellipsis when
// they do not fit.
func collect(text string, max int, write func(rune) string) string {
	b := builder{left: max - 1} // one is kept for the ellipsis
	for _, r := range strings.TrimSpace(visible(text)) {
		if !b.add(write(r)) {
			return b.String() + ellipsis
		}
	}
	return b.String()
}

// visible puts spaces in the place of line ends and the like, one for several, and drops what cannot be seen.
func visible(text string) string {
	var b strings.Builder
	space := false
	for _, r := range strings.ToValidUTF8(text, string(utf8.RuneError)) {
		switch {
		case unicode.IsSpace(r):
			space = true
		case unseen(r):
		default:
			if space {
				b.WriteByte(' ')
			}
			space = false
			b.WriteRune(r)
		}
	}
	return b.String()
}

// unseen reports characters that show nothing by themselves: controls, and formats such as U+202E, which turns
// the text around. The joiner that emoji are made with may stay.
func unseen(r rune) bool {
	const joiner = '\u200d'
	if r < 0x7f {
		return r < ' '
	}
	return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) && r != joiner || unicode.Is(unicode.Co, r) || r == '\u3164' || r == '\u2800'
}

// firstLine is the text up to its first line end that something stands before.
func firstLine(text string) string {
	line, _, _ := strings.Cut(strings.TrimLeft(text, "\r\n \t"), "\n")
	return line
}
