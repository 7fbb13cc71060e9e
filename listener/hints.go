package listener

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"lightspeed/broker"
)

// hints is how a listener is told of work where there is a broker. It belongs to the goroutine that claims.
// While hints cannot come, the claim itself waits at admin, as it does where there is no broker: that is said
// once, and once when it is over.
type hints struct {
	slot broker.Slot // nil: there is no broker
	log  *slog.Logger

	admins string // the broker that admin announces through; empty: none, or none yet
	why    string // why claims wait; empty while hints come
	apart  bool   // it was said that this is another broker than admin's
	held   *broker.Held
}

func newHints(c broker.Consumer, queue string, log *slog.Logger) *hints {
	if c == nil {
		return &hints{log: log}
	}
	return &hints{slot: c.Slot(queue), log: log}
}

// await waits for a hint, at most for patience. It reports false when hints cannot come and the claim must
// wait itself; when it reports true without one in hand, patience or ctx is over.
func (h *hints) await(ctx context.Context, patience time.Duration) bool {
	if h.slot == nil {
		return false
	}
	if h.admins == "" {
		return h.fallBack("admin announces through no broker now", "")
	}
	if own := h.slot.State(); h.elsewhere(own) {
		return h.stayApart(own)
	}
	waiting, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	held, err := h.slot.Next(waiting)
	var down *broker.DownError
	switch {
	case errors.As(err, &down) && h.elsewhere(down.State): // known since it is connected
		return h.stayApart(down.State)
	case errors.As(err, &down):
		return h.fallBack(down.State.Why, down.State.Hint)
	case err != nil && waiting.Err() == nil:
		return h.fallBack(err.Error(), "")
	}
	h.held = held
	h.flow()
	return true
}

// elsewhere reports whether hints cannot come since they go to another broker.
func (h *hints) elsewhere(own broker.State) bool { return own.Broker != "" && own.Broker != h.admins }

// stayApart says so even if something else was said before: it does not pass by itself.
func (h *hints) stayApart(own broker.State) bool {
	if !h.apart {
		h.why, h.apart = "", true
	}
	return h.fallBack("this listener is on the broker "+own.Broker+" and admin on "+h.admins, "give both the same --rabbit-url")
}

// fallBack says once why claims wait at admin.
func (h *hints) fallBack(why, hint string) bool {
	if h.why == "" {
		h.log.Warn("asks admin itself for work: "+why, "hint", hint)
	}
	h.why = why
	return false
}

// flow says once that hints come again.
func (h *hints) flow() {
	if h.why != "" {
		h.log.Info("is told of work by the broker again", "broker", h.admins)
	}
	h.why, h.apart = "", false
}

// use settles the hint in hand: admin has answered the claim that it led to.
func (h *hints) use() {
	if h.held != nil {
		h.held.Done()
		h.held = nil
	}
}

// giveBack lets someone else have the hint in hand. It is no way to wait, since a broker drops a hint that comes
// back often: after a claim that went wrong no hint is taken until admin has answered one.
func (h *hints) giveBack() {
	if h.held != nil {
		h.held.GiveBack()
		h.held = nil
	}
}

// close stops consuming; a hint in hand goes back.
func (h *hints) close() {
	h.giveBack()
	if h.slot != nil {
		h.slot.Close()
	}
}
