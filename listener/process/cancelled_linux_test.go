package process

import (
	"context"
	"errors"
	"os"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestManyCancelledRunsLeaveNothing: no descriptor, goroutine or process, also of a child that left its session.
func TestManyCancelledRunsLeaveNothing(t *testing.T) {
	cancelled := func(mark string) {
		ctx, cancel := context.WithCancel(t.Context())
		tree, err := New(Options{Marks: []string{mark}, Output: written(cancel), Grace: func(error) time.Duration { return time.Minute }})
		if err != nil {
			t.Fatal(err)
		}
		left := "setsid sh -c 'echo has left; exec sleep 600' & sleep 600"
		result := tree.Run(ctx, Command{Argv: []string{"/bin/sh", "-c", left}, Dir: "/", Env: []string{mark, "PATH=" + defaultPath}})
		if !result.Stopped {
			t.Fatalf("got %+v", result)
		}
		if rest := tree.End(ctx); rest.Ended != 0 || rest.Stuck != nil || rest.Held {
			t.Fatalf("left %+v", rest)
		}
	}
	cancelled("CANCELLED=first") // what is opened once for all
	descriptors, goroutines := openDescriptors(t), runtime.NumGoroutine()
	for range 60 {
		cancelled("CANCELLED=many")
	}
	if n := openDescriptors(t); n > descriptors {
		t.Errorf("%d descriptors are open, and %d were", n, descriptors)
	}
	if !poll(10*time.Second, func() bool { return runtime.NumGoroutine() <= goroutines }) {
		t.Errorf("%d goroutines are there, and %d were", runtime.NumGoroutine(), goroutines)
	}
	if left := leftWith("CANCELLED=many"); len(left) != 0 {
		t.Errorf("processes %v still run", left)
	}
	if _, err := unix.Wait4(-1, nil, unix.WNOHANG, nil); !errors.Is(err, unix.ECHILD) {
		t.Errorf("a child is left: %v", err)
	}
}

// written is called when something is written to it.
type written func()

func (w written) Write(p []byte) (int, error) {
	w()
	return len(p), nil
}

func openDescriptors(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}
