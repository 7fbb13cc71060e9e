package cli

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// Whatever a run prints: a terminal gets text and colours of it, the same however it is cut, and obeys nothing else.
func FuzzTerminalWriter(f *testing.F) {
	f.Add("a\tb\r\n\x1b[1;31mred\x1b[0m\n", 3, true)
	f.Add("\x1b]0;owned\x07\x1b[2J\u009b2J\u202e", 1, true)
	f.Add("\xff\xe4\xb8\x1b[", 2, false)
	f.Add("\x1b["+strings.Repeat("1", 100)+"m", 7, true)
	f.Fuzz(func(t *testing.T, text string, step int, colour bool) {
		step = 1 + (step%64+64)%64
		whole, cut := written(t, text, max(1, len(text)), colour), written(t, text, step, colour)
		if whole != cut {
			t.Errorf("%q by %d is %q, and at once %q", text, step, cut, whole)
		}
		if !utf8.ValidString(whole) {
			t.Errorf("%q is written as %q", text, whole)
		}
		for i, c := range whole {
			harmless := c == '\n' || c == '\t' || c == '\r' || c == '\b' || c >= ' ' && c != 0x7f && (c < 0x80 || c > 0x9f)
			if !harmless && !(colour && c == 0x1b && colours(whole[i:])) {
				t.Errorf("%q is written as %q", text, whole)
			}
		}
	})
}

func written(t *testing.T, text string, step int, colour bool) string {
	t.Helper()
	var to strings.Builder
	w := &terminalWriter{to: &to, colour: colour}
	for rest := text; rest != ""; rest = rest[min(step, len(rest)):] {
		if n, err := w.Write([]byte(rest[:min(step, len(rest))])); err != nil || n != min(step, len(rest)) {
			t.Fatal(n, err)
		}
	}
	w.end()
	return to.String()
}

// colours reports whether a text begins with a sequence that sets colours, and does nothing else.
func colours(text string) bool {
	rest, ok := strings.CutPrefix(text, "\x1b[")
	end := strings.IndexFunc(rest, func(c rune) bool { return (c < '0' || c > '9') && c != ';' && c != ':' })
	return ok && end >= 0 && rest[end] == 'm'
}
