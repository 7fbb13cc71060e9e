package admin

import (
	"io"
	"testing"

	"lightspeed/api"
	"lightspeed/run"
)

// A push's whole way through admin.
func TestPushBecomesAPassedRun(t *testing.T) {
	f := start(t)
	l := f.listener("web")
	receipt := f.push("d1", "main")
	if receipt.Status != api.Accepted || len(receipt.Runs) != 1 || receipt.Runs[0].Listener != "web" {
		t.Fatalf("receipt %+v", receipt)
	}
	c := l.mustClaim()
	if c.Run.ID != receipt.Runs[0].ID || c.Attempt != 1 || c.LeaseS != 30 || c.Delivery.ID != "d1" || len(c.Payload) == 0 {
		t.Fatalf("claim %+v", c)
	}
	if _, err := f.client.Renew(t.Context(), refOf(c), 0); err != nil {
		t.Fatal(err)
	}
	next, err := f.client.AppendLog(t.Context(), refOf(c), 0, []byte("hello\n"))
	if err != nil || next != 6 {
		t.Fatalf("log ends at %d, %v", next, err)
	}
	_, err = f.client.Finish(t.Context(), refOf(c), api.Finish{Status: run.Passed, LogBytes: 7})
	if refused := f.wantCode(err, 409, api.LogIncomplete); refused.Offset != 6 {
		t.Fatalf("offset %d", refused.Offset)
	}
	zero := 0
	r, err := f.client.Finish(t.Context(), refOf(c), api.Finish{Status: run.Passed, ExitCode: &zero, LogBytes: 6})
	if err != nil || r.Status != run.Passed || r.LogBytes != 6 || *r.ExitCode != 0 || len(r.Attempts) != 1 {
		t.Fatalf("finished %+v, %v", r, err)
	}
	list, err := f.client.Runs(t.Context(), api.RunFilter{Listener: "web", Status: run.Passed})
	if err != nil || len(list.Items) != 1 || list.Next != nil {
		t.Fatalf("runs %+v, %v", list, err)
	}
	log, err := f.client.Log(t.Context(), c.Run.ID, api.LogQuery{})
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	if text, err := io.ReadAll(log); string(text) != "hello\n" || err != nil {
		t.Fatalf("log %q, %v", text, err)
	}
}
