package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/tailscale/hujson"
)

// Limits of a config file.
const (
	MaxFile  = 1 << 20 // bytes
	MaxDepth = 32      // brackets inside brackets; a real config needs five
)

// document is a config file's text, with what is needed to say where something stands in it.
type document struct {
	file  string
	src   []byte
	lines []int // offset of each line's first byte
}

// newDocument takes the text without the byte order mark that some editors put first.
func newDocument(file string, src []byte) *document {
	d := &document{file: file, src: bytes.TrimPrefix(src, []byte("\ufeff")), lines: []int{0}}
	for i, b := range d.src {
		if b == '\n' {
			d.lines = append(d.lines, i+1)
		}
	}
	return d
}

// at is the position of an offset.
func (d *document) at(offset int) Position {
	offset = min(offset, len(d.src))
	line, found := slices.BinarySearch(d.lines, offset)
	if !found {
		line--
	}
	column := utf8.RuneCount(d.src[d.lines[line]:offset])
	return Position{File: d.file, Line: line + 1, Column: column + 1}
}

func (d *document) mistake(offset int, hint, format string, args ...any) *Mistake {
	return &Mistake{Position: d.at(offset), Message: fmt.Sprintf(format, args...), Hint: hint}
}

// parse turns the text into its syntax tree.
func (d *document) parse() (hujson.Value, *Mistake) {
	if wrong := d.checkText(); wrong != nil {
		return hujson.Value{}, wrong
	}
	open, wrong := d.openAtEnd()
	if wrong != nil {
		return hujson.Value{}, wrong
	}
	// hujson wants a line break after a line comment, also after one that ends the file.
	tree, err := hujson.Parse(append(slices.Clip(d.src), '\n'))
	if err != nil {
		return hujson.Value{}, d.syntaxMistake(err, open)
	}
	return tree, nil
}

// checkText refuses what is no text of a config at all.
func (d *document) checkText() *Mistake {
	if len(bytes.TrimSpace(d.src)) == 0 {
		return &Mistake{Position: Position{File: d.file}, Message: "the file is empty",
			Hint: `a config is {"name": …, "exec": …}, or a list of them`}
	}
	if !utf8.Valid(d.src) {
		return d.mistake(invalidUTF8(d.src), "save the file as UTF-8", "not UTF-8 text")
	}
	return nil
}

func invalidUTF8(src []byte) int {
	for i := 0; i < len(src); {
		r, size := utf8.DecodeRune(src[i:])
		if r == utf8.RuneError && size == 1 {
			return i
		}
		i += size
	}
	return len(src)
}

// opened is something that wants to be closed: a bracket, a string or a comment.
type opened struct {
	what   string
	offset int
}

// openAtEnd returns the innermost thing that the text opens and never closes. It refuses brackets that are
// nested too deep, before a parser that calls itself for each of them reads the text.
func (d *document) openAtEnd() (*opened, *Mistake) {
	var brackets []opened
	for i := 0; i < len(d.src); {
		switch c := d.src[i]; c {
		case '{', '[':
			if len(brackets) == MaxDepth {
				return nil, d.mistake(i, "", "nested deeper than %d brackets", MaxDepth)
			}
			brackets = append(brackets, opened{fmt.Sprintf("the bracket %c", c), i})
		case '}', ']':
			brackets = brackets[:max(0, len(brackets)-1)]
		case '"', '/':
			end, what := skip(d.src, i)
			if end < 0 {
				return &opened{what, i}, nil
			}
			i = end
			continue
		}
		i++
	}
	if len(brackets) == 0 {
		return nil, nil
	}
	return &brackets[len(brackets)-1], nil
}

// skip returns the offset behind the string or comment that starts at i, -1 when it does not end.
func skip(src []byte, i int) (end int, what string) {
	switch rest := src[i:]; {
	case rest[0] == '"':
		return skipString(src, i), "the string"
	case bytes.HasPrefix(rest, []byte("//")):
		if n := bytes.IndexByte(rest, '\n'); n >= 0 {
			return i + n, ""
		}
		return len(src), ""
	case bytes.HasPrefix(rest, []byte("/*")):
		if n := bytes.Index(rest[2:], []byte("*/")); n >= 0 {
			return i + 2 + n + 2, ""
		}
		return -1, "the comment"
	}
	return i + 1, ""
}

func skipString(src []byte, i int) int {
	for i++; i < len(src); i++ {
		switch src[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return -1
}

// syntaxMistake says in our words what hujson stumbled over. It never shows what stands in a string or
// without quotes: that may be a token.
func (d *document) syntaxMistake(err error, open *opened) *Mistake {
	var line, column int
	if _, scanErr := fmt.Sscanf(err.Error(), "hujson: line %d, column %d:", &line, &column); scanErr != nil {
		return &Mistake{Position: Position{File: d.file}, Message: err.Error()}
	}
	offset := min(d.lines[min(line, len(d.lines))-1]+column-1, len(d.src))
	if inner := errors.Unwrap(err); inner != nil {
		err = inner
	}
	if errors.Is(err, io.ErrUnexpectedEOF) && open != nil {
		return d.mistake(open.offset, "", "%s is never closed", open.what)
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return d.mistake(offset, "", "the file ends where a value was to come")
	}
	return d.mistake(offset, d.syntaxHint(offset, err.Error()), "%s", d.syntaxMessage(offset, err.Error()))
}

const invalidLiteral = "invalid literal"

func (d *document) syntaxMessage(offset int, said string) string {
	switch {
	case strings.HasSuffix(said, "after top-level value"):
		return "text after the end of the config"
	case !strings.HasPrefix(said, invalidLiteral):
		return said
	case d.src[offset] != '"':
		return "text without quotes"
	case bytes.ContainsAny(d.src[offset:skipString(d.src, offset)], "\n\r"):
		return "a string goes over the end of its line"
	}
	return "a string holds what JSON does not allow there"
}

func (d *document) syntaxHint(offset int, said string) string {
	next := byte(0)
	if offset < len(d.src) {
		next = d.src[offset]
	}
	switch {
	case strings.HasSuffix(said, "after top-level value"):
		return "several listeners in one file stand in a list: [{…}, {…}]"
	case strings.HasPrefix(said, invalidLiteral) && next != '"':
		return "texts and keys stand in double quotes; only numbers, true and false do without"
	case strings.HasPrefix(said, invalidLiteral) && bytes.ContainsAny(d.src[offset:skipString(d.src, offset)], "\n\r"):
		return `is a closing quote missing? a line break inside a string is written \n`
	case strings.HasPrefix(said, invalidLiteral):
		return `a backslash is written \\ and a tab \t`
	case next == '\'':
		return "texts and keys stand in double quotes"
	case next == '#':
		return "comments start with //"
	case strings.Contains(said, "expecting ','") && next != '}' && next != ']':
		return "is a comma missing before it?"
	}
	return ""
}
