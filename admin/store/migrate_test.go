package store

import (
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lightspeed/api"
	"lightspeed/run"
)

// states has the state folders that earlier versions left when they were killed, schema-N.tar.gz; make.sh there makes
// them, and says what is in each.
const states = "../../testdata/states"

// TestEverySchemaHasAState fails when somebody adds a migration and keeps no state folder of the schema before it.
func TestEverySchemaHasAState(t *testing.T) {
	for version := 1; version < len(migrations); version++ {
		if _, err := os.Stat(filepath.Join(states, fmt.Sprintf("schema-%d.tar.gz", version))); err != nil {
			t.Errorf("no state folder of schema %d: `testdata/states/make.sh COMMIT`, of the last commit that has it, makes one (%v)", version, err)
		}
	}
}

// TestMigrations opens the database of every earlier version, with the write-ahead log that was not yet in it, and goes
// on where that was killed.
func TestMigrations(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(states, "schema-*.tar.gz"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no state folders of earlier versions: %v", err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".tar.gz")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			version, err := strconv.Atoi(strings.TrimPrefix(name, "schema-"))
			if err != nil {
				t.Fatal(err)
			}
			path := unpack(t, file)
			if got := schemaOf(t, path); got != version {
				t.Fatalf("its schema is %d", got)
			}
			f := openAt(t, path)
			was := f.runsBefore()
			f.wantKept(version, was)
			f.goOn(was)
			if err := Check(t.Context(), path); err != nil {
				t.Error(err)
			}
			if got := schemaOf(t, path); got != len(migrations) {
				t.Errorf("its schema is %d afterwards, not %d", got, len(migrations))
			}
			if done := f.prune(Retention{Logs: Limits{Age: 1}}, false); done.Logs != 4 {
				t.Errorf("pruned %+v", done)
			}
		})
	}
}

// unpack returns the path of the database in a state folder.
func unpack(t *testing.T, file string) string {
	t.Helper()
	to := t.TempDir()
	if out, err := exec.Command("tar", "-xzf", file, "-C", to).CombinedOutput(); err != nil {
		t.Fatalf("tar: %v\n%s", err, out)
	}
	return filepath.Join(to, "admin", "admin.db")
}

func schemaOf(t *testing.T, path string) (version int) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path+"?mode=ro")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.QueryRow(`PRAGMA user_version`).Scan(&version); err != nil {
		t.Fatal(err)
	}
	return version
}

// runsBefore are the runs, newest first, by listener.
func (f *fixture) runsBefore() map[string][]run.Run {
	f.Helper()
	list, err := f.Runs(f.Context(), api.RunFilter{Limit: 10})
	if err != nil {
		f.Fatal(err)
	}
	was := map[string][]run.Run{}
	var all []string
	for _, r := range list.Items {
		was[r.Listener] = append(was[r.Listener], r)
		all = append(all, fmt.Sprintf("%s %s %s", r.Listener, r.Cause, r.Status))
	}
	slices.Sort(all)
	want := []string{"cut delivery running", "fails delivery failed", "fails retry failed", "passes delivery passed", "waits delivery cancelled", "waits delivery queued"}
	if diff := cmp.Diff(want, all); diff != "" {
		f.Fatalf("runs (-want +got):\n%s", diff)
	}
	return was
}

// wantKept compares what an earlier version knew with what is known now.
func (f *fixture) wantKept(version int, was map[string][]run.Run) {
	f.Helper()
	passed, retried, failed := was["passes"][0], was["fails"][0], was["fails"][1]
	if got := f.run(passed.ID); got.LogBytes == 0 || *got.Branch != "main" || got.Repo != "me/my-app" || len(got.Attempts) != 1 || got.FinishedAt == nil {
		f.Errorf("what passed: %+v", got)
	}
	if *retried.ExitCode != 3 || *retried.RetryOf != failed.ID {
		f.Errorf("the retry that failed: %+v", retried)
	}
	if d, err := f.Stored(f.Context(), was["waits"][1].Delivery); err != nil || !strings.Contains(string(d.Delivery.Body), `"refs/heads/main"`) {
		f.Errorf("the delivery of what waits: %+v, %v", d, err)
	}
	if steps := f.run(passed.ID).Attempts[0].Steps; version >= 2 && (len(steps) != 2 || steps[0].Name != "say" || steps[0].Status != run.Passed) {
		f.Errorf("steps %+v", steps)
	}
	tokens, err := f.Tokens(f.Context())
	if version >= 4 && (err != nil || len(tokens) != 2 || tokens[0].Role+tokens[1].Role != "listeneradmin" || tokens[0].Listeners[0] != "my-*") {
		f.Errorf("tokens %+v, %v", tokens, err)
	}
	if notices := f.run(failed.ID).Notices; version >= 5 && (len(notices) != 1 || notices[0].Target != "commit-status" || notices[0].Status != run.ToldToNoOne) {
		f.Errorf("notices %+v", notices)
	}
	known, err := f.Listener(f.Context(), "fails")
	if err != nil || version >= 6 && (known.Paused == nil || known.Paused.Note != "until it is mended") {
		f.Errorf("the paused listener %+v, %v", known, err)
	}
}

// goOn has the listeners come back, end what ran, and run what waited.
func (f *fixture) goOn(was map[string][]run.Run) {
	f.Helper()
	known, err := f.Listener(f.Context(), "waits")
	if err != nil {
		f.Fatal(err)
	}
	i := f.listen("waits", "new", func(s *api.Settings) { *s = known.Settings })
	claimed := i.claim()
	if claimed.Run != was["waits"][1].ID || i.claim() != (run.Ref{}) {
		f.Fatalf("claimed %+v", claimed)
	}
	f.finish(claimed, run.Passed)
	f.want(claimed.Run, run.Passed, "")
	cut := was["cut"][0]
	f.finish(run.Ref{Run: cut.ID, Attempt: cut.Attempt}, run.Lost)
	if got := f.run(cut.ID); got.Status != run.Lost || got.Attempts[0].Host == "" {
		f.Errorf("what was cut off: %+v", got)
	}
}
