package hooks

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"lightspeed/api"
	"lightspeed/event"
	"lightspeed/fault"
	"lightspeed/hooks/spool"
)

const (
	typeJSON = "application/json"
	typeForm = "application/x-www-form-urlencoded"

	maxID    = 100 // characters of X-GitHub-Delivery, as admin takes; GitHub sends 36
	maxEvent = 64  // characters of X-GitHub-Event; GitHub's longest has 34
)

var (
	errFull      = api.Errorf(http.StatusServiceUnavailable, api.Unavailable, "admin does not take it now, and the spool is full")
	errNotStored = api.Errorf(http.StatusServiceUnavailable, api.Unavailable, "admin does not take it now, and the spool cannot be written")
)

// receive answers one delivery, and logs one line about it.
func (s *Server) receive(w http.ResponseWriter, r *http.Request) {
	begun := time.Now()
	receipt, err := s.take(w, r)
	if err != nil {
		s.metrics.deliveries.Inc(string(toldTo(err).Code))
		s.noteRefusal(r, err)
		drain(w, r)
		refuse(w, err)
		return
	}
	s.metrics.deliveries.Inc(receipt.Status)
	s.metrics.took.Observe(time.Since(begun).Seconds())
	fault.Point("hooks.answering")
	status := http.StatusAccepted
	if receipt.Status == api.Pong {
		status = http.StatusOK
	}
	answer(w, status, receipt)
}

// take is the way of a delivery through this role: its head, room for its body, the body as it came, its
// signature, and only then what it says.
func (s *Server) take(w http.ResponseWriter, r *http.Request) (api.Receipt, error) {
	mediaType, sig, err := s.checkHead(r)
	if err != nil {
		return api.Receipt{}, unsignedError{err}
	}
	body, leave, err := s.readSigned(w, r, mediaType, sig)
	if err != nil {
		return api.Receipt{}, err
	}
	defer leave()
	d, err := readDelivery(r.Header, mediaType, body)
	if err != nil {
		return api.Receipt{}, err
	}
	if d.Event == event.Ping {
		s.note(d, api.Pong)
		return api.Receipt{Delivery: d.ID, Status: api.Pong, Runs: []api.RunRef{}, Skipped: []api.Skipped{}}, nil
	}
	return s.handOver(r.Context(), d)
}

// readSigned reads a body as it came, and refuses one that is not signed. Until then nobody knows who sends it: it may be
// cut off, so that others are heard. leave gives back the body's memory.
func (s *Server) readSigned(w http.ResponseWriter, r *http.Request, mediaType string, sig signature) (body []byte, leave func(), err error) {
	ctx, sentAway := context.WithCancel(r.Context())
	defer sentAway()
	g, cost := s.enter(r.ContentLength, mediaType, func() {
		sentAway()
		_ = http.NewResponseController(w).SetReadDeadline(time.Now())
	})
	body, err = s.readBody(w, r.WithContext(ctx), g, cost)
	switch {
	case err != nil && ctx.Err() != nil && r.Context().Err() == nil:
		err = errNoRoom
	case err == nil && len(s.secrets) > 0 && !s.signed(sig, body):
		err = errSignature
	}
	if err != nil {
		g.leave()
		return nil, nil, unsignedError{err}
	}
	g.keep()
	s.signal(r.Context())
	return body, g.leave, nil
}

// checkHead refuses what can be refused before a byte of the body is read.
func (s *Server) checkHead(r *http.Request) (mediaType string, sig signature, err error) {
	mediaType, _, _ = strings.Cut(r.Header.Get("Content-Type"), ";")
	mediaType = strings.ToLower(strings.TrimSpace(mediaType))
	if mediaType != typeJSON && mediaType != typeForm {
		return "", sig, unsupported("content type %s is neither %s nor %s", shown(mediaType), typeJSON, typeForm)
	}
	if encoding := r.Header.Get("Content-Encoding"); encoding != "" {
		return "", sig, unsupported("content encoding %s: a body must come as it was signed", shown(encoding))
	}
	if r.ContentLength > event.MaxPayload {
		return "", sig, errTooLarge
	}
	if len(s.secrets) == 0 {
		return mediaType, sig, nil
	}
	sig, ok := readSignature(r.Header.Values("X-Hub-Signature-256"))
	if !ok {
		return "", sig, errSignature
	}
	return mediaType, sig, nil
}

func unsupported(format string, args ...any) error {
	return api.Errorf(http.StatusUnsupportedMediaType, api.UnsupportedMT, format, args...)
}

