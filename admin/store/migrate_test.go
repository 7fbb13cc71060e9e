package store

import (
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"testing"

	"lightspeed/api"
	"lightspeed/run"
)

// TestMigrations opens real files of earlier versions, testdata/schema-N.db.gz, each left by `up` of a commit with that
// schema: one push that led to runs of the listeners passes, fails and waits, the last of which was not there.
func TestMigrations(t *testing.T) {
	files, err := filepath.Glob("testdata/schema-*.db.gz")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files of earlier versions: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "admin.db")
			unzip(t, file, path)
			f := openAt(t, path)
			list, err := f.Runs(t.Context(), api.RunFilter{Limit: 10})
			if err != nil {
				t.Fatal(err)
			}
			was := map[string]run.Run{}
			for _, r := range list.Items {
				was[r.Listener] = r
			}
			if len(list.Items) != 3 || was["passes"].Status != run.Passed || was["fails"].Status != run.Failed || *was["fails"].ExitCode != 3 ||
				was["waits"].Status != run.Queued || was["passes"].LogBytes == 0 {
				t.Fatalf("runs %+v", list.Items)
			}
			if d, err := f.Stored(t.Context(), was["waits"].Delivery); err != nil || len(d.Delivery.Body) == 0 {
				t.Errorf("its delivery: %v", err)
			}
			known, err := f.Listener(t.Context(), "waits")
			if err != nil {
				t.Fatal(err)
			}
			i := f.listen("waits", "new", func(s *api.Settings) { *s = known.Settings })
			if ref := i.claim(); ref.Run != was["waits"].ID {
				t.Errorf("claimed %+v", ref)
			}
			if err := Check(t.Context(), path); err != nil {
				t.Error(err)
			}
			if done := f.prune(Retention{Logs: Limits{Age: 1}}, false); done.Logs != 2 {
				t.Errorf("pruned %+v", done)
			}
		})
	}
}

func unzip(t *testing.T, from, to string) {
	t.Helper()
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	plain, err := gzip.NewReader(in)
	if err != nil {
		t.Fatal(err)
	}
	content, err := io.ReadAll(plain)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, content, 0o600); err != nil {
		t.Fatal(err)
	}
}
