package admin

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lightspeed/admin/store"
	"lightspeed/api"
	"lightspeed/run"
)

// ran hands in a push, runs it with this output, and returns its attempt.
func (l *listener) ran(id, output string) run.Ref {
	l.f.Helper()
	l.f.push(id, "main")
	c := l.mustClaim()
	if _, err := l.f.client.AppendLog(l.f.Context(), refOf(c), 0, []byte(output), came(0, 0, 1)[:min(1, len(output))]...); err != nil {
		l.f.Fatal(err)
	}
	if _, err := l.f.client.Finish(l.f.Context(), refOf(c), api.Finish{Status: run.Passed, LogBytes: int64(len(output))}); err != nil {
		l.f.Fatal(err)
	}
	return refOf(c)
}

// logFiles lists the files of logs, and of their times, that are there.
func (f *fixture) logFiles() (names []string) {
	f.Helper()
	err := filepath.WalkDir(filepath.Join(f.state, "logs"), func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			names = append(names, filepath.Base(path))
		}
		return err
	})
	if err != nil {
		f.Fatal(err)
	}
	return names
}

func TestPrune(t *testing.T) {
	f := start(t, func(o *Options) { o.Keep = store.Retention{Logs: store.Limits{Count: 1}} })
	l := f.listener("web")
	old, kept := l.ran("d1", "old\n"), l.ran("d2", "kept\n")
	want := api.Pruning{DryRun: true, Logs: 1, LogBytes: 4}
	if got, err := f.client.Prune(t.Context(), true); err != nil || got != want {
		t.Fatalf("dry run: %+v, %v", got, err)
	}
	if got := f.log(old.Run, api.LogQuery{}); got != "old\n" {
		t.Fatalf("after the dry run: %q", got)
	}
	want.DryRun = false
	if got, err := f.client.Prune(t.Context(), false); err != nil || got != want {
		t.Fatalf("pruned %+v, %v", got, err)
	}
	for _, q := range []api.LogQuery{{}, {Attempt: 1}, {Follow: true}} {
		_, err := f.client.Log(t.Context(), old.Run, q)
		refused := f.wantCode(err, 410, api.Pruned)
		if !strings.HasSuffix(refused.Message, "admin keeps only so much") {
			t.Error(refused.Message)
		}
	}
	if r := f.run(old.Run); r.LogBytes != 4 || r.Attempts[0].LogPrunedAt == nil || r.Status != run.Passed {
		t.Errorf("run is %+v", r)
	}
	if got := f.log(kept.Run, api.LogQuery{}); got != "kept\n" {
		t.Errorf("the other log: %q", got)
	}
	_, err := f.client.LogTimes(t.Context(), old, 0)
	f.wantCode(err, 410, api.Pruned)
	if files := f.logFiles(); !slices.Equal(files, []string{kept.Run + ".1.log", kept.Run + ".1.times"}) {
		t.Errorf("files %q", files)
	}
}

// Artifacts go by their own limits, and leave the log; logs go by theirs, and leave the artifacts.
func TestPruneArtifacts(t *testing.T) {
	f := start(t, func(o *Options) {
		o.Keep = store.Retention{Logs: store.Limits{Count: 2}, Artifacts: store.Limits{Bytes: 10}}
	})
	l := f.listener("web")
	keeps := func(id, output string, artifacts ...string) run.Ref {
		f.push(id, "main")
		c := l.mustClaim()
		for _, content := range artifacts {
			if _, err := f.client.AppendArtifact(t.Context(), refOf(c), artifact("dist/"+content, content), 0, []byte(content)); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := f.client.AppendLog(t.Context(), refOf(c), 0, []byte(output)); err != nil {
			t.Fatal(err)
		}
		if _, err := f.client.Finish(t.Context(), refOf(c), api.Finish{Status: run.Passed, LogBytes: int64(len(output))}); err != nil {
			t.Fatal(err)
		}
		return refOf(c)
	}
	first, second, third := keeps("d1", "one\n"), keeps("d2", "two\n", "old", "older"), keeps("d3", "three\n", "new", "newer")
	want := api.Pruning{DryRun: true, Logs: 1, LogBytes: 4, Artifacts: 1, ArtifactBytes: 8}
	if got, err := f.client.Prune(t.Context(), true); err != nil || got != want {
		t.Fatalf("dry run: %+v, %v", got, err)
	}
	want.DryRun = false
	if got, err := f.client.Prune(t.Context(), false); err != nil || got != want {
		t.Fatalf("pruned %+v, %v", got, err)
	}
	if got := f.log(second.Run, api.LogQuery{}); got != "two\n" {
		t.Errorf("the log of what lost its artifacts is %q", got)
	}
	_, err := f.client.Artifact(t.Context(), second.Run, "dist/old", 0)
	if refused := f.wantCode(err, 410, api.Pruned); !strings.HasSuffix(refused.Message, "admin keeps only so much") {
		t.Error(refused.Message)
	}
	if r := f.run(second.Run); r.Attempts[0].ArtifactsPrunedAt == nil || r.Attempts[0].LogPrunedAt != nil {
		t.Errorf("run is %+v", r)
	}
	if _, err := os.Stat(f.server.artifacts.folder(second)); !os.IsNotExist(err) {
		t.Errorf("its folder: %v", err)
	}
	if r := f.run(first.Run); r.Attempts[0].ArtifactsPrunedAt != nil || r.Attempts[0].LogPrunedAt == nil {
		t.Errorf("the run that kept none is %+v", r)
	}
	if list, err := f.client.Artifacts(t.Context(), third.Run); err != nil || len(list.Items) != 2 {
		t.Errorf("of the newest: %+v, %v", list, err)
	}
}

// TestPruneWasCutOff: admin was killed after rows were deleted, and before their files were.
func TestPruneWasCutOff(t *testing.T) {
	f := start(t)
	f.listener("web").ran("d1", "out\n")
	if _, err := f.server.store.Prune(t.Context(), store.Retention{Runs: store.Limits{Age: 1}}, false); err != nil {
		t.Fatal(err)
	}
	if files := f.logFiles(); len(files) != 2 {
		t.Fatalf("files %q", files)
	}
	f.end()
	again := startIn(t, f.state) // takes it up by itself; the call waits for that
	if done, err := again.client.Prune(t.Context(), false); err != nil || done != (api.Pruning{}) {
		t.Fatalf("%+v, %v", done, err)
	}
	if folders, err := os.ReadDir(filepath.Join(f.state, "logs")); err != nil || len(folders) != 0 {
		t.Errorf("folders %v, %v", folders, err)
	}
}

func TestPrunedPayload(t *testing.T) {
	f := start(t)
	r := f.listener("web").ran("d1", "")
	if _, err := f.server.store.Prune(t.Context(), store.Retention{Payloads: store.Limits{Age: 1}}, false); err != nil {
		t.Fatal(err)
	}
	_, err := f.client.Explain(t.Context(), "d1")
	f.wantCode(err, 410, api.Pruned)
	_, err = f.client.Payload(t.Context(), "d1")
	f.wantCode(err, 410, api.Pruned)
	_, err = f.client.Replay(t.Context(), "d1", api.Replay{}, false)
	f.wantCode(err, 410, api.Pruned)
	_, err = f.client.Retry(t.Context(), r.Run)
	f.wantCode(err, 410, api.Pruned)
	if d, err := f.client.Delivery(t.Context(), "d1"); err != nil || d.PayloadPrunedAt == nil {
		t.Errorf("%+v, %v", d, err)
	}
}
