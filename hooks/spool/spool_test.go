package spool

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"lightspeed/event"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		os.Exit(putUntilKilled(dir, os.Stdout))
	}
	goleak.VerifyTestMain(m)
}

const room = 1 << 30

func open(t *testing.T, dir string, max int64) *Spool {
	t.Helper()
	s, err := Open(dir, max, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func delivery(id, body string) event.Delivery {
	return event.Delivery{
		ID: id, Event: "push", ContentType: "application/json",
		ReceivedAt: time.Date(2025, 1, 2, 3, 4, 5, 678901234, time.UTC), Body: []byte(body),
	}
}

func put(t *testing.T, s *Spool, ids ...string) {
	t.Helper()
	for _, id := range ids {
		if err := s.Put(delivery(id, `{"id":"`+id+`"}`)); err != nil {
			t.Fatal(err)
		}
	}
}

// take empties the spool as a forwarder does, and returns the ids in the order in which they came.
func take(t *testing.T, s *Spool) (ids []string) {
	t.Helper()
	for e, ok := s.Next(); ok; e, ok = s.Next() {
		d, err := s.Read(e)
		if errors.Is(err, ErrDamaged) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, d.ID)
		if err := s.Done(e); err != nil {
			t.Fatal(err)
		}
	}
	return ids
}

func files(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names
}

func TestADeliveryComesBackAsItWas(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, room)
	want := event.Delivery{
		ID: "72d3162e-cc78-11e3-81ab-4c9367dc0958", Event: "pull_request", ContentType: "application/x-www-form-urlencoded",
		ReceivedAt: time.Now().UTC().Round(0), Body: []byte("payload=\x00\xff\n{\n\n\r\n"),
	}
	if err := s.Put(want); err != nil {
		t.Fatal(err)
	}
	for _, s := range []*Spool{s, open(t, dir, room)} { // as it is, and as it is found after a restart
		e, ok := s.Next()
		if !ok {
			t.Fatal("nothing waits")
		}
		got, err := s.Read(e)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}
}

func TestTheLargestBodyFitsAndNoLarger(t *testing.T) {
	s := open(t, t.TempDir(), room)
	d := delivery("large", strings.Repeat("x", event.MaxPayload))
	if err := s.Put(d); err != nil {
		t.Fatal(err)
	}
	e, _ := s.Next()
	if got, err := s.Read(e); err != nil || !bytes.Equal(got.Body, d.Body) {
		t.Fatalf("the largest body does not come back: %v", err)
	}
	d.Body = append(d.Body, 'x')
	if err := s.Put(d); err == nil {
		t.Error("a body over the limit was taken")
	}
	if err := s.Put(delivery(strings.Repeat("i", maxHeader), "{}")); err == nil {
		t.Error("a header over the limit was taken")
	}
}

func TestOrderHoldsAcrossRestarts(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, room)
	put(t, s, "a", "b", "c")
	e, _ := s.Next()
	if err := s.Done(e); err != nil {
		t.Fatal(err)
	}
	s.Close()
	s = open(t, dir, room)
	put(t, s, "d")
	if got, want := take(t, s), []string{"b", "c", "d"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := files(t, dir); got != nil {
		t.Errorf("left over: %v", got)
	}
}

func TestNumbersGoOnPastWhatWasSetAside(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, room)
	put(t, s, "a", "b")
	e, _ := s.Next()
	path, err := s.Refuse(e)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil || filepath.Dir(path) != filepath.Join(dir, "refused") {
		t.Errorf("refused file is at %s: %v", path, err)
	}
	e, _ = s.Next()
	if err := os.Truncate(s.file(e.Seq), 10); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Read(e); !errors.Is(err, ErrDamaged) {
		t.Fatalf("got %v, want ErrDamaged", err)
	}
	s.Close()

	s = open(t, dir, room)
	put(t, s, "c")
	if e, _ := s.Next(); e.Seq != 3 {
		t.Errorf("the next number is %d, want 3", e.Seq)
	}
	want := Stats{Deliveries: 1, Bytes: block, Refused: 1, Damaged: 1, Oldest: delivery("", "").ReceivedAt}
	if diff := cmp.Diff(want, s.Stats()); diff != "" {
		t.Error(diff)
	}
	if got := take(t, s); !slices.Equal(got, []string{"c"}) {
		t.Errorf("got %v, want only c", got)
	}
}

