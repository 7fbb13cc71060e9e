package web

import (
	"bytes"
	"fmt"
	"html/template"
	"strings"
	"unicode"
	"unicode/utf8"

	terminal "github.com/buildkite/terminal-to-html/v3"
)

// maxLine is how much of a line is shown, in bytes; the raw log has the rest.
const maxLine = 8 << 10

// painter turns lines of a terminal's output into HTML, one after the other. Colours go on into the next line, as
// they do on a terminal. What else a terminal would do (move about, ask, open links, draw) is not done: only
// text, colours, tabs, backspaces and carriage returns reach the renderer.
type painter struct {
	colours string // the sequences since the last reset
}

// maxColours bounds how much of colours is carried on.
const maxColours = 256

// paint renders one line, without its line end.
func (p *painter) paint(line []byte) template.HTML {
	line = bytes.TrimRight(line, "\r")
	clean := p.clean(line)
	if clean == "" {
		return ""
	}
	if !strings.ContainsAny(clean, "\x1b\r\b") {
		return template.HTML(template.HTMLEscapeString(clean))
	}
	width := utf8.RuneCountInString(clean) + 1
	screen, err := terminal.NewScreen(terminal.WithSize(width, 1), terminal.WithMaxSize(width, 1))
	if err != nil {
		return template.HTML(template.HTMLEscapeString(clean))
	}
	screen.Timestamps = false
	_, _ = screen.Write([]byte(clean)) // it never fails
	return template.HTML(strings.TrimRight(screen.AsHTML(), "\n"))
}

// clean leaves text and colours, makes marks that would turn text around visible, and notes the colours.
func (p *painter) clean(line []byte) string {
	var b strings.Builder
	b.WriteString(p.colours)
	began := b.Len()
	for len(line) > 0 {
		if line[0] == 0x1b {
			size, colour := sequence(line)
			if colour {
				p.note(&b, string(line[2:size-1]))
			}
			line = line[size:]
			continue
		}
		r, size := utf8.DecodeRune(line)
		writeRune(&b, r, size, line[0])
		line = line[size:]
	}
	if b.Len() == began {
		return ""
	}
	return b.String()
}

// note writes a colour, and remembers it for the lines that follow.
func (p *painter) note(b *strings.Builder, parameters string) {
	simple, ok := sixteen(parameters)
	if !ok {
		return
	}
	colour := "\x1b[" + simple + "m"
	b.WriteString(colour)
	if strings.Trim(simple, "0") == "" {
		p.colours = ""
	} else if p.colours += colour; len(p.colours) > maxColours {
		p.colours = colour
	}
}

func writeRune(b *strings.Builder, r rune, size int, first byte) {
	switch {
	case r == utf8.RuneError && size == 1:
		fmt.Fprintf(b, `\x%02x`, first)
	case r == '\t':
		b.WriteString("    ")
	case r == '\r' || r == '\b' || unicode.IsGraphic(r):
		b.WriteRune(r)
	case r < 0x20 || r == 0x7f:
		b.WriteRune(caret(r))
	default: // marks that turn text around, others that cannot be seen, and what is not assigned
		fmt.Fprintf(b, `\u%04x`, r)
	}
}

// caret is the picture of a control character.
func caret(r rune) rune {
	if r == 0x7f {
		return '␡'
	}
	return '␀' + r
}

// sequence returns the length of the escape sequence that a line begins with, and whether it is a colour. What a
// sequence carries goes with it: links, titles, pictures.
func sequence(line []byte) (size int, colour bool) {
	if len(line) < 2 {
		return 1, false
	}
	switch line[1] {
	case '[':
		return csi(line)
	case ']', 'P', '_', '^', 'X': // strings up to BEL or ESC \
		return stringSequence(line), false
	}
	at := 1
	for at < len(line) && line[at] >= 0x20 && line[at] <= 0x2f {
		at++
	}
	return min(at+1, len(line)), false
}

func csi(line []byte) (size int, colour bool) {
	plain := true
	for at := 2; at < len(line); at++ {
		switch c := line[at]; {
		case c >= 0x40 && c <= 0x7e:
			return at + 1, c == 'm' && plain && at < 64
		case c >= '0' && c <= '9' || c == ';' || c == ':':
		case c < 0x20 || c > 0x7e:
			return at, false
		default:
			plain = false
		}
	}
	return len(line), false
}

func stringSequence(line []byte) int {
	for at := 2; at < len(line); at++ {
		if line[at] == 0x07 {
			return at + 1
		}
		if line[at] == 0x1b && at+1 < len(line) && line[at+1] == '\\' {
			return at + 2
		}
	}
	return 2 // it has no end on this line: only its beginning goes, so that the line can be read
}
