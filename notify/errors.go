package notify

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Unreachable makes the Error of a request that got no answer. url.Error, which names the whole address, and
// the sockets' own addresses, which differ each time, are left out.
func Unreachable(who string, err error) *Error {
	return &Error{
		Message: who + " cannot be reached: " + cause(err),
		Hint:    "see this machine's network; it is tried again",
	}
}

func cause(err error) string {
	var timeout interface{ Timeout() bool }
	if errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout() {
		return "no answer in time"
	}
	var request *url.Error
	if errors.As(err, &request) {
		err = request.Err
	}
	var socket *net.OpError
	if errors.As(err, &socket) {
		return socket.Op + ": " + socket.Err.Error()
	}
	return err.Error()
}

// longestRest is the longest that is waited because the far end asked for it.
const longestRest = 2 * time.Hour

// Seconds reads a number of seconds as Retry-After and its like carry it, with a fraction or without. What
// is no such number, or none above 0, is 0; what is longer than two hours is cut to that.
func Seconds(text string) time.Duration {
	seconds, err := strconv.ParseFloat(text, 64)
	if err != nil || !(seconds > 0) {
		return 0
	}
	return Rest(seconds)
}

// Rest turns seconds from outside into a duration between 0 and two hours.
func Rest(seconds float64) time.Duration {
	if !(seconds > 0) { // also not a number
		return 0
	}
	return time.Duration(min(seconds, longestRest.Seconds()) * float64(time.Second))
}

// RetryAfter reads that header, as seconds or as a date; 0 when there is none.
func RetryAfter(h http.Header) time.Duration {
	text := h.Get("Retry-After")
	if at, err := http.ParseTime(text); err == nil {
		return Rest(time.Until(at).Seconds())
	}
	return Seconds(text)
}
