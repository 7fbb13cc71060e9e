package admin

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"syscall"

	"lightspeed/admin/store"
)

// isFull reports whether an error says that the disk is full.
func isFull(err error) bool { return store.IsFull(err) || errors.Is(err, syscall.ENOSPC) }

// roomAfter is for how many ticks nothing may have failed when the disk is said to have room again.
const roomAfter = 3

// fullDisk says once that the disk is full, and once that it has room again. Between the two every caller is
// told, and the log is left in peace.
type fullDisk struct {
	log *slog.Logger

	mu    sync.Mutex
	full  bool
	quiet int // ticks since the last failure
}

// failed notes a failure.
func (d *fullDisk) failed(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.full {
		d.log.Error("the disk is full: nothing new is stored until there is room; who is refused tries again", "err", err)
	}
	d.full, d.quiet = true, 0
}

// tick counts a second, and looks whether there is room again.
func (d *fullDisk) tick(ctx context.Context, write func(context.Context) error) {
	d.mu.Lock()
	d.quiet++
	due := d.full && d.quiet >= roomAfter
	d.mu.Unlock()
	if !due || write(ctx) != nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.full = false
	d.log.Info("the disk has room again")
}
