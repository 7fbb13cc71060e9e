package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"sync"
	"time"

	"lightspeed/fleet"
)

// options of one chaos run.
type options struct {
	seed       uint64
	duration   time.Duration
	deliveries int
	root       string
	rabbit     bool // with a broker, which is hurt, too
}

// settleTime bounds the wait for every run to end once nobody is hurt any more: the longest backoff of hooks'
// forwarder (30 s), the leases, and the work that is left on two loaded cores.
func (o options) settleTime() time.Duration {
	return 3*time.Minute + time.Duration(o.deliveries)*120*time.Millisecond
}

// play does the whole: start, send and hurt, heal, wait, check.
func play(ctx context.Context, o options, progress io.Writer) (_ report, err error) {
	dir, err := os.MkdirTemp("", "lightspeed-chaos-")
	if err != nil {
		return report{}, err
	}
	release, err := fleet.Enclose()
	if err != nil {
		return report{}, err
	}
	defer func() { err = errors.Join(err, release()) }()
	fmt.Fprintf(progress, "chaos: seed %d, %s, %d deliveries, rabbit %v\n", o.seed, o.duration, o.deliveries, o.rabbit)
	w, err := newWorld(ctx, o, dir)
	if err != nil {
		return report{}, err
	}
	defer w.close()

	sweeping, swept := context.WithCancel(ctx)
	defer swept()
	go w.sweep(sweeping)

	sent := newSent()
	var both sync.WaitGroup
	both.Go(func() { w.hurt(ctx, rand.New(rand.NewPCG(o.seed, 1)), o.duration, progress) })
	both.Go(func() { sent.send(ctx, w, rand.New(rand.NewPCG(o.seed, 2)), o.deliveries, o.duration) })
	both.Wait()
	w.heal()

	settled, cancel := context.WithTimeout(ctx, o.settleTime())
	defer cancel()
	waitErr := w.settle(settled, sent, progress)
	r, err := check(ctx, w, sent)
	if err != nil {
		return r, err
	}
	r.note("every run ended", "within "+o.settleTime().String(), waitErr)
	if o.rabbit {
		r.note("listeners are told of work by the broker again", "", w.toldByBroker(ctx))
	}
	if r.Held() {
		return r, os.RemoveAll(dir)
	}
	fmt.Fprintf(progress, "chaos: the folder is kept: %s\n", dir)
	return r, nil
}
