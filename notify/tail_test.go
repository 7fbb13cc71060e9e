package notify

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"lightspeed/run"
)

func TestReadTail(t *testing.T) {
	long := strings.Repeat("a line\n", MaxTail)
	for _, c := range []struct {
		name, log, want string
		cut             bool
	}{
		{"empty", "", "", false},
		{"short", "one\ntwo\n", "one\ntwo\n", false},
		{"exact", long[:MaxTail], long[:MaxTail], false},
		{"long", "first\n" + long, long[:MaxTail/7*7], true},
		{"one line", strings.Repeat("x", MaxTail+5), strings.Repeat("x", MaxTail), true},
		{"one line that ends", strings.Repeat("x", MaxTail+5) + "\n", strings.Repeat("x", MaxTail-1) + "\n", true},
	} {
		tail, err := ReadTail(strings.NewReader(c.log), int64(len(c.log)))
		if err != nil || string(tail.Text) != c.want || tail.Cut != c.cut {
			t.Errorf("%s: got %d bytes, cut %v, %v; want %d bytes, cut %v", c.name, len(tail.Text), tail.Cut, err, len(c.want), c.cut)
		}
	}
	if tail, err := ReadTail(strings.NewReader("ab"), 10); err != nil || string(tail.Text) != "ab" {
		t.Errorf("of a log that is shorter than said: %q, %v", tail.Text, err)
	}
	f, err := os.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := ReadTail(f, 10); err == nil {
		t.Error("a folder was read")
	}
}

func TestShort(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0ms", 850 * time.Millisecond: "850ms", 9999 * time.Millisecond: "9.9s", 10 * time.Second: "10s", 59999 * time.Millisecond: "59s",
		time.Minute: "1m 0s", 192 * time.Second: "3m 12s", 3599 * time.Second: "59m 59s", 65 * time.Minute: "1h 5m", 50 * time.Hour: "50h 0m",
	} {
		if got := Short(d); got != want {
			t.Errorf("%v: got %s, want %s", d, got, want)
		}
	}
}

func TestVerb(t *testing.T) {
	for state, want := range map[run.State]string{run.Running: "is running", run.Errored: "could not run", run.Lost: "was lost", "new": "new"} {
		if got := (&Telling{Notice: Notice{State: state}}).Verb(); got != want {
			t.Errorf("%s: %s, want %s", state, got, want)
		}
	}
}

// What an error says must be the same each time, for the log has it once, and must not name the address.
func TestUnreachable(t *testing.T) {
	const secret = "https://discord.com/api/webhooks/1/TOKEN"
	refused := &net.OpError{
		Op: "dial", Net: "tcp", Source: &net.TCPAddr{Port: 40001}, Addr: &net.TCPAddr{Port: 443},
		Err: os.NewSyscallError("connect", syscall.ECONNREFUSED),
	}
	for want, err := range map[string]error{
		"discord cannot be reached: dial: connect: connection refused": &url.Error{Op: "Post", URL: secret, Err: refused},
		"discord cannot be reached: no answer in time":                 &url.Error{Op: "Post", URL: secret, Err: context.DeadlineExceeded},
		"discord cannot be reached: EOF":                               &url.Error{Op: "Post", URL: secret, Err: errors.New("EOF")},
		"discord cannot be reached: other":                             errors.New("other"),
	} {
		if got := Unreachable("discord", err); got.Message != want || got.Final || got.Reached {
			t.Errorf("got %+v, want %s", got, want)
		}
	}
}

func TestSeconds(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"": 0, "x": 0, "-1": 0, "0": 0, "NaN": 0, "1": time.Second, "0.25": 250 * time.Millisecond, "1e300": longestRest, "+Inf": longestRest,
	} {
		if got := Seconds(text); got != want {
			t.Errorf("%q: got %v, want %v", text, got, want)
		}
	}
	h := http.Header{}
	h.Set("Retry-After", time.Now().Add(time.Minute).UTC().Format(http.TimeFormat))
	if got := RetryAfter(h); got < 58*time.Second || got > time.Minute {
		t.Errorf("a date in a minute: %v", got)
	}
	h.Set("Retry-After", "3")
	if got := RetryAfter(h); got != 3*time.Second {
		t.Errorf("got %v", got)
	}
}

func TestBackoff(t *testing.T) {
	for _, c := range []struct {
		failures    int
		after, want time.Duration
	}{
		{1, 0, firstWait}, {2, 0, 2 * firstWait}, {5, 0, 16 * firstWait}, {9, 0, 256 * firstWait}, {10, 0, longWait}, {1000, 0, longWait},
		{1, 10 * time.Millisecond, 10 * time.Millisecond}, {freeTries, 10 * time.Millisecond, 10 * time.Millisecond},
		{freeTries + 1, 10 * time.Millisecond, firstWait}, {1, time.Hour, time.Hour}, {1000, time.Hour, time.Hour},
	} {
		for range 20 {
			if got := backoff(c.failures, c.after); got < c.want || got > c.want+c.want/5+time.Millisecond {
				t.Errorf("after %d failures, asked for %v: got %v, want %v and a fifth at most", c.failures, c.after, got, c.want)
			}
		}
	}
}
