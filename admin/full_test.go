package admin

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"syscall"
	"testing"
)

func TestFullDiskIsSaidOnce(t *testing.T) {
	var said bytes.Buffer
	d := fullDisk{log: slog.New(slog.NewTextHandler(&said, nil))}
	room := error(syscall.ENOSPC)
	tick := func() { d.tick(t.Context(), func(context.Context) error { return room }) }
	count := func(text string) int { return strings.Count(said.String(), text) }
	for range 10 {
		d.failed(syscall.ENOSPC)
		tick()
	}
	if n := count("the disk is full"); n != 1 {
		t.Errorf("said %d times that the disk is full", n)
	}
	for range 2 * roomAfter {
		tick()
	}
	if n := count("room again"); n != 0 {
		t.Error("there is no room, and it was said")
	}
	room = nil
	for range 2 * roomAfter {
		tick()
	}
	d.failed(syscall.ENOSPC)
	if n, m := count("room again"), count("the disk is full"); n != 1 || m != 2 {
		t.Errorf("room again %d times, full %d times:\n%s", n, m, said.String())
	}
}
