package crash

import (
	"context"
	"syscall"
	"testing"
	"time"

	"lightspeed/fleet"
)

// patience bounds every wait for something that must come. It is long: the machine may be busy.
const patience = 30 * time.Second

// server is one of our processes, over all its lives.
type server struct {
	t       *testing.T
	command fleet.Command
	ready   string // prefix of its ready line
	*fleet.Process
	past string // what its earlier lives wrote
}

// launch starts it with more in its environment, and does not wait.
func (s *server) launch(env ...string) error {
	command := s.command
	command.Env = append(command.Env[:len(command.Env):len(command.Env)], env...)
	process, err := fleet.Start(command)
	if err != nil {
		return err
	}
	if s.Process != nil {
		s.past += s.Process.Log() + "--- started anew\n"
	}
	s.Process = process
	return nil
}

// start starts it and waits until it serves.
func (s *server) start(env ...string) {
	s.t.Helper()
	if err := s.launch(env...); err != nil {
		s.t.Fatal(err)
	}
	s.awaitReady()
}

func (s *server) awaitReady() {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	if _, err := s.Ready(ctx, s.ready); err != nil {
		s.t.Fatal(err)
	}
}

// freeze stops the process as SIGSTOP does, until thaw.
func (s *server) freeze() { s.Signal(syscall.SIGSTOP) }

func (s *server) thaw() { s.Signal(syscall.SIGCONT) }

// end makes sure that nothing is left of it.
func (s *server) end() {
	if s.Process != nil {
		s.thaw()
		s.Kill()
	}
}

// everything is what all its lives wrote.
func (s *server) everything() string {
	if s.Process == nil {
		return s.past
	}
	return s.past + s.Process.Log()
}
