package admin

import (
	"bytes"
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"

	"lightspeed/admin/store"
	"lightspeed/api"
	"lightspeed/event"
	"lightspeed/fault"
)

// Payloads in memory share a budget, in bytes; each takes several times its length while it is parsed or
// encoded. Whoever gets no share in bodyWait is told to come again.
const (
	bodyBudget = 4 * event.MaxPayload
	leastShare = 64 << 10
	bodyWait   = 10 * time.Second
)

// postDelivery takes a delivery: it is parsed and matched here, and stored with its runs by the writer.
func (s *Server) postDelivery(w http.ResponseWriter, r *http.Request) error {
	begun := time.Now()
	receipt, err := s.takeDelivery(w, r)
	if err != nil {
		s.metrics.delivered(string(s.refusal(r, err).Code), 0, false)
		return err
	}
	s.metrics.delivered(receipt.Status, time.Since(begun), receipt.Status == api.Accepted)
	status := http.StatusAccepted
	if receipt.Status == api.Pong {
		status = http.StatusOK
	}
	return writeJSON(w, status, receipt)
}

func (s *Server) takeDelivery(w http.ResponseWriter, r *http.Request) (api.Receipt, error) {
	if q := readQuery(r); q.err != nil {
		return api.Receipt{}, q.err
	}
	d, err := readHead(r)
	if err != nil {
		return api.Receipt{}, err
	}
	length := r.ContentLength
	if length > event.MaxPayload {
		return api.Receipt{}, &http.MaxBytesError{Limit: event.MaxPayload}
	}
	if length < 0 {
		length = event.MaxPayload
	}
	done, err := s.share(r.Context(), length)
	if err != nil {
		return api.Receipt{}, err
	}
	defer done()
	if d.Body, err = readBody(w, r); err != nil {
		return api.Receipt{}, err
	}
	if d.Event == event.Ping {
		return api.Receipt{Delivery: d.ID, Status: api.Pong, Runs: []api.RunRef{}, Skipped: []api.Skipped{}}, nil
	}
	return s.accept(r.Context(), d)
}

// readHead reads what the headers say of a delivery.
func readHead(r *http.Request) (event.Delivery, error) {
	d := event.Delivery{ID: r.Header.Get("X-GitHub-Delivery"), Event: r.Header.Get("X-GitHub-Event"), ReceivedAt: time.Now().UTC()}
	if err := checkHeader("X-GitHub-Delivery", d.ID); err != nil {
		return d, err
	}
	if err := checkHeader("X-GitHub-Event", d.Event); err != nil {
		return d, err
	}
	if strings.HasPrefix(d.ID, api.TriggerPrefix) {
		return d, badRequest("delivery id %q: ids that begin with %q are admin's own", d.ID, api.TriggerPrefix)
	}
	var err error
	d.ContentType, err = mediaType(r)
	return d, err
}

// checkHeader wants a short text of visible ASCII, since ids stand in paths and logs.
func checkHeader(name, value string) error {
	if value == "" {
		return badRequest("header %s is needed", name)
	}
	if len(value) > 100 {
		return badRequest("header %s is longer than 100 bytes", name)
	}
	for _, c := range []byte(value) {
		if c <= ' ' || c > '~' {
			return badRequest("header %s may hold visible ASCII only", name)
		}
	}
	return nil
}

func mediaType(r *http.Request) (string, error) {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || (media != "application/json" && media != "application/x-www-form-urlencoded") {
		return "", api.Errorf(http.StatusUnsupportedMediaType, api.UnsupportedMT,
			"content type %q is neither application/json nor application/x-www-form-urlencoded", shorten(r.Header.Get("Content-Type"), 100))
	}
	return media, nil
}

// share waits for a payload's share of the budget.
func (s *Server) share(ctx context.Context, length int64) (done func(), err error) {
	length = max(length, leastShare)
	ctx, cancel := context.WithTimeout(ctx, bodyWait)
	defer cancel()
	if err := s.bodies.Acquire(ctx, length); err != nil {
		return nil, unavailable("too many payloads at once")
	}
	return func() { s.bodies.Release(length) }, nil
}

func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	var b bytes.Buffer
	if r.ContentLength > 0 {
		b.Grow(int(r.ContentLength) + bytes.MinRead)
	}
	if _, err := b.ReadFrom(http.MaxBytesReader(w, r.Body, event.MaxPayload)); err != nil {
		return nil, bodyRead(err)
	}
	return b.Bytes(), nil
}

// bodyRead is the error about a body that did not come whole.
func bodyRead(err error) error {
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return err
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return badRequest("body is cut off")
	}
	return badRequest("body could not be read: %s", shorten(err.Error(), 100))
}

// accept parses, matches and stores a delivery. When rules change between the match and the store, it is
// matched again.
func (s *Server) accept(ctx context.Context, d event.Delivery) (api.Receipt, error) {
	e, err := event.Parse(d)
	if err != nil {
		return api.Receipt{}, badRequest("%v", err)
	}
	a := store.Acceptance{Delivery: d, Event: e, Status: api.Accepted, Identical: s.opt.AllowIdenticalBodies}
	if e.Ignored != "" {
		a.Status, a.Why = api.Ignored, e.Ignored
	}
	for {
		decided, err := s.rules.decide(ctx, e)
		if err != nil {
			return api.Receipt{}, err
		}
		a.Generation, a.Matched = decided.generation, decided.matched
		fault.Point("admin.accepting")
		receipt, err := s.store.Accept(ctx, a)
		fault.Point("admin.accepted")
		if errors.Is(err, store.ErrRulesChanged) {
			continue
		}
		if err == nil && receipt.Status == api.Accepted {
			receipt.Skipped, receipt.SkippedMore = append(receipt.Skipped, decided.skipped...), decided.more
		}
		if err == nil {
			s.noteAccepted(a, receipt)
		}
		return receipt, err
	}
}

func (s *Server) getDeliveries(w http.ResponseWriter, r *http.Request) error {
	q := readQuery(r, "limit", "before")
	limit, before := q.limit(), q.text("before")
	if q.err != nil {
		return q.err
	}
	list, err := s.store.Deliveries(r.Context(), limit, before)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, list)
}

func (s *Server) getDelivery(w http.ResponseWriter, r *http.Request) error {
	if q := readQuery(r); q.err != nil {
		return q.err
	}
	d, err := s.store.Delivery(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, d)
}

// getPayload answers with the body as it came. It is the sender's text: a browser must not run it.
func (s *Server) getPayload(w http.ResponseWriter, r *http.Request) error {
	if q := readQuery(r); q.err != nil {
		return q.err
	}
	d, err := s.store.Stored(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", d.Delivery.ContentType)
	w.Header().Set("Content-Security-Policy", "sandbox")
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(d.Delivery.Body))
	return nil
}
