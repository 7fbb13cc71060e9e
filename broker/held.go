package broker

import "sync"

// Held is a hint in hand. Nobody else gets it before it is given back or the connection ends. It is settled
// once, by the first call of Done or GiveBack; neither waits for the broker.
type Held struct {
	Hint Hint

	once           sync.Once
	done, giveBack func()
}

// Hold makes a Held; done and giveBack must not wait.
func Hold(hint Hint, done, giveBack func()) *Held {
	return &Held{Hint: hint, done: done, giveBack: giveBack}
}

// Done removes the hint from its queue. To be called when a claim was answered: with a run, once the
// listener's journal has it, and before its process starts; or with "nothing now". If the broker does not
// hear of it, the hint comes again, and costs one claim that is answered with nothing.
func (h *Held) Done() { h.once.Do(h.done) }

// GiveBack puts the hint back into its queue, for any slot. Not a way to wait: a broker may drop a hint that
// was given back often (RabbitMQ 4: 20 times).
func (h *Held) GiveBack() { h.once.Do(h.giveBack) }
