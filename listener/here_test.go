package listener

import (
	"bytes"
	"errors"
	"log/slog"
	"net/url"
	"os"
	"strings"
	"testing"

	"lightspeed/event"
	"lightspeed/run"
)

// A webhook that sends forms gives a script the same file as one that sends JSON.
func TestPayloadOfAForm(t *testing.T) {
	body, err := event.MakePush(event.PushSpec{Repo: "a/b", Branch: "main"})
	if err != nil {
		t.Fatal(err)
	}
	form := []byte(url.Values{"payload": {string(body)}}.Encode())
	const script = `cat "$LIGHTSPEED_PAYLOAD_FILE"`
	var out bytes.Buffer
	o := HereOptions{
		Config: conf(script), Out: &out, Log: slog.New(slog.DiscardHandler),
		Delivery: event.Delivery{ID: "d", Event: "push", ContentType: "application/x-www-form-urlencoded", Body: form},
	}
	if _, err := Here(t.Context(), o); err != nil || out.String() != string(body) {
		t.Errorf("here: %q, %v", out.String(), err)
	}
	f := newFakeAdmin(t)
	r := f.enqueue("r1", run.ByDelivery, "d", form)
	r.claim.Delivery.ContentType = "application/x-www-form-urlencoded"
	listen(t, f, conf(script), t.TempDir())
	if f.awaitEnd(r); f.logOf(r) != string(body) {
		t.Errorf("listener: %q", f.logOf(r))
	}
}

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
