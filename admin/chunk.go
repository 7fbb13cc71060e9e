package admin

import (
	"errors"
	"io"
	"net/http"
	"sync"

	"lightspeed/api"
)

// chunkPool keeps buffers of one log chunk each.
var chunkPool = sync.Pool{New: func() any { b := make([]byte, api.MaxLogChunk); return &b }}

// readChunk reads a log chunk into a buffer, which done gives back. A chunk that breaks off is taken as far as
// it came: its bytes are right, and its sender will say the rest again.
func (s *Server) readChunk(w http.ResponseWriter, r *http.Request) (chunk *[]byte, done func(), err error) {
	if r.ContentLength > api.MaxLogChunk {
		return nil, nil, &http.MaxBytesError{Limit: api.MaxLogChunk}
	}
	select {
	case s.chunks <- struct{}{}:
	case <-r.Context().Done():
		return nil, nil, r.Context().Err()
	case <-s.stopping.Done():
		return nil, nil, unavailable("admin is stopping")
	}
	buffer := chunkPool.Get().(*[]byte)
	done = func() { chunkPool.Put(buffer); <-s.chunks }
	n, err := io.ReadFull(http.MaxBytesReader(w, r.Body, api.MaxLogChunk), *buffer)
	if err == nil {
		err = endOfBody(r.Body)
	}
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		done()
		return nil, nil, err
	}
	read := (*buffer)[:n]
	return &read, done, nil
}

// endOfBody returns io.EOF at the end of a body, and an error when it goes on.
func endOfBody(body io.Reader) error {
	var one [1]byte
	if n, err := body.Read(one[:]); n == 0 && err != nil {
		return err
	}
	return &http.MaxBytesError{Limit: api.MaxLogChunk}
}
