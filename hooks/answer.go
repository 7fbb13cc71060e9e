package hooks

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"lightspeed/api"
	"lightspeed/event"
)

// retryAfter is what a 503 asks for, in seconds.
const retryAfter = 10

// allowed refuses other methods than these.
func allowed(w http.ResponseWriter, r *http.Request, methods ...string) bool {
	if slices.Contains(methods, r.Method) {
		return true
	}
	w.Header().Set("Allow", strings.Join(methods, ", "))
	refuse(w, api.Errorf(http.StatusMethodNotAllowed, api.BadRequest, "method %s: want %s", shown(r.Method), strings.Join(methods, " or ")))
	return false
}

// refuse tells the caller what the first api.Error in err says, and nothing of its causes.
func refuse(w http.ResponseWriter, err error) {
	told := toldTo(err)
	if told.Status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", strconv.Itoa(retryAfter))
	}
	answer(w, told.Status, struct {
		Error *api.Error `json:"error"`
	}{told})
}

func toldTo(err error) *api.Error {
	var told *api.Error
	if !errors.As(err, &told) {
		told = errNotStored
	}
	return told
}

func answer(w http.ResponseWriter, status int, body any) {
	text, err := json.Marshal(body)
	if err != nil { // no type that is answered with can fail
		status, text = http.StatusInternalServerError, nil
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(text)+1))
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n'))
}

// note logs what became of a delivery.
func (s *Server) note(d event.Delivery, status string, more ...any) {
	s.log.Info("delivery", append([]any{"delivery", d.ID, "event", d.Event, "status", status, "bytes", len(d.Body)}, more...)...)
}

// noteRefusal logs a request that got no 2xx. What it calls itself is shown, as far as that is fit to be.
// Of what nobody signed only so many lines are written.
func (s *Server) noteRefusal(r *http.Request, err error) {
	if errors.As(err, &unsignedError{}) && !s.refused.line() {
		return
	}
	level, status := slog.LevelWarn, toldTo(err).Status
	if status >= http.StatusInternalServerError {
		level = slog.LevelError
	}
	s.log.Log(r.Context(), level, "delivery refused", "delivery", shown(r.Header.Get("X-GitHub-Delivery")),
		"event", shown(r.Header.Get("X-GitHub-Event")), "status", status, "bytes", r.ContentLength,
		"from", r.RemoteAddr, "error", err)
}

// shown makes text from outside fit for a log line and for an answer: printable ASCII, and not much of it.
func shown(text string) string {
	const most = 60
	cut := text
	if len(cut) > most {
		cut = cut[:most]
	}
	cut = strings.Map(func(c rune) rune {
		if c < ' ' || c > '~' {
			return '?'
		}
		return c
	}, cut)
	if len(text) > most {
		cut += "…"
	}
	return strconv.Quote(cut)
}
