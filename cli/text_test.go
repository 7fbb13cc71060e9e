package cli

import (
	"strings"
	"testing"
	"time"

	"lightspeed/run"
)

func TestAgo(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for want, d := range map[string]time.Duration{
		"just now": 900 * time.Millisecond, "42s ago": 42 * time.Second, "2m ago": 150 * time.Second,
		"47h ago": 47 * time.Hour, "3d ago": 80 * time.Hour,
	} {
		if got := ago(now.Add(-d), now); got != want {
			t.Errorf("%v: got %q, want %q", d, got, want)
		}
	}
	if got := ago(now.Add(time.Minute), now); got != "just now" {
		t.Errorf("a clock that is ahead: got %q", got)
	}
}

func TestTook(t *testing.T) {
	for want, d := range map[string]time.Duration{
		"0.0s": -time.Second, "0.3s": 300 * time.Millisecond, "12s": 12 * time.Second, "3m04s": 184 * time.Second, "2h05m": 125 * time.Minute,
	} {
		if got := took(d); got != want {
			t.Errorf("%v: got %q, want %q", d, got, want)
		}
	}
}

func TestCount(t *testing.T) {
	if got := count(1, "run") + ", " + count(2, "run") + ", " + count(0, "delivery"); got != "1 run, 2 runs, 0 deliveries" {
		t.Error(got)
	}
}

// Promise 5: a table shows what stands in a branch's name, and obeys none of it.
func TestTableIsHarmless(t *testing.T) {
	tab := &table{head: []string{"REF", "STATUS"}}
	tab.add(cell{"a\x1b[2Jb\u202ec\nd\xff", ""}, stateCell(run.Passed))
	tab.add(cell{"é", ""}, stateCell(run.Failed))
	var plain, painted strings.Builder
	if err := tab.print(&plain, style{}); err != nil {
		t.Fatal(err)
	}
	want := "REF" + strings.Repeat(" ", 22) + "STATUS\n" +
		`a\x1b[2Jb\u202ec\nd\xff  passed` + "\n" +
		"é" + strings.Repeat(" ", 24) + "failed\n"
	if plain.String() != want {
		t.Errorf("got\n%s\nwant\n%s", plain.String(), want)
	}
	if err := tab.print(&painted, style{colour: true}); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(painted.String(), "\x1b[32mpassed\x1b[0m") {
		t.Errorf("no colour: %q", painted.String())
	}
}

func TestTerminalWriter(t *testing.T) {
	for _, test := range []struct{ name, in, want string }{
		{"text", "a\tb\r\nc\n", "a\tb\r\nc\n"},
		{"no line end", "abc", "abc\n"},
		{"colour", "\x1b[1;31mred\x1b[0m\n", "\x1b[1;31mred\x1b[0m\n\x1b[0m"},
		{"cursor", "a\x1b[2Jb\n", "a\\x1b[2Jb\n"},
		{"title", "\x1b]0;owned\x07\n", "\\x1b]0;owned\\x07\n"},
		{"C1", "a\u009b2Jb\n", "a\\u009b2Jb\n"},
		{"direction", "a\u202eb\n", "a\\u202eb\n"},
		{"not UTF-8", "a\xffb\n", "a\\xffb\n"},
		{"letters", "äöü 世界 😀\n", "äöü 世界 😀\n"},
		{"unfinished", "a\x1b[3", "a\\x1b[3\n"},
		{"unfinished letter", "a\xe4\xb8", "a\\xe4\\xb8\n"},
		{"endless", "\x1b[" + strings.Repeat("1", 100) + "m\n", `\x1b[` + strings.Repeat("1", 100) + "m\n"},
	} {
		for _, step := range []int{1, 2, 3, 1000} { // a sequence may be split at any byte
			var got strings.Builder
			w := &terminalWriter{to: &got, colour: true}
			for rest := test.in; rest != ""; rest = rest[min(step, len(rest)):] {
				if _, err := w.Write([]byte(rest[:min(step, len(rest))])); err != nil {
					t.Fatal(err)
				}
			}
			w.end()
			if got.String() != test.want {
				t.Errorf("%s by %d: got %q, want %q", test.name, step, got.String(), test.want)
			}
		}
	}
}

func TestTerminalWriterWithoutColour(t *testing.T) {
	var got strings.Builder
	w := &terminalWriter{to: &got}
	_, _ = w.Write([]byte("\x1b[1;31mred\x1b[0m\n"))
	w.end()
	if got.String() != "red\n" {
		t.Errorf("got %q", got.String())
	}
}

func TestRawIsRaw(t *testing.T) {
	const in = "a\x1b[2J\x00\xff"
	var got strings.Builder
	w := &terminalWriter{to: &got, raw: true}
	_, _ = w.Write([]byte(in))
	w.end()
	if got.String() != in {
		t.Errorf("got %q, want %q", got.String(), in)
	}
}
