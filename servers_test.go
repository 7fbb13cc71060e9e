package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// patience is how long a script waits for something that must come.
const patience = 30 * time.Second

type serversKey struct{}

// servers are the background processes of one script.
type servers struct {
	mu  sync.Mutex
	all map[string]*server
}

// server is one of them, and the lines that it wrote.
type server struct {
	cmd   *exec.Cmd
	done  chan struct{} // closed when it has ended
	mu    sync.Mutex
	lines []string
	more  chan struct{}
}

func of(ts *testscript.TestScript, name string) *server {
	all := ts.Value(serversKey{}).(*servers)
	all.mu.Lock()
	defer all.mu.Unlock()
	s, ok := all.all[name]
	if !ok {
		ts.Fatalf("no server %s was started", name)
	}
	return s
}

func cmdServe(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: serve NAME ARGS...")
	}
	s := &server{cmd: program(context.Background(), ts, args[1:]), done: make(chan struct{}), more: make(chan struct{})}
	s.cmd.Stdout = &lineWriter{s: s}
	s.cmd.Stderr = &lineWriter{s: s}
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	ts.Check(s.cmd.Start())
	go func() {
		_ = s.cmd.Wait()
		close(s.done)
	}()
	all := ts.Value(serversKey{}).(*servers)
	all.mu.Lock()
	defer all.mu.Unlock()
	all.all[args[0]] = s
}

// program is `lightspeed ARGS...` in the script's folder and environment.
func program(ctx context.Context, ts *testscript.TestScript, args []string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "lightspeed", args...)
	cmd.Dir = ts.MkAbs(".")
	for _, name := range passed {
		if value := ts.Getenv(name); value != "" {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
	}
	return cmd
}

// passed are the variables that a program gets from its script: testscript does not hand out all of them.
var passed = []string{
	"PATH", "HOME", "USER", "TMPDIR", "GOCOVERDIR", "STATE_DIRECTORY", "XDG_STATE_HOME",
	"LIGHTSPEED_ADMIN", "LIGHTSPEED_ADDR", "LIGHTSPEED_HOOKS_ADDR", "LIGHTSPEED_STATE", "LIGHTSPEED_SECRET", "LIGHTSPEED_SECRET_FILE",
	"LIGHTSPEED_TOKEN", "LIGHTSPEED_TOKEN_FILE", "LIGHTSPEED_ADMIN_TOKEN", "LIGHTSPEED_HOOKS_TOKEN", "LIGHTSPEED_LISTENER_TOKEN",
	"LIGHTSPEED_DISCORD_API", "DISCORD_HOOK", "LIGHTSPEED_PUBLIC_URL",
	"ADMIN_DOMAIN", "ADMIN_PORT", "TRIGGER_ON_DELETE",
}

func cmdExits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: exits CODE ARGS...")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*patience)
	defer cancel()
	cmd := program(ctx, ts, args[1:])
	cmd.Stdout, cmd.Stderr = ts.Stdout(), ts.Stderr()
	err := cmd.Run()
	if code := fmt.Sprint(cmd.ProcessState.ExitCode()); code != args[0] {
		ts.Fatalf("exit code %s (%v), not %s", code, err, args[0])
	}
}

// lineWriter keeps whole lines, and wakes who waits for them.
type lineWriter struct {
	s    *server
	part []byte
}

func (w *lineWriter) Write(p []byte) (int, error) {
	w.s.mu.Lock()
	defer w.s.mu.Unlock()
	w.part = append(w.part, p...)
	for {
		i := bytes.IndexByte(w.part, '\n')
		if i < 0 {
			return len(p), nil
		}
		w.s.lines = append(w.s.lines, string(w.part[:i]))
		w.part = w.part[i+1:]
		close(w.s.more)
		w.s.more = make(chan struct{})
	}
}

