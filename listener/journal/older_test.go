package journal

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"lightspeed/api"
	"lightspeed/run"
)

// What an older version has left is held as what this one leaves, also when this process is killed while it takes it on.
func TestOlderVersionsAttempts(t *testing.T) {
	began := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name  string
		files map[string]any
		said  int
		want  func(e *Entry) bool
	}{
		{"running", map[string]any{"process.json": started{Process{PID: 7, Start: 8}, []run.Step{{Step: 1}}}}, 0,
			func(e *Entry) bool { return e.Process() == Process{7, 8} && len(e.Steps()) == 1 && e.Result() == nil }},
		{"keeping", map[string]any{"ended.json": Ended{Root: "/r"}, "artifacts.json": []api.Artifact{}}, 0,
			func(e *Entry) bool { return e.Ended().Root == "/r" && e.Collected() }},
		{"ended", map[string]any{"result.json": api.Finish{Status: run.Passed}, "records.tmp": "of a process that was killed"}, 0,
			func(e *Entry) bool { return e.Result().Status == run.Passed && e.EndedAt().Equal(began) }},
		{"torn", map[string]any{"result.json": "not an object"}, 1, func(e *Entry) bool { return e.Result() == nil }},
	} {
		t.Run(c.name, func(t *testing.T) {
			state := t.TempDir()
			j, _ := open(t, state)
			e := begin(t, j, "a")
			c.files["claim.json"] = claimed{j.Instance(), e.Claim()}
			for name, value := range c.files {
				text, err := json.Marshal(value)
				if err != nil {
					t.Fatal(err)
				}
				file := filepath.Join(e.dir, name)
				if err := os.WriteFile(file, text, 0o600); err != nil {
					t.Fatal(err)
				}
				if err := os.Chtimes(file, began, began); err != nil {
					t.Fatal(err)
				}
			}
			_, _ = e.Log.Write([]byte("output"))
			if err := os.Remove(e.file(recordsFile)); err != nil {
				t.Fatal(err)
			}
			for range 2 { // the second time it is as any other
				var said *notes
				j, said = reopen(t, j, state)
				if len(j.Holds()) != 1 || len(said.lines()) != c.said {
					t.Fatalf("holds %v, said %q", j.Holds(), said.lines())
				}
				e = j.Held()[0]
				if !c.want(e) || e.Claim().Delivery.ID != "d" || !e.BeganAt().Equal(began) {
					t.Errorf("it came back as %+v", e)
				}
				wantOutput(t, e, "output")
				c.said = 0
			}
			j.Remove(e)
			if _, err := os.Stat(e.dir); !os.IsNotExist(err) {
				t.Error("folder is still there")
			}
		})
	}
}

// TestAdoptedAndRemoved: a kill after the records of an older version's attempt were made leaves its claim beside them. It is
// no attempt any more when the records are gone.
func TestAdoptedAndRemoved(t *testing.T) {
	state := t.TempDir()
	j, _ := open(t, state)
	e := begin(t, j, "r1")
	_, _ = e.Log.Write([]byte("output"))
	if err := os.WriteFile(e.file(olderClaimFile), []byte(`{"instance":"`+j.Instance()+`","claim":{}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	j, _ = reopen(t, j, state)
	if err := os.Remove(j.Held()[0].file(recordsFile)); err != nil { // as by a kill in Remove
		t.Fatal(err)
	}
	j, said := reopen(t, j, state)
	if held := j.Held(); len(held) > 0 {
		t.Errorf("it is held again: %v", said.lines())
	}
}
