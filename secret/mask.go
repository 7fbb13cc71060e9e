package secret

import (
	"io"
	"slices"
	"strings"
	"sync/atomic"
)

// ShortestMasked is the length, in bytes, from which a value is masked: a shorter one is found everywhere.
const ShortestMasked = 4

// masked stands where a secret was. It is shorter than any secret, so that masking never makes text longer.
const masked = "***"

// Mask hides secrets in text: each as it is, and in the forms that programs print it in (see forms). A nil *Mask
// hides nothing. It is not changed once it is made, and may be used by many at once.
//
// It looks for all texts at once as Wu and Manber do ("A fast algorithm for multi-pattern searching", 1994): by
// the last two bytes of a window as long as the shortest text, which tell how far the window can be moved. So most
// bytes are never looked at.
type Mask struct {
	window  int               // bytes; the length of the shortest text
	longest int               // bytes; of the longest text
	shift   [1 << 16]uint8    // by a block of two bytes at the window's end; 0: a text may begin with this window
	ending  map[uint16][]text // those whose window ends in a block, the longest first
	begins  [1 << 16]bool     // whether a text begins with a block
	first   [1 << 8]bool      // whether a text begins with a byte
	texts   map[uint16][]text // by the block that they begin with
}

type text = string

// NewMask makes a mask of values; nil when there are none. Values shorter than ShortestMasked are passed over.
func NewMask(values ...Value) *Mask {
	found := map[text]bool{}
	for _, v := range values {
		for _, form := range forms(v.Reveal()) {
			found[form] = len(form) >= ShortestMasked
		}
	}
	texts := make([]text, 0, len(found))
	for one, long := range found {
		if long {
			texts = append(texts, one)
		}
	}
	if len(texts) == 0 {
		return nil
	}
	slices.SortFunc(texts, func(a, b text) int { return len(b) - len(a) })
	return newMask(texts)
}

// newMask makes the tables for texts, of which the longest comes first.
func newMask(texts []text) *Mask {
	m := &Mask{
		longest: len(texts[0]), window: min(len(texts[len(texts)-1]), 255),
		ending: map[uint16][]text{}, texts: map[uint16][]text{},
	}
	for i := range m.shift {
		m.shift[i] = uint8(m.window - 1)
	}
	for _, t := range texts {
		for end := 1; end < m.window; end++ {
			b := block(t[end-1], t[end])
			m.shift[b] = min(m.shift[b], uint8(m.window-1-end))
		}
		last, begin := block(t[m.window-2], t[m.window-1]), block(t[0], t[1])
		m.ending[last] = append(m.ending[last], t)
		m.texts[begin] = append(m.texts[begin], t)
		m.begins[begin], m.first[t[0]] = true, true
	}
	return m
}

func block(a, b byte) uint16 { return uint16(a)<<8 | uint16(b) }

// find returns the first place, from a given one on, where a text stands whole, and the end of the longest there;
// -1 when there is none.
func (m *Mask) find(data []byte, from int) (start, end int) {
	for i := from + m.window - 1; i < len(data); {
		b := block(data[i-1], data[i])
		if move := m.shift[b]; move > 0 {
			i += int(move)
			continue
		}
		start := i - m.window + 1
		for _, t := range m.ending[b] {
			if len(t) <= len(data)-start && string(data[start:start+len(t)]) == t {
				return start, start + len(t)
			}
		}
		i++
	}
	return -1, -1
}

// open returns the first place from which on data may be the beginning of a text; its length when there is none.
func (m *Mask) open(data []byte) int {
	for at := max(0, len(data)-m.longest+1); at < len(data)-1; at++ {
		b := block(data[at], data[at+1])
		if !m.begins[b] {
			continue
		}
		for _, t := range m.texts[b] {
			if len(t) > len(data)-at && t[:len(data)-at] == string(data[at:]) {
				return at
			}
		}
	}
	if len(data) > 0 && m.first[data[len(data)-1]] {
		return len(data) - 1
	}
	return len(data)
}

// hide appends data[:until] to out with all texts hidden that begin there. Of data, hidden bytes are behind a mask
// that stands in out already. It returns how many bytes behind until are.
func (m *Mask) hide(out, data []byte, hidden, until int) (masking []byte, behind int) {
	for from := 0; ; {
		start, end := m.find(data, from)
		if start < 0 || start >= until {
			break
		}
		if start >= hidden {
			out = append(append(out, data[hidden:start]...), masked...)
		}
		// Another may begin within it and go on behind it.
		hidden, from = max(hidden, end), start+1
	}
	if hidden < until {
		out = append(out, data[hidden:until]...)
	}
	return out, max(hidden-until, 0)
}

// String is text with the secrets in it hidden.
func (m *Mask) String(text string) string {
	if m == nil {
		return text
	}
	out, _ := m.hide(nil, []byte(text), 0, len(text))
	return string(out)
}

// Writer returns a writer that hides the secrets in what it passes on to w.
func (m *Mask) Writer(w io.Writer) *MaskWriter { return &MaskWriter{mask: m, w: w} }

// MaskWriter hides secrets in a stream, also where a write ends within one. What may be the beginning of a secret,
// and no more than that, is held back until the next write or Flush.
type MaskWriter struct {
	mask   *Mask
	w      io.Writer
	held   []byte // less than the longest text
	hidden int    // bytes of held that are behind a mask which has been written
	out    []byte
	count  atomic.Int64 // of held
}

// Write passes p on. It returns the error of the writer below.
func (w *MaskWriter) Write(p []byte) (int, error) {
	data := p
	if len(w.held) > 0 {
		data = append(w.held, p...)
	}
	if err := w.pass(data, w.mask.open(data)); err != nil {
		return 0, err
	}
	return len(p), nil
}

// pass writes data up to a place, and holds the rest.
func (w *MaskWriter) pass(data []byte, until int) error {
	start, _ := w.mask.find(data, 0)
	clear := data[:until]
	if w.hidden > 0 || start >= 0 && start < until {
		w.out, w.hidden = w.mask.hide(w.out[:0], data, w.hidden, until)
		clear = w.out
	}
	var err error
	if len(clear) > 0 {
		_, err = w.w.Write(clear)
	}
	w.held = append(w.held[:0], data[until:]...)
	w.count.Store(int64(len(w.held)))
	return err
}

// Flush writes what is held back: nothing follows that could make it a secret.
func (w *MaskWriter) Flush() error {
	err := w.pass(w.held, len(w.held))
	w.held = nil
	return err
}

// Held is how many bytes are held back. It may be asked for while another goroutine writes.
func (w *MaskWriter) Held() int { return int(w.count.Load()) }

// lines of a secret of several are hidden one by one when they have this length, in bytes.
const shortestLine = 8

// forms are the texts by which a secret is found: as it is; each line of it; as base64 in both alphabets, wherever
// it stands within what was encoded, also broken into lines of 64 or 76 characters when it was encoded alone; as
// part of a URL, of JSON, of hexadecimal digits, and as a shell quotes it.
func forms(value string) []string {
	if len(value) < ShortestMasked {
		return nil
	}
	list := []string{value}
	if strings.ContainsAny(value, "\r\n") {
		for line := range strings.SplitSeq(value, "\n") {
			if line = strings.TrimSpace(line); len(line) >= shortestLine {
				list = append(list, line)
			}
		}
	}
	return append(append(list, base64Forms(value)...), escapedForms(value)...)
}