func TestWhatWasNeverPutInIsRemovedAtOpen(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"7.tmp": "half", "notes": "mine", "12": "short name"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := open(t, dir, room)
	if _, ok := s.Next(); ok || !s.Empty() || s.Stats().Bytes != 0 {
		t.Error("something counts that is no delivery")
	}
	if got, want := files(t, dir), []string{"12", "notes"}; !slices.Equal(got, want) {
		t.Errorf("files are %v, want %v", got, want)
	}
}

func TestDamagedFilesAreSetAsideAndTheNextGoesOn(t *testing.T) {
	for what, damage := range map[string]func(string) error{
		"empty":        func(path string) error { return os.Truncate(path, 0) },
		"header cut":   func(path string) error { return os.Truncate(path, 20) },
		"body cut":     func(path string) error { return os.Truncate(path, size(path)-1) },
		"grown":        func(path string) error { return os.Truncate(path, size(path)+1) },
		"huge":         func(path string) error { return os.Truncate(path, 1<<40) },
		"zeros":        func(path string) error { return errors.Join(os.Truncate(path, 0), os.Truncate(path, 300)) },
		"bit in body":  func(path string) error { return flip(path, size(path)-3) },
		"bit in id":    func(path string) error { return flip(path, 8) },
		"bit in brace": func(path string) error { return flip(path, 0) },
	} {
		t.Run(what, func(t *testing.T) {
			dir, log := t.TempDir(), &bytes.Buffer{}
			s, err := Open(dir, room, slog.New(slog.NewTextHandler(log, nil)))
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			put(t, s, "bad", "good")
			e, _ := s.Next()
			if err := damage(s.file(e.Seq)); err != nil {
				t.Fatal(err)
			}
			if got := take(t, s); !slices.Equal(got, []string{"good"}) {
				t.Errorf("got %v, want good alone", got)
			}
			if got := files(t, filepath.Join(dir, "damaged")); !slices.Equal(got, []string{name(1)}) {
				t.Errorf("damaged/ holds %v", got)
			}
			if strings.Count(log.String(), "\n") != 1 || !strings.Contains(log.String(), "is damaged") {
				t.Errorf("log is not one line that says so: %s", log)
			}
			if !s.Empty() || s.Stats().Bytes != 0 || s.Stats().Damaged != 1 {
				t.Errorf("it still counts: %+v", s.Stats())
			}
		})
	}
}

func size(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Size()
}

func flip(path string, at int64) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	data[at] ^= 1
	return os.WriteFile(path, data, 0o600)
}

func TestAFileThatIsGoneDoesNotStopTheNext(t *testing.T) {
	s := open(t, t.TempDir(), room)
	put(t, s, "gone", "there")
	if err := os.Remove(s.file(1)); err != nil {
		t.Fatal(err)
	}
	if got := take(t, s); !slices.Equal(got, []string{"there"}) || s.Stats().Damaged != 0 {
		t.Errorf("got %v and %+v, want there alone", got, s.Stats())
	}
}

func TestFull(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, 3*block)
	put(t, s, "a", "b")
	if err := s.Put(delivery("two blocks", strings.Repeat("x", block))); !errors.Is(err, ErrFull) {
		t.Errorf("got %v, want ErrFull", err)
	}
	put(t, s, "c")
	const want = "spool delivery d: spool is full: 12288 of 12288 bytes are taken"
	if err := s.Put(delivery("d", "{}")); !errors.Is(err, ErrFull) || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if err := s.Check(); !errors.Is(err, ErrFull) {
		t.Errorf("Check says %v, want ErrFull", err)
	}
	if got := len(files(t, dir)); got != 3 {
		t.Errorf("%d files, want 3", got)
	}
	s.Close()
	s = open(t, dir, 3*block) // what waits counts after a restart too
	if err := s.Put(delivery("d", "{}")); !errors.Is(err, ErrFull) {
		t.Errorf("got %v, want ErrFull", err)
	}
	if got := take(t, s); !slices.Equal(got, []string{"a", "b", "c"}) {
		t.Errorf("got %v", got)
	}
	put(t, s, "d")
}

