package process

import (
	"bytes"
	"context"
	"errors"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// A tool's output and exit status come back, and a tree that ends meanwhile neither reaps it nor ends it.
func TestTool(t *testing.T) {
	tree, err := New(Options{Marks: []string{"MARK=tool-test"}, Output: &bytes.Buffer{}, Grace: func(error) time.Duration { return time.Second }})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	ended := make(chan error, 1)
	go func() {
		ended <- Tool{
			Argv: []string{"sh", "-c", "cat; sleep 0.3; echo $V; exit 3"}, Dir: "/", Env: []string{"V=value", "PATH=" + defaultPath},
			Input: strings.NewReader("input\n"), Output: &out,
		}.Run(t.Context())
	}()
	tree.Run(t.Context(), Command{Argv: []string{"true"}, Dir: "/", Env: []string{"MARK=tool-test"}})
	tree.End(t.Context())
	var exit *exec.ExitError
	if err := <-ended; !errors.As(err, &exit) || exit.ExitCode() != 3 || out.String() != "input\nvalue\n" {
		t.Errorf("got %v, %q", err, out.String())
	}
}

// A tool that is cut short, and does not listen, is gone within moments, with what it has started.
func TestToolCutShort(t *testing.T) {
	why := errors.New("no more time")
	ctx, cancel := context.WithTimeoutCause(t.Context(), 200*time.Millisecond, why)
	defer cancel()
	var out bytes.Buffer
	began := time.Now()
	err := Tool{
		Argv: []string{"sh", "-c", "trap '' TERM; sleep 600 & sleep 600; sleep 600"}, Dir: "/", Env: []string{"PATH=" + defaultPath, "TOOL=cut-short"}, Output: &out,
	}.Run(ctx)
	if took := time.Since(began); !errors.Is(err, why) || took > 10*time.Second {
		t.Errorf("got %v after %v", err, took)
	}
	var pids []byte
	gone := poll(5*time.Second, func() bool {
		pids, _ = exec.Command("sh", "-c", "grep -ls TOOL=cut-short /proc/[0-9]*/environ").Output()
		return len(pids) == 0
	})
	if !gone {
		t.Errorf("still there: %s", pids)
	}
}
