package admin

import (
	"testing"

	"lightspeed/api"
)

// TestVersionsApart: a role that is too old is told so, in words; hooks keeps its deliveries until it is upgraded.
func TestVersionsApart(t *testing.T) {
	f := start(t)
	f.server.version = "1.2"
	_, err := f.client.Runs(t.Context(), api.RunFilter{})
	refused := f.wantCode(err, 426, api.VersionsApart)
	if want := `admin is version 1.2 and was called by "` + api.Version + `": they may be one minor version apart; upgrade whoever calls`; refused.Message != want {
		t.Error(refused.Message)
	}
	if !api.Temporary(err) {
		t.Error("it is final")
	}
	if status, _ := f.call("GET", "/api/v1/runs", ""); status != 200 {
		t.Errorf("without a version: %d", status)
	}
	f.server.version = "1.1"
	if _, err := f.client.Runs(t.Context(), api.RunFilter{}); err != nil {
		t.Error(err)
	}
}