func TestConcurrentPutsShareTheFoldersFsync(t *testing.T) {
	const putters = 16
	dir := t.TempDir()
	s := open(t, dir, room)
	var fsyncs atomic.Int64
	held := make(chan struct{})
	s.folder.fsync = func() error {
		if fsyncs.Add(1) == 1 {
			<-held // until all others have their names, and wait for the next
		}
		return s.folder.dir.Sync()
	}
	var all sync.WaitGroup
	for i := range putters {
		all.Go(func() { put(t, s, fmt.Sprint(i)) })
	}
	for named := uint64(0); named < putters; {
		s.naming.Lock()
		named = s.seq
		s.naming.Unlock()
	}
	close(held)
	all.Wait()
	// The first cannot serve those who came during it; a few may come too late for the second, too.
	if n := fsyncs.Load(); n < 2 || n >= putters/2 {
		t.Errorf("%d fsyncs for %d puts, want a second one that is shared", n, putters)
	}
	got := take(t, s)
	slices.Sort(got)
	if got = slices.Compact(got); len(got) != putters {
		t.Errorf("%d deliveries, want %d", len(got), putters)
	}
}

func TestAFailedFsyncIsNoPut(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, room)
	broken := errors.New("input/output error")
	s.folder.fsync = func() error { return broken }
	if err := s.Put(delivery("a", "{}")); !errors.Is(err, broken) {
		t.Errorf("got %v, want the disk's error", err)
	}
	s.folder.fsync = s.folder.dir.Sync
	if !s.Empty() || s.Stats() != (Stats{}) || files(t, dir) != nil {
		t.Errorf("it counts: %+v, files %v", s.Stats(), files(t, dir))
	}
	put(t, s, "b")
	if got := take(t, s); !slices.Equal(got, []string{"b"}) {
		t.Errorf("got %v, want b", got)
	}
}

func TestPutWakesAndEmptyTells(t *testing.T) {
	s := open(t, t.TempDir(), room)
	if !s.Empty() {
		t.Error("a new spool is not empty")
	}
	put(t, s, "a", "b")
	select {
	case <-s.Added():
	default:
		t.Error("Put woke nobody")
	}
	if s.Empty() {
		t.Error("two wait, and it says empty")
	}
	e, _ := s.Next()
	for range 2 { // twice must count once
		if err := s.Done(e); err != nil {
			t.Error(err)
		}
	}
	if stats := s.Stats(); s.Empty() || stats.Deliveries != 1 || stats.Bytes != block {
		t.Errorf("one waits, and it holds %+v", stats)
	}
	take(t, s)
	if !s.Empty() || s.Stats() != (Stats{}) {
		t.Errorf("nothing waits, and it holds %+v", s.Stats())
	}
}

func TestCloseWaitsForPutsAndLetsNoMoreIn(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s := open(t, dir, room)
		held := make(chan struct{})
		s.folder.fsync = func() error { <-held; return s.folder.dir.Sync() }
		var under, closing sync.WaitGroup
		under.Go(func() { put(t, s, "a") })
		synctest.Wait() // it is in the fsync now
		var closed atomic.Bool
		closing.Go(func() {
			if err := errors.Join(s.Close(), s.Close()); err != nil {
				t.Error(err)
			}
			closed.Store(true)
		})
		synctest.Wait()
		if closed.Load() {
			t.Error("Close did not wait for the Put")
		}
		if err := s.Put(delivery("late", "{}")); !errors.Is(err, ErrClosed) {
			t.Errorf("got %v, want ErrClosed", err)
		}
		close(held)
		under.Wait()
		closing.Wait()
	})
	if got := files(t, dir); !slices.Equal(got, []string{name(1)}) {
		t.Errorf("files are %v, want the one that was put", got)
	}
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	want := "open spool: open " + file + ": not a directory"
	if _, err := Open(file, room, nil); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	deep := filepath.Join(t.TempDir(), "a", "b")
	open(t, deep, room)
	if info, err := os.Stat(deep); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the folder's mode is %v (%v), want 0700", info.Mode(), err)
	}
}

func FuzzSpoolFile(f *testing.F) {
	for _, d := range []event.Delivery{delivery("a", "{}"), delivery("", ""), delivery("b\n\"", "\n\n{}\x00")} {
		head, err := encodeHeader(d)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(append(head, d.Body...))
		f.Add(append(head, "other"...))
		f.Add(head[:len(head)-1])
	}
	f.Add([]byte("null\n"))
	f.Add([]byte(`{"length":-1}` + "\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		d, err := decode(data)
		if err != nil {
			return
		}
		head, err := encodeHeader(d)
		if err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		again, err := decode(append(head, d.Body...))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(d, again); diff != "" {
			t.Error(diff)
		}
	})
}
