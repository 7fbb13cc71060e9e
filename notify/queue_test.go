package notify

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"lightspeed/run"
)

func openTellings(t *testing.T, dir string, most int) *queue[Telling] {
	t.Helper()
	q, damaged, err := openQueue(dir, most, rankTelling, worthTelling)
	if err != nil || damaged != nil {
		t.Fatal(err, damaged)
	}
	return q
}

// drain takes everything out, as "run state attempt".
func drain(t *testing.T, q *queue[Telling]) (all []string) {
	t.Helper()
	for {
		it, ok, err := q.next()
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			return all
		}
		n := it.Value.Notice
		all = append(all, fmt.Sprintf("%s %s %d", n.Run, n.State, n.Attempt))
		if err := q.done(it); err != nil {
			t.Fatal(err)
		}
	}
}

func put(t *testing.T, q *queue[Telling], n Notice) *item[Telling] {
	t.Helper()
	dropped, err := q.put(n.Run, Telling{Notice: n, Due: true})
	if err != nil {
		t.Fatal(err)
	}
	return dropped
}

func TestQueueKeepsOrderAndTheNewestOfAKey(t *testing.T) {
	dir := t.TempDir()
	q := openTellings(t, dir, 10)
	put(t, q, notice("r1", run.Running))
	put(t, q, notice("r2", run.Running))
	put(t, q, notice("r3", run.Running))
	put(t, q, notice("r1", run.Failed))  // keeps its place
	put(t, q, notice("r1", run.Running)) // older than what waits
	again := notice("r2", run.Running)
	again.Attempt = 2
	put(t, q, notice("r2", run.Lost))
	put(t, q, again)
	want := []string{"r1 failed 1", "r2 running 2", "r3 running 1"}
	if got := drain(t, openTellings(t, dir, 10)); !slices.Equal(got, want) { // from disk, as after kill -9
		t.Errorf("got %q, want %q", got, want)
	}
	if files := listing(t, dir); files != "" {
		t.Errorf("left over: %s", files)
	}
}

