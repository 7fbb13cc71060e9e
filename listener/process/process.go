// Package process runs other people's commands and ends them, with everything that they started.
//
// A Tree is what one run starts: its commands, one after the other, and whatever they leave behind. All of
// it writes into one pipe, so that output keeps its order, and gets /dev/null as its input. On Linux the
// whole tree is found, also what left its process group or cleaned its environment; elsewhere a tree is
// the process groups of its commands.
package process

import (
	"fmt"
	"syscall"
)

// Command is a program to start.
type Command struct {
	Argv []string // program and arguments; a program without a slash is looked up in Env's PATH
	Dir  string   // folder that it runs in, absolute
	Env  []string // its whole environment, "NAME=value"
}

// Result is how a command ended.
type Result struct {
	ExitCode int            // -1 when a signal ended it, or when it has not been started
	Signal   syscall.Signal // what ended it; 0 when it exited
	Stopped  bool           // the context ended before it did
	Err      error          // why it has not been started (a *StartError), or that it could not be ended
}

// Passed reports whether the command ran, was left alone and exited with 0.
func (r Result) Passed() bool { return r.Err == nil && !r.Stopped && r.Signal == 0 && r.ExitCode == 0 }

// String says in plain words how the command ended, without naming it: "exit status 3".
func (r Result) String() string {
	switch {
	case r.Err != nil:
		return r.Err.Error()
	case r.Signal != 0:
		return fmt.Sprintf("ended by signal %d (%v)", int(r.Signal), r.Signal)
	}
	return fmt.Sprintf("exit status %d", r.ExitCode)
}

// StartError says that a command could not be started.
type StartError struct {
	Reason string // plain words that name no command and no folder: these stay on this machine
	Err    error  // the cause, with names
}

func (e *StartError) Error() string { return e.Err.Error() }

func (e *StartError) Unwrap() error { return e.Err }

// ID names a process for good: a pid alone is used again.
type ID struct {
	PID   int    `json:"pid"`
	Start uint64 `json:"start"` // when it started, in the system's own unit; 0 when that is not known
}
