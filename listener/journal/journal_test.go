package journal

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lightspeed/api"
	"lightspeed/run"
)

// notes are the lines that a journal logged.
type notes struct{ bytes.Buffer }

func (n *notes) logger() *slog.Logger { return slog.New(slog.NewTextHandler(&n.Buffer, nil)) }

func (n *notes) lines() []string {
	text := strings.TrimSpace(n.String())
	if text == "" {
		return nil
	}
	return strings.Split(text, "\n")
}

func open(t *testing.T, state string) (*Journal, *notes) {
	t.Helper()
	said := &notes{}
	j, err := Open(state, said.logger())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() })
	return j, said
}

func reopen(t *testing.T, j *Journal, state string) (*Journal, *notes) {
	t.Helper()
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	return open(t, state)
}

func claim(id string, attempt int) api.Claim {
	return api.Claim{Run: run.Run{ID: id, Listener: "l"}, Attempt: attempt, Payload: []byte(`{"a":1}`),
		Delivery: api.DeliveryHead{ID: "d", Event: "push", ContentType: "application/json"}}
}

func begin(t *testing.T, j *Journal, id string) *Entry {
	t.Helper()
	e, err := j.Begin(claim(id, 1), []byte("a.go\n"), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func text(t *testing.T, l *Log) string {
	t.Helper()
	size, _ := l.Size()
	var all []byte
	buf := make([]byte, 70_001) // odd, so that reads straddle the parts
	for int64(len(all)) < size {
		n, err := l.ReadAt(buf, int64(len(all)))
		if err != nil {
			t.Fatalf("at %d of %d: %v", len(all), size, err)
		}
		all = append(all, buf[:n]...)
	}
	if n, err := l.ReadAt(buf, size); n != 0 || err == nil {
		t.Errorf("read %d bytes past the end", n)
	}
	return string(all)
}

func TestWhatIsHeldComesBack(t *testing.T) {
	state := filepath.Join(t.TempDir(), "deep", "state")
	j, _ := open(t, state)
	cut, done, removed := begin(t, j, "cut"), begin(t, j, "done"), begin(t, j, "removed")
	if err := cut.SetStarted(Process{PID: 7, Start: 8}, nil); err != nil {
		t.Fatal(err)
	}
	_, _ = cut.Log.Write([]byte("half a li"))
	code := 3
	want := api.Finish{Status: run.Failed, Reason: "r", ExitCode: &code, LogBytes: 5}
	if err := done.SetResult(want); err != nil {
		t.Fatal(err)
	}
	j.Remove(removed)
	refs := []run.Ref{{Run: "cut", Attempt: 1}, {Run: "done", Attempt: 1}}
	if diff := cmp.Diff(refs, j.Holds()); diff != "" {
		t.Error(diff)
	}
	instance := j.Instance()

	j, said := reopen(t, j, state)
	if diff := cmp.Diff(refs, j.Holds()); diff != "" || j.Instance() != instance {
		t.Error(diff, j.Instance(), instance)
	}
	held := j.Held()
	if held[0].Result() != nil || held[0].Process() != (Process{7, 8}) {
		t.Errorf("cut: %+v", held[0])
	}
	if got := text(t, held[0].Log); got != "half a li" {
		t.Errorf("log: %q", got)
	}
	if diff := cmp.Diff(&want, held[1].Result()); diff != "" {
		t.Error(diff)
	}
	payload, _ := os.ReadFile(held[0].PayloadFile())
	files, _ := os.ReadFile(held[0].FilesFile())
	if string(payload) != `{"a":1}` || string(files) != "a.go\n" {
		t.Errorf("payload %q, files %q", payload, files)
	}
	if said.lines() != nil {
		t.Error(said)
	}
}

// The longest list that an attempt can keep outlives a kill as any other does.
func TestLongestListOfArtifactsComesBack(t *testing.T) {
	state := t.TempDir()
	j, _ := open(t, state)
	e := begin(t, j, "r1")
	list := keepsMost(t, e)
	j, said := reopen(t, j, state)
	if got := j.Held()[0].Artifacts(); len(got) != len(list) {
		t.Errorf("%d of %d came back: %v", len(got), len(list), said.lines())
	}
}

// keepsMost has an attempt keep as much as it may, by names as long as they may be.
func keepsMost(t *testing.T, e *Entry) []api.Artifact {
	t.Helper()
	list := make([]api.Artifact, api.MaxArtifactCount)
	for i := range list {
		list[i] = api.Artifact{Path: fmt.Sprintf("%0950d<>", i), Bytes: 1, SHA256: strings.Repeat("a", 64), Attempt: 1}
	}
	if err := e.SetArtifacts(list); err != nil {
		t.Fatal(err)
	}
	return list
}

// TestManyArtifactsAreHandedIn: to note each that admin has takes its name, and not the whole list, or the records of many
// would be longer than what is read of them.
func TestManyArtifactsAreHandedIn(t *testing.T) {
	state := t.TempDir()
	j, _ := open(t, state)
	e := begin(t, j, "r1")
	list := keepsMost(t, e)
	for _, one := range list[1:] {
		if err := e.HandedIn(one.Path); err != nil {
			t.Fatal(err)
		}
	}
	if info, err := os.Stat(e.file(recordsFile)); err != nil || info.Size() > maxRecords/8 {
		t.Errorf("records are %v, %v", info, err)
	}
	j, said := reopen(t, j, state)
	if got := j.Held()[0]; !got.Collected() || len(got.Artifacts()) != 1 || got.Artifacts()[0] != list[0] {
		t.Errorf("%d came back: %v", len(got.Artifacts()), said.lines())
	}
}

func TestNobodyElseReadsTheState(t *testing.T) {
	state := t.TempDir()
	j, _ := open(t, state)
	e := begin(t, j, "a")
	_ = e.SetStarted(Process{}, nil)
	_ = e.SetResult(api.Finish{})
	err := filepath.WalkDir(filepath.Join(state, "attempts"), func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %v", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestSecondProcessIsRefused(t *testing.T) {
	state := t.TempDir()
	open(t, state)
	_, err := Open(state, slog.New(slog.DiscardHandler))
	want := "state folder " + state + " is in use by another lightspeed (pid "
	if err == nil || !strings.HasPrefix(err.Error(), want) || strings.HasSuffix(err.Error(), "(pid )") {
		t.Errorf("got %v", err)
	}
}

func TestFolderThatCannotBeMade(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(filepath.Join(file, "state"), slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "state folder") {
		t.Errorf("got %v", err)
	}
}

func TestAnotherBootIsANewInstance(t *testing.T) {
	state := t.TempDir()
	j, _ := open(t, state)
	first := j.Instance()
	e := begin(t, j, "a")
	_ = e.SetStarted(Process{PID: os.Getpid(), Start: 1}, nil)
	_ = j.Close()
	if err := writeJSON(filepath.Join(state, "instance.json"), identity{first, "another boot"}); err != nil {
		t.Fatal(err)
	}
	j, said := open(t, state)
	if j.Instance() == first {
		t.Error("instance was kept over a boot")
	}
	if len(j.Holds()) != 0 || len(j.Held()) != 1 {
		t.Errorf("holds %v, has %d", j.Holds(), len(j.Held()))
	}
	if p := j.Held()[0].Process(); p != (Process{}) {
		t.Errorf("a pid of an earlier boot: %+v", p)
	}
	if said.lines() != nil {
		t.Error(said)
	}
}

// Whatever damages an attempt's files: one line says so, nothing is lost that can be kept, and what has started is held.
func TestTornEntries(t *testing.T) {
	for _, c := range []struct {
		name, file string
		damage     func(text string) string
		says       string
	}{
		{"empty records", recordsFile, func(string) string { return "" }, "its run counts as cut off"},
		{"cut claim", recordsFile, func(text string) string { return text[:10] }, "its run counts as cut off"},
		{"overwritten record", recordsFile, func(text string) string { return text + "\x00\x00\x00\n" }, "a line of it cannot be read"},
		{"tail", tailFile, func(string) string { return "short" }, "its first part is kept"},
	} {
		t.Run(c.name, func(t *testing.T) {
			state := t.TempDir()
			j, _ := open(t, state)
			e := begin(t, j, "a")
			_, _ = e.Log.Write([]byte("output"))
			text, _ := os.ReadFile(e.file(c.file))
			if err := os.WriteFile(e.file(c.file), []byte(c.damage(string(text))), 0o600); err != nil {
				t.Fatal(err)
			}
			j, said := reopen(t, j, state)
			if len(said.lines()) != 1 || !strings.Contains(said.String(), c.says) {
				t.Errorf("said %q", said.lines())
			}
			if len(j.Holds()) != 1 || j.Held()[0].Result() != nil {
				t.Fatalf("holds %v", j.Holds())
			}
			wantOutput(t, j.Held()[0], "output")
			if err := j.Held()[0].SetResult(api.Finish{Status: run.Lost}); err != nil {
				t.Fatal(err)
			}
			if j, _ = reopen(t, j, state); j.Held()[0].Result() == nil {
				t.Error("the result of a damaged entry did not come back")
			}
		})
	}
}

func wantOutput(t *testing.T, e *Entry, want string) {
	t.Helper()
	if got := text(t, e.Log); got != want {
		t.Errorf("log: %q, want %q", got, want)
	}
}

// Killed anywhere while it writes a record, an attempt is what it was before that record. Without a whole one it has never
// started.
func TestRecordsCutAnywhere(t *testing.T) {
	state := t.TempDir()
	j, _ := open(t, state)
	e := begin(t, j, "a")
	instance := j.Instance()
	_ = e.SetStarted(Process{PID: 7, Start: 8}, nil)
	_ = e.SetResult(api.Finish{Status: run.Passed})
	file, dir := e.file(recordsFile), e.dir
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for cut := 0; cut < len(whole); cut += 7 {
		if err := errors.Join(j.Close(), os.MkdirAll(dir, 0o700), os.WriteFile(file, whole[:cut], 0o600)); err != nil {
			t.Fatal(err)
		}
		var said *notes
		j, said = open(t, state)
		lines := bytes.Count(whole[:cut], []byte("\n"))
		if len(j.Held()) != min(lines, 1) || j.Instance() != instance || said.lines() != nil {
			t.Fatalf("cut at %d: %d are held, said %q", cut, len(j.Held()), said.lines())
		}
		if lines == 0 {
			if _, err := os.Stat(dir); !os.IsNotExist(err) {
				t.Fatalf("cut at %d: the folder is still there", cut)
			}
			continue
		}
		e := j.Held()[0]
		if p := e.Process(); (p.PID == 7) != (lines > 1) || e.Result() != nil || e.Claim().Attempt != 1 {
			t.Fatalf("cut at %d: %+v", cut, e)
		}
	}
}

// A record that could not be written, or not whole, is none, and the next one takes its place.
func TestRecordThatCannotBeWritten(t *testing.T) {
	state := t.TempDir()
	j, _ := open(t, state)
	e := begin(t, j, "a")
	writes := e.records.file
	e.records.file, _ = os.Open(e.file(recordsFile)) // only to be read
	if err := e.SetStarted(Process{PID: 7}, nil); err == nil {
		t.Error("written to a file that is open to be read")
	}
	_ = e.records.file.Close()
	e.records.file = writes
	if _, err := writes.WriteAt([]byte(strings.Repeat("x", 1000)), e.records.size); err != nil { // as far as the disk had room
		t.Fatal(err)
	}
	if err := e.SetResult(api.Finish{Status: run.Passed}); err != nil {
		t.Fatal(err)
	}
	j, said := reopen(t, j, state)
	if r := j.Held()[0].Result(); r == nil || r.Status != run.Passed || said.lines() != nil {
		t.Errorf("result %+v, said %q", r, said.lines())
	}
}

func TestUnreadableEntryIsHeldAndStays(t *testing.T) {
	for name, spoil := range map[string]func(e *Entry) error{
		"log is a folder":   func(e *Entry) error { return os.Mkdir(e.file(logFile), 0o700) },
		"records too large": func(e *Entry) error { return os.Truncate(e.file(recordsFile), maxRecords+1) },
	} {
		t.Run(name, func(t *testing.T) {
			state := t.TempDir()
			j, _ := open(t, state)
			e := begin(t, j, "a")
			if err := spoil(e); err != nil {
				t.Fatal(err)
			}
			j, said := reopen(t, j, state)
			if len(said.lines()) != 1 || len(j.Holds()) != 1 || len(j.Held()) != 0 {
				t.Errorf("said %q, holds %v, has %d", said.lines(), j.Holds(), len(j.Held()))
			}
			if _, err := os.Stat(e.file(recordsFile)); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestWhatNeverStartedIsCleared(t *testing.T) {
	state := t.TempDir()
	j, _ := open(t, state)
	e := begin(t, j, "a")
	if err := os.Remove(e.file(recordsFile)); err != nil {
		t.Fatal(err)
	}
	j, said := reopen(t, j, state)
	if len(j.Holds()) != 0 || said.lines() != nil {
		t.Errorf("holds %v, said %q", j.Holds(), said.lines())
	}
	if _, err := os.Stat(e.dir); !os.IsNotExist(err) {
		t.Error("folder is still there")
	}
}

func TestForeignFoldersAreLeftAlone(t *testing.T) {
	state := t.TempDir()
	if err := os.MkdirAll(filepath.Join(state, "attempts", "lost+found"), 0o700); err != nil {
		t.Fatal(err)
	}
	j, said := open(t, state)
	if len(j.Holds()) != 0 || len(said.lines()) != 1 {
		t.Errorf("holds %v, said %q", j.Holds(), said.lines())
	}
	if _, err := os.Stat(filepath.Join(state, "attempts", "lost+found")); err != nil {
		t.Error(err)
	}
}

// TestRunIDsNameFoldersHere holds promise 5: an id is data, whatever it holds.
func TestRunIDsNameFoldersHere(t *testing.T) {
	state := t.TempDir()
	j, _ := open(t, state)
	ids := []string{"../../evil", "a/b", ".", "..", "a.2", "%2e", "ü\n"}
	for _, id := range ids {
		begin(t, j, id)
	}
	found, err := os.ReadDir(filepath.Join(state, "attempts"))
	if err != nil || len(found) != len(ids) {
		t.Fatalf("%d folders, %v", len(found), err)
	}
	j, said := reopen(t, j, state)
	if len(j.Holds()) != len(ids) || said.lines() != nil {
		t.Errorf("holds %v, said %q", j.Holds(), said.lines())
	}
}

func TestSameAttemptIsNotBegunTwice(t *testing.T) {
	j, _ := open(t, t.TempDir())
	begin(t, j, "a")
	if _, err := j.Begin(claim("a", 1), nil, 10); err == nil {
		t.Error("begun twice")
	}
	if len(j.Holds()) != 1 {
		t.Error("not held any more")
	}
}

func TestTornIdentityIsANewInstance(t *testing.T) {
	state := t.TempDir()
	j, _ := open(t, state)
	first := j.Instance()
	if err := os.WriteFile(filepath.Join(state, "instance.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	j, said := reopen(t, j, state)
	if j.Instance() == first || len(said.lines()) != 1 {
		t.Errorf("instance %q, said %q", j.Instance(), said.lines())
	}
}

func TestClaimKeepsNoPayload(t *testing.T) {
	j, _ := open(t, t.TempDir())
	e := begin(t, j, "a")
	var what record
	data, _ := os.ReadFile(e.file(recordsFile))
	if err := json.Unmarshal(data, &what); err != nil || what.Claimed.Claim.Payload != nil || what.Claimed.Instance != j.Instance() {
		t.Errorf("%v %s", err, data)
	}
}
