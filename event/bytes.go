package event

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strings"
	"unicode/utf8"
)

// encoding/json turns every byte that is not UTF-8 into U+FFFD, and two branches of different names into
// one. So such a byte is written as a mark and two hex digits before the text is decoded, and put back
// afterwards. The mark is one of Unicode's 32 noncharacters U+FDD0 to U+FDEF that the text does not use.
const (
	firstMark = '\uFDD0'
	lastMark  = '\uFDEF'
)

// markBytes returns the text as UTF-8 and the mark, which is 0 when nothing had to be marked.
func markBytes(text []byte) (marked []byte, mark rune, err error) {
	if utf8.Valid(text) {
		return text, 0, nil
	}
	if mark, err = unusedMark(text); err != nil {
		return nil, 0, err
	}
	marked = make([]byte, 0, len(text)+len(text)/8)
	for len(text) > 0 {
		r, size := utf8.DecodeRune(text)
		if r == utf8.RuneError && size == 1 {
			marked = utf8.AppendRune(marked, mark)
			marked = hex.AppendEncode(marked, text[:1])
		} else {
			marked = append(marked, text[:size]...)
		}
		text = text[size:]
	}
	return marked, mark, nil
}

func unusedMark(text []byte) (rune, error) {
	lower := bytes.ToLower(text)
	for mark := rune(firstMark); mark <= lastMark; mark++ {
		escaped := fmt.Sprintf(`\u%04x`, mark)
		if !bytes.Contains(text, []byte(string(mark))) && !bytes.Contains(lower, []byte(escaped)) {
			return mark, nil
		}
	}
	return 0, fmt.Errorf("body is not UTF-8 and uses all of U+%X to U+%X", firstMark, lastMark)
}

// unmarkBytes puts the bytes back that markBytes has marked.
func unmarkBytes(text string, mark rune) string {
	before, rest, found := strings.Cut(text, string(mark))
	out := []byte(before)
	for found {
		raw, err := hex.DecodeString(rest[:min(2, len(rest))])
		if err != nil || len(raw) != 1 {
			break // cannot be: the mark stands nowhere else
		}
		out = append(out, raw...)
		before, rest, found = strings.Cut(rest[2:], string(mark))
		out = append(out, before...)
	}
	return string(out)
}