// find waits for a line that matches, and returns what its first group, or else the whole, matched.
func (s *server) find(ts *testscript.TestScript, pattern string) string {
	re, err := regexp.Compile(pattern)
	ts.Check(err)
	limit := time.After(patience)
	for ended := false; ; {
		s.mu.Lock()
		lines, more := slices.Clone(s.lines), s.more
		s.mu.Unlock()
		for _, line := range lines {
			if found := re.FindStringSubmatch(line); found != nil {
				return found[len(found)-1]
			}
		}
		if ended {
			ts.Fatalf("it ended without a line like %q:\n%s", pattern, strings.Join(lines, "\n"))
		}
		select {
		case <-more:
		case <-s.done:
			ended = true
		case <-limit:
			ts.Fatalf("no line like %q within %v:\n%s", pattern, patience, strings.Join(lines, "\n"))
		}
	}
}

func cmdReady(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 || len(args) > 3 {
		ts.Fatalf("usage: ready NAME WHAT [VAR]")
	}
	where := of(ts, args[0]).find(ts, "^ready "+regexp.QuoteMeta(args[1])+" (.*)$")
	if len(args) == 3 {
		ts.Setenv(args[2], where)
	}
}

func cmdSays(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 || len(args) > 3 {
		ts.Fatalf("usage: says NAME REGEXP [VAR]")
	}
	found := of(ts, args[0]).find(ts, args[1])
	if len(args) == 3 {
		ts.Setenv(args[2], found)
	}
}

func cmdSilent(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: silent NAME REGEXP")
	}
	s := of(ts, args[0])
	select {
	case <-s.done:
	default:
		ts.Fatalf("%s still runs: what it will write is not known", args[0])
	}
	re, err := regexp.Compile(args[1])
	ts.Check(err)
	if i := slices.IndexFunc(s.lines, re.MatchString); i >= 0 {
		ts.Fatalf("%s wrote %q", args[0], s.lines[i])
	}
}

var signals = map[string]syscall.Signal{"SIGTERM": syscall.SIGTERM, "SIGINT": syscall.SIGINT, "SIGKILL": syscall.SIGKILL}

func cmdEnd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: end NAME SIGNAL CODE")
	}
	s := of(ts, args[0])
	if args[1] != "-" {
		ts.Check(s.cmd.Process.Signal(signals[args[1]]))
	}
	if args[2] == "-" {
		return // more signals follow
	}
	select {
	case <-s.done:
	case <-time.After(patience):
		ts.Fatalf("%s did not end within %v of %s:\n%s", args[0], patience, args[1], strings.Join(s.lines, "\n"))
	}
	code := fmt.Sprint(s.cmd.ProcessState.ExitCode())
	if status := s.cmd.ProcessState.Sys().(syscall.WaitStatus); status.Signaled() && status.Signal() == syscall.SIGKILL {
		code = "killed"
	}
	if code != args[2] {
		ts.Fatalf("%s ended with %s, not %s:\n%s", args[0], code, args[2], strings.Join(s.lines, "\n"))
	}
}

func cmdPort(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: port VAR")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Setenv(args[0], l.Addr().String())
	ts.Check(l.Close())
}

func cmdUntil(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: until REGEXP ARGS...")
	}
	re, err := regexp.Compile(args[0])
	ts.Check(err)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var out []byte
	for ctx.Err() == nil {
		out, _ = program(ctx, ts, args[1:]).CombinedOutput()
		if scanner := bufio.NewScanner(bytes.NewReader(out)); matches(scanner, re) {
			return
		}
	}
	ts.Fatalf("no match of %q within %v; the last output was\n%s", args[0], patience, out)
}

func matches(lines *bufio.Scanner, re *regexp.Regexp) bool {
	for lines.Scan() {
		if re.MatchString(lines.Text()) {
			return true
		}
	}
	return false
}

// kill ends what a script left running, with all that it started.
func (all *servers) kill() {
	all.mu.Lock()
	defer all.mu.Unlock()
	for _, s := range all.all {
		select {
		case <-s.done:
			continue
		default:
		}
		_ = syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL)
		<-s.done
	}
}
