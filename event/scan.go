package event

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// maxDepth is how deep a body may nest. GitHub's own events stay under 10.
const maxDepth = 100

// What is read of a body takes many times its length in memory when it is all of the smallest pieces: a push lists no
// more commits and files than so many. GitHub lists 2,048 commits, and a million files with names fill its 25 MB.
const (
	maxListed = 10_000    // objects in a list
	maxTexts  = 1_000_000 // names in all lists
)

// fields names what is kept of a JSON object: a nil value keeps the whole member, another one keeps the
// members that it names. Of an array each element is kept by the array's own fields.
type fields map[string]fields

// scanner checks one JSON text (RFC 8259) and copies the fields that are wanted. What go-github's types
// trip over never reaches them: keys in another letter case, keys that stand twice, and every member that
// nobody reads, such as repository.custom_properties with a list in it.
type scanner struct {
	in    []byte
	pos   int
	depth int
	texts int  // elements of wanted lists so far …
	count bool // … of which one begins here
	out   []byte
	path  []string // wanted keys on the way to pos
	twice string   // the first wanted key that stood twice; its first value was kept
}

// document reads the text, which must be one JSON object, and returns the wanted part of it.
func (s *scanner) document(want fields) ([]byte, error) {
	s.space()
	if kind := s.kind(); kind != "" && kind != "object" {
		return nil, fmt.Errorf("body is a JSON %s, want an object", kind)
	}
	if err := s.project(want); err != nil {
		return nil, err
	}
	s.space()
	if s.pos < len(s.in) {
		return nil, fmt.Errorf("body goes on after its JSON object, at offset %d", s.pos)
	}
	return s.out, nil
}

// kind names the value that begins here, or is empty when none does.
func (s *scanner) kind() string {
	switch c := s.peek(); {
	case c == '{':
		return "object"
	case c == '[':
		return "array"
	case c == '"':
		return "string"
	case c == '-' || digit(c):
		return "number"
	case c == 't' || c == 'f':
		return "boolean"
	case c == 'n':
		return "null"
	}
	return ""
}

// project copies the wanted part of the value that begins here.
func (s *scanner) project(want fields) error {
	start := s.pos
	switch {
	case want != nil && s.peek() == '{':
		return s.projectObject(want)
	case want != nil && s.peek() == '[':
		return s.projectArray(want)
	}
	s.count = true
	err := s.skip()
	s.count = false
	if err != nil {
		return err
	}
	s.out = append(s.out, s.in[start:s.pos]...)
	return nil
}

func (s *scanner) projectObject(want fields) error {
	s.out = append(s.out, '{')
	var seen []string
	err := s.object(func(raw []byte) error {
		sub, wanted := want[string(raw)]
		if !wanted {
			return s.skip()
		}
		key := string(raw)
		s.path = append(s.path, key)
		defer func() { s.path = s.path[:len(s.path)-1] }()
		if slices.Contains(seen, key) {
			if s.twice == "" {
				s.twice = s.where()
			}
			return s.skip()
		}
		if seen = append(seen, key); len(seen) > 1 {
			s.out = append(s.out, ',')
		}
		s.out = append(append(append(s.out, '"'), key...), '"', ':') // a wanted key needs no escapes
		return s.project(sub)
	})
	s.out = append(s.out, '}')
	return err
}

func (s *scanner) projectArray(want fields) error {
	s.out = append(s.out, '[')
	listed := 0
	err := s.array(func() error {
		if listed++; listed > maxListed {
			return fmt.Errorf("body lists more than %d %s", maxListed, s.where())
		}
		if listed > 1 {
			s.out = append(s.out, ',')
		}
		return s.project(want)
	})
	s.out = append(s.out, ']')
	return err
}

// skip checks the value that begins here and steps over it.
func (s *scanner) skip() error {
	switch c := s.peek(); c {
	case '{':
		return s.object(func([]byte) error { return s.skip() })
	case '[':
		return s.array(s.skip)
	case '"':
		return s.text()
	case 't':
		return s.word("true")
	case 'f':
		return s.word("false")
	case 'n':
		return s.word("null")
	default:
		if c == '-' || digit(c) {
			return s.number()
		}
		return s.unexpected("a value")
	}
}

// object calls member for each key, to step over its value.
func (s *scanner) object(member func(key []byte) error) error {
	return s.list('}', func() error {
		start := s.pos
		if s.peek() != '"' {
			return s.unexpected("a key")
		}
		if err := s.text(); err != nil {
			return err
		}
		key := keyText(s.in[start:s.pos])
		s.space()
		if s.peek() != ':' {
			return s.unexpected(`":"`)
		}
		s.pos++
		s.space()
		return member(key)
	})
}

