package listener

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"strings"
	"testing"

	"lightspeed/event"
	"lightspeed/run"
)

func TestHere(t *testing.T) {
	body, err := event.MakePush(event.PushSpec{Repo: "a/b", Branch: "main", Files: []string{"f"}})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	o := HereOptions{
		Config: conf(`cat "$LIGHTSPEED_FILES_FILE"; ls -d "$(dirname "$LIGHTSPEED_PAYLOAD_FILE")"`, "exit 2"), Out: &out, Log: slog.New(slog.DiscardHandler),
		Delivery: event.Delivery{ID: "d", Event: "push", ContentType: "application/json", Body: body},
	}
	got, err := Here(t.Context(), o)
	if err != nil || got.Status != run.Failed || *got.ExitCode != 2 || got.Reason != "step 2: exit status 2" {
		t.Errorf("got %+v %v", got, err)
	}
	lines := strings.Split(out.String(), "\n")
	if lines[0] != "f" || lines[2] != "lightspeed: step 2: exit status 2" {
		t.Errorf("printed %q", out.String())
	}
	if _, err := os.Stat(lines[1]); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("folder %s is still there", lines[1])
	}
	o.Config.Rules.Branches = []string{"dev"}
	var mismatch *NoMatchError
	if _, err := Here(t.Context(), o); !errors.As(err, &mismatch) || mismatch.Decision.Rule != "branches" {
		t.Errorf("got %v", err)
	}
}
