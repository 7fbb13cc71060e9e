package cli

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"lightspeed/run"
)

// terminal is a real one, of which the test is the far end.
type terminal struct {
	*testing.T
	far, near *os.File
}

func openTerminal(t *testing.T) terminal {
	t.Helper()
	far, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { far.Close() })
	if err := unix.IoctlSetPointerInt(int(far.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(far.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	near, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { near.Close() })
	return terminal{t, far, near}
}

func (t terminal) resize(columns, rows uint16) {
	t.Helper()
	if err := unix.IoctlSetWinsize(int(t.far.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: rows, Col: columns}); err != nil {
		t.Fatal(err)
	}
}

// drawn returns what was written up to the end of a table.
func (t terminal) drawn() string {
	t.Helper()
	var all []byte
	part := make([]byte, 4096)
	for !bytes.HasSuffix(all, []byte("\x1b[J")) {
		n, err := t.far.Read(part)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, part[:n]...)
	}
	return string(all)
}

// TestTerminalChangesItsSize has the table fit a terminal as it is each time: no line longer than it is wide, and
// nothing left of a wider table, whose lines the terminal may have broken.
func TestTerminalChangesItsSize(t *testing.T) {
	term := openTerminal(t)
	p := &program{System: System{Stdout: term.near}, out: newStyle(term.near, os.LookupEnv)}
	w := &watcher{p: p, seen: map[string]run.State{}}
	branch, sha := "feature/日本語-"+strings.Repeat("x", 20), "0123456789"
	runs := []run.Run{{ID: "dc2y1p95pg6an7r", Status: run.Running, QueuedAt: time.Now(), Listener: "web-tests", Repo: "acme/web", Branch: &branch, SHA: &sha}}
	for _, step := range []struct {
		columns, lines uint16
		begins         string
		rows           int
		has, hasNot    string
	}{
		{140, 30, "\x1b[K", 28, "COMMIT", "\x1b[2J"},
		{140, 10, "\x1b[2F", 8, "COMMIT", "\x1b[2J"},
		{100, 10, "\x1b[H\x1b[2J", 8, "QUEUED", "COMMIT"},
		{100, 10, "\x1b[2F", 8, "QUEUED", "\x1b[2J"},
		{40, 2, "\x1b[H\x1b[2J", 1, "LISTENER", "REPOSITORY"},
		{140, 30, "\x1b[2F", 28, "COMMIT", "\x1b[2J"},
	} {
		term.resize(step.columns, step.lines)
		columns, rows := w.room()
		if columns != int(step.columns) || rows != step.rows {
			t.Errorf("in %d × %d there is room for %d runs of %d columns", step.columns, step.lines, rows, columns)
		}
		if err := w.show(runs, columns); err != nil {
			t.Fatal(err)
		}
		table := term.drawn()
		if !strings.HasPrefix(table, step.begins) || !strings.Contains(table, step.has) || strings.Contains(table, step.hasNot) || strings.Contains(table, "\x1b[?") {
			t.Errorf("in %d columns: %q", step.columns, table)
		}
		for line := range strings.Lines(table) {
			if n := utf8.RuneCountInString(plain(line)); n > columns {
				t.Errorf("in %d columns, a line of %d: %q", columns, n, line)
			}
		}
	}
}

// plain is a line without its control sequences and its end.
func plain(line string) string {
	var b strings.Builder
	for i, part := range strings.Split(strings.TrimRight(line, "\r\n"), "\x1b[") {
		if i > 0 {
			part = strings.TrimLeft(part, "0123456789;")[1:]
		}
		b.WriteString(part)
	}
	return b.String()
}

func TestCutLine(t *testing.T) {
	for in, want := range map[string]string{
		"abc\n": "abc\n", "abcdef\n": "abcd\n", "\x1b[31mabcdef\x1b[0m\n": "\x1b[31mabcd\x1b[0m\n", "ab日本\n": "ab日\n", "abc日x\n": "abc\n", "": "",
	} {
		if got := cutLine(in, 4); got != want {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
	}
}
