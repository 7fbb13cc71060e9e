// Package app puts the roles together: it alone picks implementations, opens sockets, starts what a process
// needs and stops it in reverse order.
package app

import "fmt"

// Error is a failure for whoever typed the command: what went wrong, and what to do about it.
type Error struct {
	Err   error
	Hint  string // may be empty
	Usage bool   // a setting does not make sense: nothing was started
}

func (e *Error) Error() string { return e.Err.Error() }

func (e *Error) Unwrap() error { return e.Err }

// Usagef says that a setting does not make sense, and what to set instead.
func Usagef(hint, format string, args ...any) error {
	return &Error{Err: fmt.Errorf(format, args...), Hint: hint, Usage: true}
}

// Failf says that something went wrong, and what may be done about it.
func Failf(hint, format string, args ...any) error {
	return &Error{Err: fmt.Errorf(format, args...), Hint: hint}
}
