package fanout

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"

	"lightspeed/broker/rabbit/rabbittest"
)

// A hundred thousand runs that wait are no more hints than there are slots: not when admin starts, and not when more come.
func TestHundredThousandQueued(t *testing.T) {
	t.Parallel()
	url := rabbittest.Start(t).Vhost(t)
	w := newWorld(t, "30s")
	w.start(url)
	const slots = 4
	l := w.listener("a", slots, "job")
	l.start(url)
	w.awaitVia("job", 1, "rabbitmq")
	l.stop()
	w.push("main")
	w.admin.stop()
	multiply(t, filepath.Join(w.dir, "state-admin", "admin", "admin.db"), 100_000)

	spy := newSpy(t, url, "job")
	w.admin.start(url)
	w.await("hints in every slot", func() bool { return spy.waiting() == slots })
	announced := spy.seen()
	for range 20 {
		w.push("main")
	}
	if n := spy.waiting(); n != slots {
		t.Errorf("%d hints wait for %d slots", n, slots)
	}
	if more := spy.seen() - announced; announced > slots || more != 0 {
		t.Errorf("%d hints were sent at the start and %d afterwards, for %d slots", announced, more, slots)
	}

	l.start(url)
	w.await("runs to be taken", func() bool { return len(w.marked("ended")) > 20 })
	// At the registration hints were counted anew, without those that slots held just then.
	if n := spy.waiting(); n > 2*slots {
		t.Errorf("%d hints wait for %d slots", n, slots)
	}
}

// multiply copies the one queued run of a database until there are so many.
func multiply(t *testing.T, path string, runs int) {
	t.Helper()
	program := exec.Command("go", "run", "-trimpath", "./testdata/multiply", path, strconv.Itoa(runs))
	program.Env = append(os.Environ(), "CGO_ENABLED=0") // as fleet builds: what it needs is there
	if out, err := program.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", program.Args, err, out)
	}
}

// spy gets a copy of every hint of a listener, beside its queue.
type spy struct {
	t     *testing.T
	ch    *amqp.Channel
	copy  string
	queue string
}

func newSpy(t *testing.T, url, listener string) *spy {
	t.Helper()
	ch := channel(t, url)
	copied, err := ch.QueueDeclare("", false, true, true, false, nil)
	if err == nil {
		err = ch.QueueBind(copied.Name, listener, "ls.jobs", false, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	return &spy{t, ch, copied.Name, "ls.job." + listener}
}

// seen counts the hints that were sent since the spy is there.
func (s *spy) seen() int { return s.count(s.copy) }

// waiting counts those in the queue that no slot holds; it may be a second old.
func (s *spy) waiting() int { return s.count(s.queue) }

func (s *spy) count(queue string) int {
	s.t.Helper()
	q, err := s.ch.QueueDeclarePassive(queue, true, false, false, false, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	return q.Messages
}
