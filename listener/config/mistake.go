package config

import (
	"fmt"
	"strings"
)

// Position is a place in a config file. Line and Column count from 1, Column in characters; both are 0
// where the whole file is meant.
type Position struct {
	File         string
	Line, Column int
}

func (p Position) String() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
}

// Mistake is one thing wrong with a config file.
type Mistake struct {
	Position
	Message string
	Hint    string // what to do about it; may be empty
}

// Error is "file:line:column: message", with the hint on a line of its own.
func (m Mistake) Error() string { return m.Position.String() + ": " + m.Message + hintLine(m.Hint) }

// Mistakes is what Load returns as its error: all mistakes, in the order of files and lines.
type Mistakes []Mistake

// Error is every mistake's text, one after the other.
func (m Mistakes) Error() string {
	texts := make([]string, len(m))
	for i, one := range m {
		texts[i] = one.Error()
	}
	return strings.Join(texts, "\n")
}

// Warning is something in a config file that loads, and is most likely not what was meant.
type Warning struct {
	Position
	Message string
	Hint    string // what to do about it; may be empty
}

// String is "file:line:column: warning: message", with the hint on a line of its own.
func (w Warning) String() string {
	return w.Position.String() + ": warning: " + w.Message + hintLine(w.Hint)
}

func hintLine(hint string) string {
	if hint == "" {
		return ""
	}
	return "\nhint: " + hint
}
