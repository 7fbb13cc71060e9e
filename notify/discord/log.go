package discord

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

// How much of a log stands in the message itself; the rest of its tail goes into a file.
const (
	excerptLines = 15
	excerptUnits = 1700
)

// readable turns the end of a log into text: no colours, a line that was written over by "\r" as it looked in
// the end, nothing that cannot be seen but line ends and tabs.
func readable(log []byte) string {
	var b strings.Builder
	b.Grow(len(log))
	for line := range bytes.Lines(uncontrolled(log)) {
		text, ended := bytes.CutSuffix(line, []byte("\n"))
		text = bytes.TrimRight(text, "\r")
		text = text[bytes.LastIndexByte(text, '\r')+1:]
		for len(text) > 0 {
			r, size := utf8.DecodeRune(text) // what is no UTF-8 becomes U+FFFD
			if r == '\t' || !unseen(r) {
				b.WriteRune(r)
			}
			text = text[size:]
		}
		if ended {
			b.WriteByte('\n')
		}
	}
	return strings.TrimRight(b.String(), "\n\t ")
}

const escape = 0x1b

// uncontrolled takes out what terminals act upon: sequences that begin with ESC, among them colours, and those
// with a text of their own, among them titles and links.
func uncontrolled(log []byte) []byte {
	if bytes.IndexByte(log, escape) < 0 {
		return log
	}
	kept := make([]byte, 0, len(log))
	for {
		at := bytes.IndexByte(log, escape)
		if at < 0 {
			return append(kept, log...)
		}
		kept = append(kept, log[:at]...)
		log = log[at+sequence(log[at:]):]
	}
}

// sequence is the length of the control sequence that text begins with (ECMA-48).
func sequence(text []byte) int {
	if len(text) < 2 {
		return len(text)
	}
	switch text[1] {
	case '[': // CSI: parameters, intermediates, one final byte
		return ended(text, 2, '0', '?')
	case ']', 'P', 'X', '^', '_': // OSC, DCS, SOS, PM, APC: a text up to BEL or ST, or a line's end if there is none
		return textEnd(text)
	}
	return ended(text, 1, ' ', '/')
}

// ended passes over bytes from low to high, then over intermediates, and takes one final byte, if there is one.
func ended(text []byte, at int, low, high byte) int {
	for at < len(text) && text[at] >= low && text[at] <= high {
		at++
	}
	for at < len(text) && text[at] >= ' ' && text[at] <= '/' {
		at++
	}
	if at < len(text) && text[at] >= '0' && text[at] <= '~' {
		at++
	}
	return at
}

func textEnd(text []byte) int {
	for at := 2; at < len(text); at++ {
		switch {
		case text[at] == 0x07:
			return at + 1
		case text[at] == escape && at+1 < len(text) && text[at+1] == '\\':
			return at + 2
		case text[at] == '\n': // it was never ended: what follows is text
			return at
		}
	}
	return len(text)
}

// excerpt returns the last lines of a text, fenced, and whether that is all of it.
func excerpt(text string) (fenced string, whole bool) {
	if strings.Trim(text, "\n\t ") == "" {
		return "", true
	}
	left := excerptUnits
	lines := strings.Split(text, "\n")
	first := len(lines)
	for first > 0 && len(lines)-first < excerptLines {
		n := units(unfenceable(lines[first-1])) + 1
		if n > left {
			break
		}
		left -= n
		first--
	}
	kept := lines[first:]
	if first == len(lines) { // not even the last line fits
		kept = []string{ellipsis + lastUnits(lines[first-1], excerptUnits/2)}
	}
	return "```\n" + unfenceable(strings.Join(kept, "\n")) + "\n```", first == 0
}

// unfenceable breaks up what could end a fence: no three backticks stand together in it.
func unfenceable(text string) string { return strings.ReplaceAll(text, "``", "`\u200b`") }

// lastUnits cuts text from its start to at most max units.
func lastUnits(text string, max int) string {
	n := 0
	for at := len(text); at > 0; {
		r, size := utf8.DecodeLastRuneInString(text[:at])
		n += units(string(r))
		if n > max {
			return text[at:]
		}
		at -= size
	}
	return text
}
