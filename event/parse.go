package event

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// The events that a listener can ask for, and ping, by their name in X-GitHub-Event. Every other event is
// read as far as it goes and marked Ignored.
const (
	Push        = "push"
	PullRequest = "pull_request"
	Create      = "create" // doubles a push, without its commit: runs only listeners that name it
	Delete      = "delete" // the same
	Release     = "release"
	Ping        = "ping"
)

// Names lists the events that a listener can ask for.
func Names() []string { return []string{Push, PullRequest, Create, Delete, Release} }

// Media types of a delivery.
const (
	typeJSON = "application/json"
	typeForm = "application/x-www-form-urlencoded" // JSON in the field "payload"
)

// Parse reads a delivery. An event that nothing can be run by is no error: its Ignored says why. An error
// says what is wrong with the body, in one line without the body itself; such a body will be wrong the
// next time, too. Parse needs d.Event, d.ContentType and d.Body only.
func Parse(d Delivery) (Event, error) {
	if d.Event == "" {
		return Event{}, errors.New("the delivery has no event name (X-GitHub-Event)")
	}
	text, err := jsonText(d.ContentType, d.Body)
	if err != nil {
		return Event{}, err
	}
	text, mark, err := markBytes(text)
	if err != nil {
		return Event{}, err
	}
	e, err := parseNamed(d.Event, text)
	if err != nil {
		return Event{}, err
	}
	return finish(e, mark)
}

// Valid reports what keeps a body from being read at all: a content type that is not JSON's or a form's, a
// form without payload, a text that is not one JSON object, or one that nests too deep. It knows nothing
// of events; Parse may still refuse what Valid takes.
func Valid(contentType string, body []byte) error {
	text, err := jsonText(contentType, body)
	if err != nil {
		return err
	}
	s := scanner{in: text}
	_, err = s.document(fields{})
	return err
}

// AsJSON is the delivery as its webhook would have sent it as application/json. Of a form that is the field that holds the
// JSON; what is JSON, or cannot be read, stays as it is.
func (d Delivery) AsJSON() Delivery {
	if text, err := jsonText(d.ContentType, d.Body); err == nil {
		d.ContentType, d.Body = typeJSON, text
	}
	return d
}

// jsonText returns the JSON of a body: the body itself, or a form's field.
func jsonText(contentType string, body []byte) ([]byte, error) {
	if len(body) == 0 {
		return nil, errors.New("body is empty")
	}
	if len(body) > MaxPayload {
		return nil, fmt.Errorf("body is %d bytes long, at most %d are read", len(body), MaxPayload)
	}
	media, _, _ := strings.Cut(contentType, ";")
	switch strings.ToLower(strings.TrimSpace(media)) {
	case typeJSON:
		return body, nil
	case typeForm:
		return formPayload(body)
	}
	return nil, fmt.Errorf("content type %s is neither %s nor %s", quoted(contentType), typeJSON, typeForm)
}

func formPayload(body []byte) ([]byte, error) {
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, errors.New("body is not a form: its percent-encoding is broken")
	}
	switch values := form["payload"]; len(values) {
	case 0:
		return nil, errors.New(`body is a form without the field "payload"`)
	case 1:
		return []byte(values[0]), nil
	default:
		return nil, fmt.Errorf(`body is a form with %d fields "payload", want one`, len(values))
	}
}

// parseNamed reads the JSON of an event by its name.
func parseNamed(name string, text []byte) (e Event, err error) {
	switch name {
	case Push:
		e, err = parsePush(text)
	case PullRequest:
		e, err = parsePullRequest(text)
	case Create, Delete:
		e, err = parseRefEvent(name, text)
	case Release:
		e, err = parseRelease(text)
	default:
		e, err = parseIgnored(name, text)
	}
	e.Name = name
	return e, err
}

// finish puts marked bytes back, sorts the files, and checks what it is about to hand out.
func finish(e Event, mark rune) (Event, error) {
	if mark != 0 {
		e.eachText(func(text *string) { *text = unmarkBytes(*text, mark) })
	}
	if e.Ignored == "" && e.Branch == "" && e.Tag == "" && e.Ref != headsPrefix && e.Ref != tagsPrefix {
		e.Ignored = fmt.Sprintf("ref %s is neither a branch nor a tag", Shown(e.Ref, 100))
	}
	slices.Sort(e.Files)
	e.Files = slices.Compact(e.Files)
	err := e.check()
	if err != nil && e.Ignored != "" {
		return Event{Name: e.Name, Ignored: e.Ignored}, nil // nothing will use the rest
	}
	if err != nil {
		return Event{}, fmt.Errorf("%s: %w", e.Name, err)
	}
	return e, nil
}

// eachText calls f with every text that came from the body.
func (e *Event) eachText(f func(*string)) {
	for _, text := range []*string{
		&e.Action, &e.Repo, &e.Ref, &e.Branch, &e.Base, &e.Tag, &e.SHA, &e.Before, &e.After,
		&e.Message, &e.Author, &e.Pusher, &e.URL,
	} {
		f(text)
	}
	for i := range e.Files {
		f(&e.Files[i])
	}
}

// decode reads the wanted fields of the text into one of go-github's types.
func decode(name string, text []byte, want fields, into any) error {
	s := scanner{in: text}
	wanted, err := s.document(want)
	if err != nil {
		return err
	}
	if s.twice != "" {
		return fmt.Errorf("%s: %q stands twice", name, s.twice)
	}
	var wrong *json.UnmarshalTypeError
	switch err := json.Unmarshal(wanted, into); {
	case errors.As(err, &wrong):
		field := strings.TrimPrefix(wrong.Field, "PushEvent.")
		return fmt.Errorf("%s: %q is %s, want %s", name, field, jsonValue(wrong.Value), jsonType(wrong.Type))
	case err != nil:
		return fmt.Errorf("%s: body does not fit: %s", name, Shown(err.Error(), 200))
	}
	return nil
}
