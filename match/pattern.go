package match

import (
	"regexp"
	"strings"
)

// pattern decides about one text: a repository, a branch, a tag, a file, a message. It is compiled once and
// then only read. What it means is its RE2 form (translate); but for the rarest it is answered without it.
type pattern struct {
	key    string // tells patterns apart: language and text
	source string // as it stands in the config, without "!"

	shape   shape
	literal string // of shapes with one

	prefix, suffix string   // of byMachine: what stands before and after …
	machine        *machine // … what the machine is asked about

	re *regexp.Regexp // of byRegexp
}

type shape int

const (
	byRegexp     shape = iota
	byMachine          // whatever is none of these:
	isEverything       // **
	isLiteral          // main
	isOneLevel         // *: no slash
	hasPrefix          // docs/**
	hasSuffix          // **.js
	isNamed            // **/README.md: in any folder
	hasText            // files_filter: a substring
)

// matches reports whether the pattern is about the text.
func (p *pattern) matches(text string) bool {
	switch p.shape {
	case isEverything:
		return true
	case isLiteral:
		return text == p.literal
	case isOneLevel:
		return strings.IndexByte(text, '/') < 0
	case hasPrefix:
		return strings.HasPrefix(text, p.literal)
	case hasSuffix:
		return strings.HasSuffix(text, p.literal)
	case isNamed:
		rest, found := strings.CutSuffix(text, p.literal)
		return found && (rest == "" || rest[len(rest)-1] == '/')
	case hasText:
		return strings.Contains(text, p.literal)
	case byMachine:
		rest, starts := strings.CutPrefix(text, p.prefix)
		middle, ends := strings.CutSuffix(rest, p.suffix)
		return starts && ends && p.machine.matches(middle)
	}
	return p.re.MatchString(text)
}

// literalPattern is a value of branch_filter.
func literalPattern(text string) *pattern {
	return &pattern{key: "literal " + text, source: text, shape: isLiteral, literal: text}
}

// substringPattern is a value of files_filter.
func substringPattern(text string) *pattern {
	return &pattern{key: "substring " + text, source: text, shape: hasText, literal: text}
}

// everyRepo is a lone * in repos. It means what everyone expects, although * stops at the slash elsewhere.
const everyRepo = "*"

// newPattern compiles a pattern; problem says what is wrong with it.
func newPattern(text string, lang language) (p *pattern, problem string) {
	meant := text
	if lang == globs && text == everyRepo {
		meant = "**"
	}
	items, problem := parsePattern(meant, lang)
	if problem != "" {
		return nil, problem
	}
	p = &pattern{key: lang.String() + " " + text, source: text}
	if p.shape, p.literal = shapeOf(items); p.shape != byMachine {
		return p, ""
	}
	middle := items
	if first := middle[0]; first.plain() {
		p.prefix, middle = first.text, middle[1:]
	}
	if last := middle[len(middle)-1]; last.plain() {
		p.suffix, middle = last.text, middle[:len(middle)-1]
	}
	if p.machine = newMachine(middle); p.machine != nil {
		return p, ""
	}
	re, err := regexp.Compile(translate(items))
	if err != nil {
		return nil, "is too much for RE2: " + shown(err.Error())
	}
	p.shape, p.re = byRegexp, re
	return p, ""
}

// shapeOf finds the shape that gives the same answers as the items' RE2 form.
func shapeOf(items []item) (shape, string) {
	switch len(items) {
	case 1:
		switch it := items[0]; {
		case it.plain():
			return isLiteral, it.text
		case it.kind == anything:
			return isEverything, ""
		case it.kind == oneLevel:
			return isOneLevel, ""
		}
	case 2:
		switch a, b := items[0], items[1]; {
		case a.plain() && b.kind == anything:
			return hasPrefix, a.text
		case a.kind == anything && b.plain():
			return hasSuffix, b.text
		case a.kind == folders && b.plain():
			return isNamed, b.text
		}
	}
	return byMachine, ""
}
