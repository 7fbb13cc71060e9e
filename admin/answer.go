package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"unicode/utf8"

	"lightspeed/admin/store"
	"lightspeed/api"
)

// writeJSON answers with a compact JSON body.
func writeJSON(w http.ResponseWriter, status int, body any) error {
	encoded, err := json.Marshal(body)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(encoded)))
	w.WriteHeader(status)
	_, _ = w.Write(encoded) // the caller has gone: there is nobody to tell
	return nil
}

// errorBody is every answer that is not 2xx.
type errorBody struct {
	Error  *api.Error `json:"error"`
	Offset *int64     `json:"offset,omitempty"`
}

// answerError answers with an error, when there is one.
func (s *Server) answerError(w http.ResponseWriter, r *http.Request, err error) {
	if err == nil {
		return
	}
	refused := s.refusal(r, err)
	body := errorBody{Error: refused}
	if refused.Code == api.LogGap || refused.Code == api.LogIncomplete {
		body.Offset = &refused.Offset
	}
	if refused.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	if refused.Status == http.StatusServiceUnavailable && w.Header().Get("Retry-After") == "" {
		w.Header().Set("Retry-After", "1")
	}
	_ = writeJSON(w, refused.Status, body)
}

// refusal is what a caller is told of an error: its own mistakes in full; of admin's troubles only that
// there is one, the rest is in the log.
func (s *Server) refusal(r *http.Request, err error) *api.Error {
	var refused *api.Error
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &refused):
		return refused
	case errors.As(err, &tooLarge):
		return api.Errorf(http.StatusRequestEntityTooLarge, api.TooLarge, "body is larger than %d bytes", tooLarge.Limit)
	case errors.Is(err, store.ErrClosed):
		return unavailable("admin is stopping")
	case isFull(err):
		s.disk.failed(err)
		return unavailable("the disk of admin is full: nothing was stored")
	case errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded):
		return unavailable("the call was given up")
	}
	s.log.Error("request failed", append(about(r), "method", r.Method, "path", r.URL.Path, "err", err)...)
	return unavailable("admin cannot do that now: its log says why")
}

// about says for the log which delivery or run a request is about.
func about(r *http.Request) []any {
	if id := r.Header.Get("X-GitHub-Delivery"); id != "" {
		return []any{"delivery", shorten(id, 100)}
	}
	if id := runID(r); id != "" && strings.HasPrefix(r.URL.Path, api.Prefix+"/runs/") {
		return []any{"run", id}
	}
	return nil
}

func unavailable(format string, args ...any) *api.Error {
	return api.Errorf(http.StatusServiceUnavailable, api.Unavailable, format, args...)
}

func badRequest(format string, args ...any) *api.Error {
	return api.Errorf(http.StatusBadRequest, api.BadRequest, format, args...)
}

// recovered answers 500 for a panic and logs it. net/http's own way to cut an answer off is left alone.
func (s *Server) recovered(w http.ResponseWriter, r *http.Request) {
	p := recover()
	if p == nil {
		return
	}
	if p == http.ErrAbortHandler {
		panic(p)
	}
	s.log.Error("panic", append(about(r), "method", r.Method, "path", r.URL.Path, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))...)
	s.answerError(w, r, api.Errorf(http.StatusInternalServerError, api.Unavailable, "admin has failed: its log says how"))
}

// Limits of JSON bodies, in bytes.
const (
	maxSmallBody    = 64 << 10
	maxRegistration = 4 << 20
)

// readJSON decodes a body that must hold one JSON value and nothing more. Keys that this version does not know
// are passed over: a newer listener may send some.
func readJSON(w http.ResponseWriter, r *http.Request, limit int64, into any) error {
	return decodeOne(json.NewDecoder(http.MaxBytesReader(w, r.Body, limit)), into)
}

// readOrder decodes what a person asks for. Unknown keys are refused, since a key that is passed over would
// have something else done than was meant. No body at all leaves into as it is.
func readOrder(w http.ResponseWriter, r *http.Request, into any) error {
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxSmallBody))
	decoder.DisallowUnknownFields()
	err := decodeOne(decoder, into)
	if errors.Is(err, errNoBody) {
		return nil
	}
	return err
}

// errNoBody is the error of an empty body.
var errNoBody = badRequest("body is empty")

func decodeOne(decoder *json.Decoder, into any) error {
	err := decoder.Decode(into)
	if errors.Is(err, io.EOF) {
		return errNoBody
	}
	if err == nil {
		if _, err = decoder.Token(); errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			return badRequest("body goes on after its JSON value")
		}
	}
	return bodyError(err)
}

// bodyError is the caller's error about a body that could not be read.
func bodyError(err error) error {
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return err
	}
	return badRequest("body is not the JSON that is wanted: %s", shorten(err.Error(), 200))
}

// shorten cuts a text for a message, at a whole character.
func shorten(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	for limit > 0 && !utf8.RuneStart(text[limit]) {
		limit--
	}
	return text[:limit] + "…"
}
