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

// What bodies may take in memory while they are in flight, in bytes: with all of this taken hooks stays under
// 128 MB. Small ones, which nearly all deliveries are, never wait for large ones.
const (
	largeBody = 1 << 20  // over this a body is large
	smallRoom = 8 << 20  // of all small bodies
	largeRoom = 26 << 20 // of all large ones: the largest there can be, or some that are less large
	formCost  = 3        // a form is decoded to be checked: it takes so many times its length
)

const (
	roomWait  = 3 * time.Second      // how long a body waits for room each time: GitHub waits 10 s
	drainTime = 5 * time.Second      // how long a refused request may go on sending …
	drainMost = 2 * event.MaxPayload // … and how much, in bytes
)

var (
	errTooLarge = api.Errorf(http.StatusRequestEntityTooLarge, api.TooLarge, "the body is larger than %d bytes", event.MaxPayload)
	errNoRoom   = api.Errorf(http.StatusServiceUnavailable, api.Unavailable, "too many deliveries at once")
	errCutOff   = api.Errorf(http.StatusBadRequest, api.BadRequest, "the body was cut off")
	errTooSlow  = api.Errorf(http.StatusBadRequest, api.BadRequest, "the body did not come in time")
)

// enter gives a request's body a place in the room for its kind. The guest leaves when the request is answered.
func (s *Server) enter(length int64, mediaType string, sendAway func()) (g *guest, cost int64) {
	cost = 1
	if mediaType == typeForm {
		cost = formCost
	}
	if length < 0 || length*cost > largeBody {
		return s.large.enter(sendAway), cost
	}
	return s.small.enter(sendAway), cost
}

// steps are how much of a body is read before there is memory for more of it: what is held grows with what has come,
// and not with what a sender says that it will send. After the last step there is memory for all of it.
var steps = []int64{16 << 10, 64 << 10, 256 << 10, 1 << 20, 4 << 20}

// readBody reads the raw bytes, at most event.MaxPayload, and takes room for them as they come, cost bytes for each.
func (s *Server) readBody(w http.ResponseWriter, r *http.Request, g *guest, cost int64) ([]byte, error) {
	length := r.ContentLength
	if length < 0 {
		length = event.MaxPayload + 1
	}
	unread := http.MaxBytesReader(w, r.Body, event.MaxPayload)
	var body []byte
	for _, step := range append(steps[:len(steps):len(steps)], length) {
		more := min(step, length) - int64(len(body))
		if err := s.takeRoom(r.Context(), g, cost*more); err != nil {
			return nil, err
		}
		whole := make([]byte, int64(len(body))+more)
		n, err := fill(whole[copy(whole, body):], unread)
		body = whole[:len(body)+n]
		switch {
		case int64(len(body)) == r.ContentLength, err == io.EOF && r.ContentLength < 0:
			return body, nil
		case err != nil:
			return nil, bodyError(err)
		}
	}
	return nil, errTooLarge
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

func (s *Server) takeRoom(ctx context.Context, g *guest, bytes int64) error {
	ctx, cancel := context.WithTimeout(ctx, roomWait)
	defer cancel()
	return g.take(ctx, bytes)
}

func bodyError(err error) error {
	var over *http.MaxBytesError
	switch {
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
