package discord

import (
	"regexp"
	"strings"
	"unicode/utf8"
)

// How much of a log stands in the message itself; the rest of its tail goes into a file.
const (
	excerptLines = 15
	excerptUnits = 1700
)

// control matches what terminals act upon: CSI sequences (colours, cursor), OSC, DCS and the like with their
// text up to the end mark, and two-character escapes; also in their one-character C1 forms.
var control = regexp.MustCompile("(?s)(?:\x1b\\[|\u009b)[0-?]*[ -/]*[@-~]?" +
	"|(?:\x1b[\\]PX^_]|[\u009d\u0090\u0098\u009e\u009f]).*?(?:\x07|\x1b\\\\|\u009c|$)" +
	"|\x1b[ -/]*[0-~]?")

// readable turns the end of a log into text: no colours, a line that was written over by "\r" as it looked in
// the end, nothing that cannot be seen but line ends and tabs.
func readable(log []byte) string {
	text := strings.ToValidUTF8(string(log), string(utf8.RuneError))
	text = control.ReplaceAllString(text, "")
	text = strings.ReplaceAll(text, "\r\n", "\n")
	var b strings.Builder
	for line := range strings.Lines(text) {
		line, end := strings.CutSuffix(line, "\n")
		line = strings.TrimRight(line, "\r")
		line = line[strings.LastIndexByte(line, '\r')+1:]
		for _, r := range line {
			if r == '\t' || !unseen(r) {
				b.WriteRune(r)
			}
		}
		if end {
			b.WriteByte('\n')
		}
	}
	return strings.TrimRight(b.String(), "\n\t ")
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
