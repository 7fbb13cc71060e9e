package cli

import (
	"fmt"
	"io"
	"unicode/utf8"
)

// terminalWriter passes a run's output on. Raw, byte for byte. On a terminal it lets text, line ends, tabs,
// carriage returns, backspaces and colours through; every other control sequence could move the cursor over
// what stood before, rename the window or make the terminal type something, and is shown instead of obeyed.
type terminalWriter struct {
	to      io.Writer
	raw     bool
	colour  bool   // colours are passed on, else left out
	held    []byte // the start of a sequence or character whose end has not come yet
	painted bool   // a colour may be on
	midLine bool
}

// maxSequence is how long a colour sequence may be; a longer one is shown.
const maxSequence = 64

// brokenOutput is what went wrong when writing, not when reading.
type brokenOutput struct{ err error }

func (e *brokenOutput) Error() string { return "write output: " + e.err.Error() }
func (e *brokenOutput) Unwrap() error { return e.err }

func (w *terminalWriter) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	out := p
	if !w.raw {
		out = w.clean(append(w.held, p...))
	}
	if len(out) > 0 {
		w.midLine = out[len(out)-1] != '\n'
	}
	if _, err := w.to.Write(out); err != nil {
		return 0, &brokenOutput{err}
	}
	return len(p), nil
}

// end shows what was held back, turns colours off and ends the last line.
func (w *terminalWriter) end() {
	if w.raw {
		return
	}
	tail := []byte(visible(string(w.held)))
	w.held = nil
	if w.painted {
		tail = append(tail, "\x1b[0m"...)
	}
	if w.midLine || len(tail) > 0 && !w.painted {
		tail = append(tail, '\n')
	}
	_, _ = w.to.Write(tail)
}

// clean returns what of text may be shown, and keeps an unfinished end for the next call.
func (w *terminalWriter) clean(text []byte) []byte {
	out := make([]byte, 0, len(text)+16)
	for len(text) > 0 {
		n, shown, whole := w.next(text)
		if !whole {
			break
		}
		out = append(out, shown...)
		text = text[n:]
	}
	w.held = append([]byte(nil), text...)
	return out
}

// next reads one character or sequence: its length, how it is shown, and whether it is all there.
func (w *terminalWriter) next(text []byte) (n int, shown []byte, whole bool) {
	switch c := text[0]; {
	case c == 0x1b:
		return w.escape(text)
	case c == '\n' || c == '\t' || c == '\r' || c == '\b':
		return 1, text[:1], true
	case c < 0x20 || c == 0x7f:
		return 1, fmt.Appendf(nil, `\x%02x`, c), true
	case c < 0x80:
		return 1, text[:1], true
	case !utf8.FullRune(text):
		return 0, nil, false
	}
	r, size := utf8.DecodeRune(text)
	if r == utf8.RuneError && size == 1 || !harmless(r) {
		return size, []byte(visible(string(text[:size]))), true
	}
	return size, text[:size], true
}

// harmless reports whether a character outside ASCII may be shown: not C1 controls, which some terminals
// obey, and not those that turn the direction of writing.
func harmless(r rune) bool {
	return r > 0x9f && (r < 0x202a || r > 0x202e) && (r < 0x2066 || r > 0x2069) && r != 0x200e && r != 0x200f
}

// escape reads what starts with ESC: a colour, ESC [ digits ; : m, or something to be shown.
func (w *terminalWriter) escape(text []byte) (n int, shown []byte, whole bool) {
	for i := 1; i < len(text) && i < maxSequence; i++ {
		c := text[i]
		switch {
		case i == 1 && c == '[', i > 1 && (c >= '0' && c <= '9' || c == ';' || c == ':'):
			continue
		case i > 1 && c == 'm':
			if !w.colour {
				return i + 1, nil, true
			}
			w.painted = true
			return i + 1, text[:i+1], true
		}
		return 1, []byte(`\x1b`), true
	}
	if len(text) >= maxSequence {
		return 1, []byte(`\x1b`), true
	}
	return 0, nil, false
}
