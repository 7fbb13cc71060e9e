package admin

import (
	"errors"
	"io"
	"net/http"
	"os"
	"slices"
	"sync"
	"time"

	"lightspeed/api"
	"lightspeed/logtime"
)

// chunkPool keeps buffers of one log chunk each.
var chunkPool = sync.Pool{New: func() any { b := make([]byte, api.MaxLogChunk); return &b }}

// readChunk reads a log chunk into a buffer, which done gives back. A chunk that breaks off is taken as far as
// it came, and so is one that is cut off since it comes slowly and others wait: its bytes are right, and its sender will
// say the rest again.
func (s *Server) readChunk(w http.ResponseWriter, r *http.Request) (chunk *[]byte, done func(), err error) {
	if r.ContentLength > api.MaxLogChunk {
		return nil, nil, &http.MaxBytesError{Limit: api.MaxLogChunk}
	}
	if !s.chunks.take(r.Context(), s.stopping.Done()) {
		if err := r.Context().Err(); err != nil {
			return nil, nil, err
		}
		return nil, nil, unavailable("admin is stopping")
	}
	buffer := chunkPool.Get().(*[]byte)
	done = func() { chunkPool.Put(buffer); s.chunks.give() }
	n, err := s.fill(*buffer, w, r)
	if err != nil {
		done()
		return nil, nil, err
	}
	read := (*buffer)[:n]
	return &read, done, nil
}

// fill reads a chunk as far as it comes.
func (s *Server) fill(buffer []byte, w http.ResponseWriter, r *http.Request) (int, error) {
	line := http.NewResponseController(w)
	whole := s.chunks.begin(func() { _ = line.SetReadDeadline(time.Now()) })
	defer whole()
	n, err := io.ReadFull(http.MaxBytesReader(w, r.Body, api.MaxLogChunk), buffer)
	if err == nil {
		err = endOfBody(r.Body)
	}
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded) && n == 0:
		return 0, unavailable("nothing of the chunk came, and others wait")
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, os.ErrDeadlineExceeded):
		return n, nil
	}
	return n, err
}

// timesOf reads from a header when a chunk came, as far as the chunk is there.
func timesOf(r *http.Request, offset int64, chunk []byte) ([]logtime.Record, error) {
	came := offset + int64(len(chunk))
	list, err := logtime.Parse(r.Header.Get(logtime.Header), offset, max(came, offset+r.ContentLength))
	if err != nil {
		return nil, badRequest("%s: %v", logtime.Header, err)
	}
	return slices.DeleteFunc(list, func(one logtime.Record) bool { return one.Offset >= came }), nil
}

// endOfBody returns io.EOF at the end of a body, and an error when it goes on.
func endOfBody(body io.Reader) error {
	var one [1]byte
	if n, err := body.Read(one[:]); n == 0 && err != nil {
		return err
	}
	return &http.MaxBytesError{Limit: api.MaxLogChunk}
}
