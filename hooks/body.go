package hooks

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"time"

	"lightspeed/api"
	"lightspeed/event"
)

// What bodies may take in memory while they are in flight, in bytes. The garbage collector lets the heap grow
// to about twice of what is in use: with all of this taken hooks stays under 128 MB. Small ones, which
// nearly all deliveries are, never wait for large ones.
const (
	largeBody = 1 << 20  // over this a body is large
	smallRoom = 8 << 20  // of all small bodies
	largeRoom = 26 << 20 // of all large ones: the largest there can be, or some that are less large
	formCost  = 3        // a form is decoded to be checked: it takes so many times its length
)

const (
	roomWait  = 3 * time.Second      // how long a body waits for room: GitHub waits 10 s
	drainTime = 5 * time.Second      // how long a refused request may go on sending …
	drainMost = 2 * event.MaxPayload // … and how much, in bytes
)

var (
	errTooLarge = api.Errorf(http.StatusRequestEntityTooLarge, api.TooLarge, "the body is larger than %d bytes", event.MaxPayload)
	errNoRoom   = api.Errorf(http.StatusServiceUnavailable, api.Unavailable, "too many deliveries at once")
	errCutOff   = api.Errorf(http.StatusBadRequest, api.BadRequest, "the body was cut off")
	errTooSlow  = api.Errorf(http.StatusBadRequest, api.BadRequest, "the body did not come in time")
)

// room takes what a body of this length (-1: not known) needs in memory, before a byte of it is read. The
// caller frees it.
func (s *Server) room(ctx context.Context, length int64, mediaType string) (free func(), err error) {
	from, bytes := s.small, length
	if length < 0 {
		bytes = event.MaxPayload
	}
	if mediaType == typeForm {
		bytes *= formCost
	}
	if length < 0 || bytes > largeBody {
		from, bytes = s.large, min(bytes, largeRoom)
	}
	ctx, cancel := context.WithTimeout(ctx, roomWait)
	defer cancel()
	if err := from.Acquire(ctx, bytes); err != nil {
		return nil, errNoRoom
	}
	return func() { from.Release(bytes) }, nil
}

// readBody reads the raw bytes, at most event.MaxPayload, with as few copies as the length allows.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if r.ContentLength >= 0 {
		body := make([]byte, r.ContentLength)
		_, err := io.ReadFull(r.Body, body)
		return body, bodyError(err)
	}
	unread := http.MaxBytesReader(w, r.Body, event.MaxPayload)
	body := make([]byte, largeBody)
	n, err := fill(body, unread)
	if err == nil { // there is more
		whole := make([]byte, event.MaxPayload+1)
		copy(whole, body)
		var more int
		more, err = fill(whole[n:], unread)
		body, n = whole, n+more
	}
	if err == io.EOF {
		err = nil
	}
	return body[:n], bodyError(err)
}

// fill reads until buf is full, or until an error, which io.EOF at the body's end is too.
func fill(buf []byte, from io.Reader) (n int, err error) {
	for n < len(buf) && err == nil {
		var more int
		more, err = from.Read(buf[n:])
		n += more
	}
	return n, err
}

func bodyError(err error) error {
	var over *http.MaxBytesError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &over):
		return errTooLarge
	case errors.Is(err, os.ErrDeadlineExceeded):
		return errTooSlow
	}
	return errCutOff
}

// drain reads what a refused request still sends, within limits. Most clients send a whole body before they
// read: closed on earlier, they would see a broken connection, and not the answer.
func drain(w http.ResponseWriter, r *http.Request) {
	if r.ContentLength == 0 || r.Header.Get("Expect") != "" { // this one waits to be asked for its body
		return
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(drainTime))
	_, _ = io.CopyN(io.Discard, r.Body, drainMost)
}
