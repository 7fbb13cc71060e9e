// Package secret holds values that must not be seen: they print as "[secret]" everywhere.
package secret

import (
	"crypto/subtle"
	"fmt"
	"log/slog"
)

const hidden = "[secret]"

// Value is a secret text. Only Reveal shows it: fmt, slog and encoding/json print "[secret]".
type Value struct{ text string }

// New makes a Value.
func New(text string) Value { return Value{text} }

// Reveal returns the text, to be used, never to be printed.
func (v Value) Reveal() string { return v.text }

// IsZero reports whether there is no secret.
func (v Value) IsZero() bool { return v.text == "" }

// Equal compares in constant time.
func (v Value) Equal(text string) bool {
	return subtle.ConstantTimeCompare([]byte(v.text), []byte(text)) == 1
}

func (v Value) String() string               { return hidden }
func (v Value) GoString() string             { return hidden }
func (v Value) Format(s fmt.State, _ rune)   { _, _ = s.Write([]byte(hidden)) }
func (v Value) LogValue() slog.Value         { return slog.StringValue(hidden) }
func (v Value) MarshalText() ([]byte, error) { return []byte(hidden), nil }
