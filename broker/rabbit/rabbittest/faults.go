package rabbittest

import (
	"fmt"
	"os"
	"syscall"
	"testing"
)

// Crash ends the server as kill -9 does. Restart starts it again.
func (n *Node) Crash() error {
	if err := n.Signal(syscall.SIGKILL); err != nil {
		return err
	}
	_ = n.server.Wait()
	n.server = nil
	return nil
}

// Restart starts the server after Crash, with the data that it had, and waits until it takes connections.
func (n *Node) Restart() error {
	if err := n.boot(); err != nil {
		return fmt.Errorf("start RabbitMQ again: %w", err)
	}
	return nil
}

// Signal sends the server's process one: SIGSTOP freezes it, with its connections, and SIGCONT thaws it.
func (n *Node) Signal(s syscall.Signal) error {
	if err := n.server.Process.Signal(s); err != nil {
		return fmt.Errorf("signal %s to RabbitMQ: %w", s, err)
	}
	return nil
}

// Kill is Crash, for a test.
func (n *Node) Kill(t testing.TB) {
	t.Helper()
	must(t, n.Crash())
}

// Boot is Restart, for a test.
func (n *Node) Boot(t testing.TB) {
	t.Helper()
	must(t, n.Restart())
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Wipe removes the data of a server that was killed: users, vhosts, queues, all.
func (n *Node) Wipe(t testing.TB) {
	t.Helper()
	if err := os.RemoveAll(n.path("mnesia")); err != nil {
		t.Fatalf("wipe RabbitMQ's data: %v", err)
	}
}

// Sync writes to disk what RabbitMQ 3.10 writes half a second late: which quorum queues there are. One that
// it finds no entry of after a crash never gets a leader, and gives no answer.
func (n *Node) Sync(t testing.TB) {
	t.Helper()
	n.Eval(t, `[dets:sync(T) || T <- dets:all()]`)
}

// Suspend makes a queue give no answer, as one without a leader does, until the test ends or Resume.
func (n *Node) Suspend(t testing.TB, vhostURL, queue string) {
	t.Helper()
	n.Eval(t, `sys:suspend(`+process(vhostURL, queue)+`)`)
	t.Cleanup(func() { n.Resume(t, vhostURL, queue) })
}

// Resume lets a queue go on.
func (n *Node) Resume(t testing.TB, vhostURL, queue string) {
	t.Helper()
	n.Eval(t, `sys:resume(`+process(vhostURL, queue)+`)`)
}

// process is the name of a quorum queue's process.
func process(vhostURL, queue string) string { return "'" + VhostOf(vhostURL) + "_" + queue + "'" }

// Freeze stops the server's process without ending it: its connections stay, and nothing answers. It is
// thawed when the test ends, or by Thaw.
func (n *Node) Freeze(t testing.TB) {
	t.Helper()
	must(t, n.Signal(syscall.SIGSTOP))
	t.Cleanup(func() { n.Thaw(t) })
}

// Thaw lets the server go on. It does no harm when it was not frozen.
func (n *Node) Thaw(t testing.TB) {
	t.Helper()
	must(t, n.Signal(syscall.SIGCONT))
}

// Alarm raises the broker's memory alarm: publishers are blocked until the test ends, or Calm.
func (n *Node) Alarm(t testing.TB) {
	t.Helper()
	n.Eval(t, `vm_memory_monitor:set_vm_memory_high_watermark(0.0000001)`)
	t.Cleanup(func() { n.Calm(t) })
}

// Calm ends the memory alarm.
func (n *Node) Calm(t testing.TB) {
	t.Helper()
	n.Eval(t, `vm_memory_monitor:set_vm_memory_high_watermark(0.6)`)
}

// ConsumerTimeout sets after how many milliseconds the broker closes a channel that holds a message, until
// the test ends. It counts for channels that are opened from then on.
func (n *Node) ConsumerTimeout(t testing.TB, ms string) {
	t.Helper()
	n.Eval(t, `application:set_env(rabbit, consumer_timeout, `+ms+`)`)
	t.Cleanup(func() { n.Eval(t, `application:set_env(rabbit, consumer_timeout, 1800000)`) })
}