// array calls element at each element, to step over it.
func (s *scanner) array(element func() error) error {
	return s.list(']', func() error {
		if !s.count {
			return element()
		}
		if s.texts++; s.texts > maxTexts {
			return fmt.Errorf("body lists more than %d names, at %s", maxTexts, s.where())
		}
		return element()
	})
}

// where names the wanted member that is being read.
func (s *scanner) where() string { return strings.Join(s.path, ".") }

// list steps over what stands between two brackets, separated by commas; the first is the byte here.
func (s *scanner) list(end byte, item func() error) error {
	if s.depth++; s.depth > maxDepth {
		return fmt.Errorf("body nests deeper than %d levels, at offset %d", maxDepth, s.pos)
	}
	s.pos++
	s.space()
	if s.peek() == end {
		s.pos++
		s.depth--
		return nil
	}
	for {
		if err := item(); err != nil {
			return err
		}
		s.space()
		switch s.peek() {
		case end:
			s.pos++
			s.depth--
			return nil
		case ',':
			s.pos++
			s.space()
		default:
			return s.unexpected(fmt.Sprintf(`"," or "%c"`, end))
		}
	}
}

// text steps over a string. Its bytes need not be UTF-8: git's names need not be either.
func (s *scanner) text() error {
	for s.pos++; s.pos < len(s.in); s.pos++ {
		switch c := s.in[s.pos]; {
		case c == '"':
			s.pos++
			return nil
		case c == '\\':
			if err := s.escape(); err != nil {
				return err
			}
		case c < ' ':
			return s.unexpected("text without control characters")
		}
	}
	return s.unexpected(`"\""`)
}

// escape steps to the last byte of an escape sequence.
func (s *scanner) escape() error {
	s.pos++
	switch s.peek() {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return nil
	case 'u':
		for range 4 {
			if s.pos++; !hexDigit(s.peek()) {
				return s.unexpected("a hex digit")
			}
		}
		return nil
	}
	return s.unexpected("an escape sequence")
}

func (s *scanner) number() error {
	if s.peek() == '-' {
		s.pos++
	}
	if s.peek() == '0' {
		s.pos++
	} else if err := s.digits(); err != nil {
		return err
	}
	if s.peek() == '.' {
		s.pos++
		if err := s.digits(); err != nil {
			return err
		}
	}
	if c := s.peek(); c != 'e' && c != 'E' {
		return nil
	}
	s.pos++
	if c := s.peek(); c == '+' || c == '-' {
		s.pos++
	}
	return s.digits()
}

func (s *scanner) digits() error {
	if !digit(s.peek()) {
		return s.unexpected("a digit")
	}
	for digit(s.peek()) {
		s.pos++
	}
	return nil
}

func (s *scanner) word(word string) error {
	for i := range len(word) {
		if s.peek() != word[i] {
			return s.unexpected(word)
		}
		s.pos++
	}
	return nil
}

func (s *scanner) space() {
	for s.pos < len(s.in) {
		switch s.in[s.pos] {
		case ' ', '\t', '\n', '\r':
			s.pos++
		default:
			return
		}
	}
}

// peek returns the byte here, or 0 at the end; a 0 in the text is an error wherever it stands.
func (s *scanner) peek() byte {
	if s.pos < len(s.in) {
		return s.in[s.pos]
	}
	return 0
}

func (s *scanner) unexpected(want string) error {
	if s.pos >= len(s.in) {
		return fmt.Errorf("body is not JSON: it ends at offset %d, want %s", s.pos, want)
	}
	return fmt.Errorf("body is not JSON: %s at offset %d, want %s", shownByte(s.in[s.pos]), s.pos, want)
}

func shownByte(c byte) string {
	if c < ' ' || c >= 0x7f {
		return fmt.Sprintf("byte 0x%02x", c)
	}
	return fmt.Sprintf("%q", c)
}

// keyText reads a key that stands in quotes.
func keyText(quoted []byte) []byte {
	plain := quoted[1 : len(quoted)-1]
	if bytes.IndexByte(plain, '\\') < 0 {
		return plain
	}
	var key string
	if err := json.Unmarshal(quoted, &key); err != nil {
		return nil // cannot be: the scanner has checked it; and no wanted key is empty
	}
	return []byte(key)
}

func digit(c byte) bool { return '0' <= c && c <= '9' }

func hexDigit(c byte) bool {
	return digit(c) || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}