// readDelivery makes a delivery of a request whose body is signed.
func readDelivery(h http.Header, mediaType string, body []byte) (event.Delivery, error) {
	d := event.Delivery{ContentType: mediaType, ReceivedAt: time.Now().UTC(), Body: body}
	var err error
	if d.ID, err = readName(h, "X-GitHub-Delivery", maxID); err != nil {
		return d, err
	}
	if strings.HasPrefix(d.ID, api.TriggerPrefix) { // admin would refuse it, and here it can still be said
		return d, badRequest("X-GitHub-Delivery begins with %q: such ids are admin's own", api.TriggerPrefix)
	}
	if d.Event, err = readName(h, "X-GitHub-Event", maxEvent); err != nil {
		return d, err
	}
	if err := event.Valid(mediaType, body); err != nil {
		return d, badRequest("%v", err)
	}
	return d, nil
}

// readName reads a header that is not signed, and that names something in logs, files and addresses from
// now on: it must be there once, and plain.
func readName(h http.Header, key string, most int) (string, error) {
	values := h.Values(key)
	switch {
	case len(values) == 0 || values[0] == "":
		return "", badRequest("%s is missing", key)
	case len(values) > 1:
		return "", badRequest("%s is there %d times", key, len(values))
	case len(values[0]) > most:
		return "", badRequest("%s is longer than %d characters", key, most)
	case !plain(values[0]):
		return "", badRequest("%s %s holds more than letters, digits and - . _, or does not begin with a letter or digit",
			key, shown(values[0]))
	}
	return values[0], nil
}

func plain(name string) bool {
	for i := range len(name) {
		c := name[i]
		alnum := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
		if !alnum && (i == 0 || c != '-' && c != '.' && c != '_') {
			return false
		}
	}
	return name != ""
}

func badRequest(format string, args ...any) error {
	return api.Errorf(http.StatusBadRequest, api.BadRequest, format, args...)
}

// handOver sees a delivery to admin, or onto this machine's disk. While the spool holds anything, it goes there
// without asking admin: it must not overtake.
func (s *Server) handOver(ctx context.Context, d event.Delivery) (api.Receipt, error) {
	why := errors.New("others wait in the spool")
	if s.spool.Empty() {
		fault.Point("hooks.delivering")
		// GitHub hanging up must not cut this short: the delivery is there, and what becomes of it is known soon.
		receipt, err := s.deliver(context.WithoutCancel(ctx), d, adminLimit)
		if err == nil {
			fault.Point("hooks.delivered")
			s.note(d, receipt.Status, "runs", receipt.RunIDs())
			return receipt, nil
		}
		if isFinal(err) {
			return api.Receipt{}, err
		}
		why = err
	}
	if err := s.spool.Put(d); err != nil {
		told := errNotStored
		if errors.Is(err, spool.ErrFull) {
			told = errFull
		}
		return api.Receipt{}, fmt.Errorf("%w: %w; %w", told, why, err)
	}
	s.note(d, api.Spooled, "why", why)
	return api.Receipt{Delivery: d.ID, Status: api.Spooled, Runs: []api.RunRef{}, Skipped: []api.Skipped{}}, nil
}

// deliver hands a delivery to admin. Nil means that admin has said in so many words that it has it: any other
// 2xx came from something that is not admin.
func (s *Server) deliver(ctx context.Context, d event.Delivery, limit time.Duration) (api.Receipt, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	receipt, err := s.admin.Deliver(ctx, d)
	if err != nil && ctx.Err() == context.DeadlineExceeded {
		return api.Receipt{}, fmt.Errorf("admin did not answer within %s: %w", limit, err)
	}
	if err != nil {
		return api.Receipt{}, err
	}
	switch receipt.Status {
	case api.Accepted, api.Duplicate, api.Ignored:
	default:
		return api.Receipt{}, fmt.Errorf("admin answered with the status %s: is this lightspeed admin?", shown(receipt.Status))
	}
	if receipt.Runs == nil {
		receipt.Runs = []api.RunRef{}
	}
	if receipt.Skipped == nil {
		receipt.Skipped = []api.Skipped{}
	}
	return receipt, nil
}

// isFinal reports whether admin will never take this delivery. A 400 counts only in admin's own words: a
// server that wants TLS, or one that is not admin, says 400 to everything.
func isFinal(err error) bool {
	var refused *api.Error
	if !errors.As(err, &refused) {
		return false
	}
	switch refused.Status {
	case http.StatusBadRequest:
		return refused.Code != api.Unavailable
	case http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType:
		return true
	}
	return false
}
