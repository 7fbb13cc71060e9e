package match

import (
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"
)

// language is what the characters of a pattern mean.
type language int

const (
	// actions is GitHub Actions' filter language, of branches, tags and files: * stops at /, ** does not,
	// ? and + repeat the character before them, [] holds letters, digits and ranges, \ takes a character as
	// it is (https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-syntax#filter-pattern-cheat-sheet).
	actions language = iota
	// globs is the language of repos: as actions, but ? is any one character, + is itself, and letter case
	// does not count.
	globs
)

func (l language) String() string { return [...]string{"actions", "glob"}[l] }

// maxPattern is the longest pattern or expression, in bytes.
const maxPattern = 1024

type kind int

const (
	literal  kind = iota // text
	class                // text holds what stands in the brackets
	one                  // one character but /
	oneLevel             // *
	anything             // **
	folders              // **/ at the start or after a slash: any folders, or none
)

// item is a step of a pattern.
type item struct {
	kind  kind
	text  string // of a literal or a class
	times string // "?" or "+"
}

// plain reports whether the item is a text that must stand there as it is.
func (it item) plain() bool { return it.kind == literal && it.times == "" }

// translate writes the items as an RE2 expression over the whole text.
func translate(items []item) string {
	var b strings.Builder
	b.WriteString(`(?s)\A`)
	for _, it := range items {
		switch it.kind {
		case literal:
			b.WriteString(regexp.QuoteMeta(it.text) + it.times)
		case class:
			b.WriteString("[" + it.text + "]" + it.times)
		case one:
			b.WriteString(`[^/]`)
		case oneLevel:
			b.WriteString(`[^/]*`)
		case anything:
			b.WriteString(`.*`)
		case folders:
			b.WriteString(`(?:.*/)?`)
		}
	}
	b.WriteString(`\z`)
	return b.String()
}

// parser reads a pattern from left to right.
type parser struct {
	text  string
	pos   int
	lang  language
	items []item
}

// parsePattern reads a pattern that has no "!" before it. Neighbouring literals come as one item.
func parsePattern(text string, lang language) (items []item, problem string) {
	switch {
	case text == "":
		return nil, "is empty"
	case len(text) > maxPattern:
		return nil, fmt.Sprintf("is %d bytes long, at most %d are allowed", len(text), maxPattern)
	case !utf8.ValidString(text) || strings.ContainsRune(text, utf8.RuneError):
		return nil, "is not UTF-8"
	}
	if lang == globs {
		text = strings.ToLower(text)
	}
	p := parser{text: text, lang: lang}
	for p.pos < len(p.text) {
		if problem := p.next(); problem != "" {
			return nil, problem
		}
	}
	return joinLiterals(p.items), ""
}

func (p *parser) next() (problem string) {
	switch c := p.text[p.pos]; {
	case c == '*':
		return p.star()
	case c == '[':
		return p.class()
	case c == '\\':
		return p.escaped()
	case (c == '?' || c == '+') && p.lang == actions:
		return p.repeat()
	case c == '?':
		p.add(item{kind: one}, 1)
	case (c == '{' || c == '}') && p.lang == globs:
		return `uses braces, which are not supported: list the patterns one by one`
	default:
		_, size := utf8.DecodeRuneInString(p.text[p.pos:])
		p.add(item{kind: literal, text: p.text[p.pos : p.pos+size]}, size)
	}
	return ""
}

func (p *parser) add(it item, size int) {
	p.items = append(p.items, it)
	p.pos += size
}

func (p *parser) star() (problem string) {
	start := p.pos
	for p.pos < len(p.text) && p.text[p.pos] == '*' {
		p.pos++
	}
	atFolder := start == 0 || p.text[start-1] == '/'
	switch {
	case p.pos-start == 1:
		p.add(item{kind: oneLevel}, 0)
	case atFolder && strings.HasPrefix(p.text[p.pos:], "/"):
		p.add(item{kind: folders}, 1)
	default:
		p.add(item{kind: anything}, 0)
	}
	return ""
}

// repeat reads ? and +, which belong to the character or the brackets before them.
func (p *parser) repeat() (problem string) {
	sign := p.text[p.pos : p.pos+1]
	at := fmt.Sprintf("has a %q at offset %d", sign, p.pos)
	if len(p.items) == 0 {
		return at + " with no character before it"
	}
	last := &p.items[len(p.items)-1]
	switch {
	case last.kind != literal && last.kind != class:
		return at + " after a *: it repeats one character or one pair of brackets"
	case last.times != "":
		return at + fmt.Sprintf(" after %q: only one may follow a character", last.times)
	}
	last.times = sign
	p.pos++
	return ""
}

func (p *parser) escaped() (problem string) {
	_, size := utf8.DecodeRuneInString(p.text[p.pos+1:])
	if size == 0 {
		return `ends in a \ with no character after it`
	}
	p.add(item{kind: literal, text: p.text[p.pos+1 : p.pos+1+size]}, 1+size)
	return ""
}

func (p *parser) class() (problem string) {
	inside, _, closed := strings.Cut(p.text[p.pos+1:], "]")
	switch {
	case !closed:
		return fmt.Sprintf("has a bracket at offset %d that is not closed", p.pos)
	case inside == "":
		return fmt.Sprintf("has empty brackets at offset %d", p.pos)
	}
	for rest := inside; rest != ""; {
		size, problem := classPart(rest)
		if problem != "" {
			return problem
		}
		rest = rest[size:]
	}
	p.add(item{kind: class, text: inside}, len(inside)+2)
	return ""
}

// classPart checks the letter, digit or range that the text begins with, and returns its length.
func classPart(text string) (size int, problem string) {
	if !alphanumeric(text[0]) {
		r, _ := utf8.DecodeRuneInString(text)
		return 0, fmt.Sprintf("has %s in brackets, which hold letters, digits, and ranges of them", quoted(string(r)))
	}
	if len(text) < 2 || text[1] != '-' {
		return 1, ""
	}
	if len(text) < 3 || characterKind(text[0]) != characterKind(text[2]) || text[0] > text[2] {
		end := text[:min(3, len(text))]
		return 0, fmt.Sprintf("has the range %s in brackets: a range goes up from a to z, A to Z or 0 to 9", quoted(end))
	}
	return 3, ""
}

func alphanumeric(c byte) bool { return characterKind(c) != 0 }

func characterKind(c byte) byte {
	switch {
	case 'a' <= c && c <= 'z':
		return 'a'
	case 'A' <= c && c <= 'Z':
		return 'A'
	case '0' <= c && c <= '9':
		return '0'
	}
	return 0
}

func joinLiterals(items []item) []item {
	joined := items[:0]
	for _, it := range items {
		if n := len(joined); n > 0 && it.plain() && joined[n-1].plain() {
			joined[n-1].text += it.text
			continue
		}
		joined = append(joined, it)
	}
	return joined
}
