package fanout

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"lightspeed/fleet"
)

// patience bounds every wait for something that must come. It is long: the machine may be busy, and who has
// lost a broker tries again after up to half a minute.
const patience = 60 * time.Second

// server is one of our processes, over all its lives.
type server struct {
	t       *testing.T
	command fleet.Command
	ready   string // prefix of its ready line
	*fleet.Process
	past string // what its earlier lives wrote
}

// start starts it and waits until it serves. URL is its broker's; empty: it has none.
func (s *server) start(url string) {
	s.t.Helper()
	s.past = s.everything()
	command := s.command
	if url != "" {
		command.Env = append(slices.Clip(command.Env), "LIGHTSPEED_RABBIT_URL="+url)
	}
	process, err := fleet.Start(command)
	if err != nil {
		s.t.Fatal(err)
	}
	s.Process = process
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	if _, err := s.Ready(ctx, s.ready); err != nil {
		s.t.Fatal(err)
	}
}

// stop ends it as an operator does, and waits for its runs.
func (s *server) stop() {
	s.t.Helper()
	if err := s.Stop(patience); err != nil {
		s.t.Fatal(err)
	}
}

// end makes sure that nothing is left of it.
func (s *server) end() {
	if s.Process != nil {
		s.Kill()
	}
}

// everything is what all its lives wrote.
func (s *server) everything() string {
	if s.Process == nil {
		return ""
	}
	return s.past + s.Log()
}

// said counts the lines of this life that contain all of these.
func (s *server) said(parts ...string) int {
	count := 0
	for line := range strings.Lines(s.Log()) {
		if !slices.ContainsFunc(parts, func(part string) bool { return !strings.Contains(line, part) }) {
			count++
		}
	}
	return count
}

// saysOnce waits until a line with all of these is there, and fails when there is another.
func (s *server) saysOnce(parts ...string) {
	s.t.Helper()
	if !poll(patience, func() bool { return s.said(parts...) > 0 }) {
		s.t.Fatalf("%s never said %q", s.command.Name, parts)
	}
	if n := s.said(parts...); n != 1 {
		s.t.Errorf("%s said %d times %q", s.command.Name, n, parts)
	}
}

// poll asks until ok or until the time is over.
func poll(limit time.Duration, ok func() bool) bool {
	for deadline := time.Now().Add(limit); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if ok() {
			return true
		}
	}
	return ok()
}
