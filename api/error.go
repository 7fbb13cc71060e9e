package api

import "fmt"

// Code says what kind of error it is; clients decide by it, never by the message.
type Code string

// The codes.
const (
	BadRequest    Code = "bad_request"            // the call is wrong, as the message says
	Unauthorized  Code = "unauthorized"           // there is no token, or one that admin does not know
	Forbidden     Code = "forbidden"              // the token may not do that
	NotFound      Code = "not_found"              // there is no such thing
	Conflict      Code = "conflict"               // things do not stand so that it could be done, as the message says
	TooLarge      Code = "too_large"              // the body, or what is asked for, is larger than may be
	UnsupportedMT Code = "unsupported_media_type" // the body is of another media type than is wanted
	Unavailable   Code = "unavailable"            // admin cannot do that now; Retry-After says when to come again
	AttemptOver   Code = "attempt_over"           // the attempt was given up, or ended: nothing of it is taken any more
	LogIncomplete Code = "log_incomplete"         // finish came before the whole log; Offset is where admin's copy ends
	LogGap        Code = "log_gap"                // log came past the end of admin's copy; Offset is that end
	Full          Code = "full"                   // admin's disk has no room for an artifact
	NotRegistered Code = "not_registered"         // a claim by an instance that admin does not know: register again
	Pruned        Code = "pruned"                 // a log or payload that admin has deleted since it keeps only so much
	VersionsApart Code = "versions_apart"         // admin and caller are more than one minor version apart
	Outdated      Code = "outdated"               // a claim by an instance whose settings are not the newest
)

// Error is every answer that is not 2xx: {"error":{"code","message"}}, and for log_gap and log_incomplete
// an "offset" beside it.
type Error struct {
	Status  int    `json:"-"` // the HTTP status
	Code    Code   `json:"code"`
	Message string `json:"message"`
	Offset  int64  `json:"-"`
}

func (e *Error) Error() string { return e.Message }

// Errorf makes an Error with a message for whoever called.
func Errorf(status int, code Code, format string, args ...any) *Error {
	return &Error{Status: status, Code: code, Message: fmt.Sprintf(format, args...)}
}
