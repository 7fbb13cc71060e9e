package cli

import (
	"errors"
	"fmt"
	"net/http"

	"lightspeed/api"
	"lightspeed/app"
)

// explained adds advice to errors that come without any.
func explained(err error) *app.Error {
	var told *app.Error
	if errors.As(err, &told) {
		return told
	}
	var unreachable *api.UnreachableError
	if errors.As(err, &unreachable) {
		return &app.Error{Err: err, Hint: "is it running? start it with `lightspeed admin` or `lightspeed up`, or name another with --admin URL"}
	}
	var refused *api.Error
	if errors.As(err, &refused) {
		return &app.Error{Err: err, Hint: refusalHint(refused)}
	}
	return &app.Error{Err: err}
}

func refusalHint(refused *api.Error) string {
	switch refused.Status {
	case http.StatusUnauthorized:
		return "give admin's token with --token, LIGHTSPEED_TOKEN or LIGHTSPEED_TOKEN_FILE"
	case http.StatusForbidden:
		return "this token is for another kind of caller: admin has one kind for people, one for hooks, one for listeners"
	}
	return ""
}

// notFound makes admin's "not found" name what was asked for, and where to look for it.
func notFound(err error, what, id, list string) error {
	if !api.IsCode(err, api.NotFound) {
		return err
	}
	return &app.Error{Err: fmt.Errorf("no %s %q", what, id), Hint: "`" + list + "` shows what there is"}
}