func TestQueueOrderOutlivesARestart(t *testing.T) {
	dir := t.TempDir()
	var want []string
	for i := range 30 {
		q := openTellings(t, dir, 100) // a new process each time
		n := notice(fmt.Sprintf("r%02d", 29-i), run.Passed)
		put(t, q, n)
		want = append(want, n.Run+" passed 1")
	}
	if got := drain(t, openTellings(t, dir, 100)); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestQueueKeepsWhatCameWhileTheOlderWasSent(t *testing.T) {
	q := openTellings(t, t.TempDir(), 10)
	put(t, q, notice("r1", run.Running))
	it, _, err := q.next()
	if err != nil {
		t.Fatal(err)
	}
	put(t, q, notice("r1", run.Passed))
	if err := q.done(it); err != nil {
		t.Fatal(err)
	}
	if got := drain(t, q); !slices.Equal(got, []string{"r1 passed 1"}) {
		t.Errorf("got %q", got)
	}
}

func TestFullQueueDropsTheOldestThatMattersLeast(t *testing.T) {
	q := openTellings(t, t.TempDir(), 4)
	for _, n := range []Notice{notice("r1", run.Failed), notice("r2", run.Passed), notice("r3", run.Running), notice("r4", run.Running)} {
		if dropped := put(t, q, n); dropped != nil {
			t.Errorf("%s went, and there was room", dropped.Key)
		}
	}
	for i, want := range []string{"r3", "r4", "r2", "r1"} {
		dropped := put(t, q, notice(fmt.Sprintf("s%d", i), run.Failed))
		if dropped == nil || dropped.Value.Notice.Run != want {
			t.Errorf("dropped %+v, want %s", dropped, want)
		}
	}
	if got := drain(t, q); len(got) != 4 {
		t.Errorf("%q wait, want 4", got)
	}
}

func TestQueueDropsWhatIsDamagedAndSaysSo(t *testing.T) {
	dir := t.TempDir()
	q := openTellings(t, dir, 10)
	for i := range 4 {
		put(t, q, notice(fmt.Sprint("r", i), run.Passed))
	}
	damage := func(id string, text string) {
		if err := os.WriteFile(filepath.Join(dir, fileName(id)), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	damage("r0", "")                         // as after a power loss
	damage("r1", `{"key":"other"}`+"\n{}\n") // another's file
	damage("r3", `{"key":"r3","seq":4}`+"\n{\"notice\"")
	damage("never"+partial, "x")
	if err := os.Rename(filepath.Join(dir, fileName("never"+partial)), filepath.Join(dir, "never"+partial)); err != nil {
		t.Fatal(err)
	}
	q, damaged, err := openQueue(dir, 10, rankTelling, worthTelling)
	if err != nil || damaged == nil {
		t.Fatal(err, damaged)
	}
	for _, want := range []string{fileName("r0") + ": its first line is cut off", fileName("r1") + ": its name is not its key's"} {
		if !strings.Contains(damaged.Error(), want) {
			t.Errorf("%v does not say %q", damaged, want)
		}
	}
	it, ok, err := q.next()
	if err != nil || !ok || it.Key != "r2" {
		t.Fatal(it.Key, ok, err)
	}
	if err := q.done(it); err != nil {
		t.Fatal(err)
	}
	if _, ok, err := q.next(); !ok || err == nil {
		t.Errorf("r3 was read: %v, %v", ok, err)
	}
	if files := listing(t, dir); files != "" {
		t.Errorf("left over: %s", files)
	}
}

func TestQueueKeepsInMemoryWhatCannotBeWritten(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "q")
	q := openTellings(t, dir, 10)
	if err := os.Remove(dir); err != nil { // as a full disk: nothing can be written
		t.Fatal(err)
	}
	if _, err := q.put("r1", Telling{Notice: notice("r1", run.Failed)}); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("got %v", err)
	}
	if got := drain(t, q); !slices.Equal(got, []string{"r1 failed 1"}) {
		t.Errorf("got %q", got)
	}
}

func TestQueuePutsBehindTheOthersWhatFailsOften(t *testing.T) {
	q := openTellings(t, t.TempDir(), 10)
	put(t, q, notice("r1", run.Passed))
	put(t, q, notice("r2", run.Passed))
	it, _, _ := q.next()
	q.failed(it, false)
	if it, _, _ = q.next(); it.Key != "r1" || it.Tries != 1 {
		t.Fatalf("got %s after %d tries", it.Key, it.Tries)
	}
	q.failed(it, true)
	if got := drain(t, q); !slices.Equal(got, []string{"r2 passed 1", "r1 passed 1"}) {
		t.Errorf("got %q", got)
	}
}

func TestRecordsForgetTheOldest(t *testing.T) {
	dir := t.TempDir()
	r, err := openRecords(dir, 3)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"a", "b", "c", "a", "d"} {
		if err := r.save(key, []byte("of "+key)); err != nil {
			t.Fatal(err)
		}
	}
	again, err := openRecords(dir, 3)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []*records{r, again} {
		for key, want := range map[string]string{"a": "of a", "b": "", "c": "of c", "d": "of d"} {
			if text, ok := r.load(key); string(text) != want || ok != (want != "") {
				t.Errorf("%s: got %q (%v), want %q", key, text, ok, want)
			}
		}
	}
	if n := len(strings.Split(listing(t, dir), "\n")); n != 3 {
		t.Errorf("%d files, want 3", n)
	}
}

func TestRecordsRememberWhatCannotBeWritten(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "r")
	r, err := openRecords(dir, 3)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	if err := r.save("a", []byte("x")); err == nil {
		t.Error("no error")
	}
	if text, ok := r.load("a"); !ok || string(text) != "x" {
		t.Errorf("got %q, %v", text, ok)
	}
}

// A pending file never holds more than the queue reads, whatever a run brings.
func TestTheLargestNoticeFits(t *testing.T) {
	n := notice("r1", run.Failed)
	huge := strings.Repeat("\x01\"", 1<<20)
	for _, text := range []*string{
		&n.Reason, &n.Page, &n.Step, &n.Host, &n.RetryOf, &n.Event.Name, &n.Event.Action, &n.Event.Repo, &n.Event.Ref, &n.Event.Branch,
		&n.Event.Base, &n.Event.Tag, &n.Event.SHA, &n.Event.Message, &n.Event.Author, &n.Event.Pusher, &n.Event.URL,
	} {
		*text = huge
	}
	n.Log.Text = []byte(huge)
	n.Memos = map[string]string{"fake": huge, "other": "m"}
	n = n.bounded()
	q := openTellings(t, t.TempDir(), 10)
	put(t, q, n)
	it, _, err := q.next()
	if err != nil {
		t.Fatal(err)
	}
	got := it.Value.Notice
	if len(got.Log.Text) != MaxTail || !got.Log.Cut || got.Memos["fake"] != "" || got.Memos["other"] != "m" || len(got.Reason) != maxText {
		t.Errorf("log of %d (cut %v), memos %v, reason of %d", len(got.Log.Text), got.Log.Cut, got.Memos, len(got.Reason))
	}
	if time.Since(it.Put) > time.Hour {
		t.Errorf("put at %v", it.Put)
	}
}
