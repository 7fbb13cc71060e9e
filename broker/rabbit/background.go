package rabbit

import "sync"

// background runs what nobody waits for, and can be waited for at the end.
type background struct {
	mu     sync.Mutex
	closed bool
	work   sync.WaitGroup
}

// run runs f beside the caller. After wait it runs f before it returns: the connection is closed by then, and
// nothing waits for the broker any more.
func (b *background) run(f func()) {
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		f()
		return
	}
	b.work.Go(f)
	b.mu.Unlock()
}

// wait waits for all that runs.
func (b *background) wait() {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	b.work.Wait()
}
