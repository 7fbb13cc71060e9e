// Package secret holds values that must not be seen: they print as "[secret]" everywhere.
package secret

import (
	"crypto/subtle"
	"fmt"
	"log/slog"
)

const hidden = "[secret]"

// Value is a secret text. Only Reveal shows it: fmt, slog and encoding/json print "[secret]". The zero
// Value is no secret at all. Values are compared by Equal, not by ==.
//
// The text stands behind a pointer because fmt calls no method of a value that sits in an unexported
// field, or that is printed with %p: it would print the text's bytes, and prints an address instead.
type Value struct{ text *string }

// New makes a Value. An empty text makes the zero Value.
func New(text string) Value {
	if text == "" {
		return Value{}
	}
	return Value{&text}
}

// Reveal returns the text, to be used, never to be printed.
func (v Value) Reveal() string {
	if v.text == nil {
		return ""
	}
	return *v.text
}

// IsZero reports whether there is no secret.
func (v Value) IsZero() bool { return v.text == nil }

// Equal compares in constant time.
func (v Value) Equal(text string) bool {
	return subtle.ConstantTimeCompare([]byte(v.Reveal()), []byte(text)) == 1
}

func (v Value) String() string               { return hidden }
func (v Value) GoString() string             { return hidden }
func (v Value) Format(s fmt.State, _ rune)   { _, _ = s.Write([]byte(hidden)) }
func (v Value) LogValue() slog.Value         { return slog.StringValue(hidden) }
func (v Value) MarshalText() ([]byte, error) { return []byte(hidden), nil }
