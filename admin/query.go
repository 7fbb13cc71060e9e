package admin

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"lightspeed/api"
	"lightspeed/match"
	"lightspeed/run"
)

// query reads a request's parameters. The first mistake is kept in err; what is unknown or given twice is
// one, since a filter that is ignored answers another question than was asked.
type query struct {
	values url.Values
	err    error
}

func readQuery(r *http.Request, known ...string) *query {
	values, err := url.ParseQuery(r.URL.RawQuery)
	q := &query{values: values}
	if err != nil {
		q.fail("query is not well formed")
	}
	for key, list := range values {
		if !slices.Contains(known, key) {
			q.fail("unknown parameter %q", shorten(key, 50))
		} else if len(list) > 1 {
			q.fail("parameter %s is given %d times", key, len(list))
		}
	}
	return q
}

func (q *query) fail(format string, args ...any) {
	if q.err == nil {
		q.err = badRequest(format, args...)
	}
}

// maxText bounds a text parameter, in bytes.
const maxText = 1024

func (q *query) text(key string) string {
	value := q.values.Get(key)
	if len(value) > maxText {
		q.fail("%s is longer than %d bytes", key, maxText)
	}
	return value
}

func (q *query) flag(key string) bool {
	switch value := q.values.Get(key); value {
	case "1", "true":
		return true
	case "", "0", "false":
	default:
		q.fail("%s %q is neither 1 nor 0", key, shorten(value, 50))
	}
	return false
}

// number reads a whole number of at least min, or the default when it is not given.
func (q *query) number(key string, def, min int64) int64 {
	if !q.values.Has(key) {
		return def
	}
	value := q.values.Get(key)
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil || n < min {
		q.fail("%s %q is not a whole number of at least %d", key, shorten(value, 50), min)
	}
	return n
}

func (q *query) limit() int {
	n := q.number("limit", api.DefaultLimit, 1)
	if n > api.MaxLimit {
		q.fail("limit %d is more than %d", n, api.MaxLimit)
	}
	return int(n)
}

// wait reads a duration such as 30s; what is over api.MaxWait is cut to it.
func (q *query) wait() time.Duration {
	if !q.values.Has("wait") {
		return 0
	}
	value := q.values.Get("wait")
	d, err := time.ParseDuration(value)
	if err != nil || d < 0 {
		q.fail("wait %q is not a duration such as 30s", shorten(value, 50))
		return 0
	}
	return min(d, api.MaxWait)
}

// status reads a state that a run can be in.
func (q *query) status() run.State {
	state := run.State(q.text("status"))
	known := []run.State{
		run.Queued, run.Running, run.Passed, run.Failed, run.Errored, run.TimedOut, run.Cancelled, run.Superseded, run.Lost,
	}
	if state != "" && !slices.Contains(known, state) {
		q.fail("status %q is none of %v", shorten(string(state), 50), known)
	}
	return state
}

// attempt reads the ref of a listener's call: the run from the path, the attempt from the query.
func (q *query) attempt(r *http.Request) run.Ref {
	n := q.number("attempt", 0, 1)
	if n == 0 || n > 1<<30 {
		q.fail("attempt is needed")
	}
	return run.Ref{Run: runID(r), Attempt: int(n)}
}

// runID returns the run of the path. Ids that cannot be one become empty, which is not found anywhere: an
// id also becomes part of a file's name.
func runID(r *http.Request) string {
	id := r.PathValue("id")
	if len(id) > 32 {
		return ""
	}
	for _, c := range id {
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') {
			return ""
		}
	}
	return id
}

// listenerName returns the listener of the path.
func listenerName(r *http.Request) (string, error) {
	name := r.PathValue("name")
	if err := match.CheckName(name); err != nil {
		return "", badRequest("%v", err)
	}
	return name, nil
}
