package journal

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lightspeed/logtime"
)

// told is records in a few words each: offset, milliseconds after a time, step.
func told(records []logtime.Record, since time.Time) string {
	var list []string
	for _, r := range records {
		list = append(list, fmt.Sprintf("%d +%dms %d", r.Offset, r.At.Sub(since.Truncate(time.Millisecond)).Milliseconds(), r.Step))
	}
	return strings.Join(list, ", ")
}

// TestTimes: what comes close together has one record; a step has one of its own from its first byte on, also when that
// comes amid a write.
func TestTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, _ := emptyLog(t, 1000)
		began := time.Now()
		print := func(after time.Duration, text string) {
			time.Sleep(after)
			_, _ = l.Write([]byte(text))
		}
		print(0, "zero\n") // 5 bytes
		l.Mark(5, 1)
		print(0, "one\n")              // 9
		print(60*time.Millisecond, "") // nothing comes
		print(30*time.Millisecond, "two\n")
		print(30*time.Millisecond, "three\n") // 19
		l.Mark(25, 0)                         // 6 bytes of step 1 are held back
		l.Mark(25, 2)
		print(10*time.Millisecond, "masked") // 25
		print(0, "four")                     // 29
		l.Mark(31, 3)
		print(10*time.Millisecond, "54321\n")
		print(time.Hour, "late\n")
		want := "0 +0ms 0, 5 +0ms 1, 13 +120ms 1, 25 +130ms 2, 31 +140ms 3, 35 +3600140ms 3"
		size, _ := l.Size()
		list, until := l.Times(0, size, 100)
		if got := told(list, began); got != want || until != size {
			t.Errorf("got %s until %d, want %s", got, until, want)
		}
		list, until = l.Times(6, size, 2)
		if got := told(list, began); got != "6 +0ms 1, 13 +120ms 1" || until != 25 {
			t.Errorf("got %s until %d", got, until)
		}
	})
}

// TestTimesOfACutLog: every line that is kept has the time at which it was printed, also after a crash, and what
// announces the cut that of the first line left out.
func TestTimesOfACutLog(t *testing.T) {
	for _, max := range []int64{50, 101, 1000, 100_000} {
		synctest.Test(t, func(t *testing.T) {
			l, dir := emptyLog(t, max)
			began := time.Now()
			for i := range 100 {
				l.Mark(l.Position(), i+1)
				_, _ = fmt.Fprintf(l, "%08d\n", i)
				time.Sleep(time.Second)
			}
			crashed, err := openLog(dir, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			defer crashed.Discard()
			for _, one := range []*Log{l, crashed} {
				one.Close()
				checkTimes(t, one, began)
			}
		})
	}
}

// checkTimes reads the time of each line, alone and among all others, which are read in parts.
func checkTimes(t *testing.T, l *Log, began time.Time) {
	t.Helper()
	printed := text(t, l)
	size := int64(len(printed))
	if list, until := l.Times(0, size, 1000); until != size || len(list) == 0 {
		t.Errorf("%d records until %d of %d", len(list), until, size)
	}
	var all []logtime.Record
	for from := int64(0); from < size; {
		list, until := l.Times(from, size, 7)
		if until <= from || len(list) > 7 {
			t.Fatalf("%d records from %d until %d", len(list), from, until)
		}
		all, from = append(all, list...), until
	}
	among := logtime.Cursor{Load: func(int64) ([]logtime.Record, int64, error) { return all, size, nil }}
	var offset int64
	cut := int64(-1)
	for line := range strings.Lines(printed) {
		var n int
		if _, err := fmt.Sscanf(line, "%08d\n", &n); err != nil || len(line) != 9 {
			n = -1
		}
		if strings.HasPrefix(line, "lightspeed: ") {
			n, cut = int(l.headLen/9), offset
		}
		end := offset + int64(len(line))
		alone, until := l.Times(offset, end, 9)
		same, known, _ := among.At(end - 1)
		if len(alone) == 0 || until != end || !known {
			t.Fatalf("%q: %d records until %d", line, len(alone), until)
		}
		last := alone[len(alone)-1]
		wrong := slices.ContainsFunc(alone, func(r logtime.Record) bool {
			return !r.At.Equal(began.Add(time.Duration(n)*time.Second)) || r.Step != n+1
		})
		if n >= 0 && wrong || !same.At.Equal(last.At) || same.Step != last.Step {
			t.Errorf("%q: %s, among all %s", line, told(alone, began), told([]logtime.Record{same}, began))
		}
		offset += int64(len(line))
	}
	if (cut >= 0) != l.Cut() {
		t.Errorf("the cut is announced at %d", cut)
	}
}

// TestTimesAfterAKill: what was noted of output that was never written is forgotten, and the lines that say how it
// ended have a time of their own, and no step.
func TestTimesAfterAKill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, dir := emptyLog(t, 1000)
		began := time.Now()
		l.Mark(0, 1)
		_, _ = l.Write([]byte("one\n"))
		l.times.note(4, 10, began.Add(time.Second))
		if err := os.WriteFile(filepath.Join(dir, logFile), []byte("one\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		l, err := openLog(dir, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		defer l.Discard()
		_, _ = l.Write([]byte("lightspeed: ended\n"))
		list, _ := l.Times(0, 100, 10)
		if got := told(list, began); got != "0 +0ms 1, 4 +60000ms 0" {
			t.Errorf("got %s", got)
		}
	})
}

// TestTimesOfWhatFailed: bytes that could not be written have no time, and those that come in their place have theirs.
// Where times cannot be written, the output is.
func TestTimesOfWhatFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, _ := emptyLog(t, 1000)
		began := time.Now()
		_, _ = l.Write([]byte("one\n"))
		good := l.head
		bad, err := os.Open(os.DevNull)
		if err != nil {
			t.Fatal(err)
		}
		defer bad.Close()
		time.Sleep(time.Second)
		l.head = bad
		_, _ = l.Write([]byte("missing\n"))
		l.head = good
		time.Sleep(5 * time.Second)
		_, _ = l.Write([]byte("two\n"))
		size, _ := l.Size()
		list, _ := l.Times(0, size, 10)
		if got := told(list, began); got != "0 +0ms 0, 4 +6000ms 0" {
			t.Errorf("got %s", got)
		}
	})
	l, _ := emptyLog(t, 1000)
	l.times.path = filepath.Join(t.TempDir(), "none", "times")
	_, _ = l.Write([]byte("one\n"))
	l.times.path = filepath.Join(t.TempDir(), "times")
	_, _ = l.Write([]byte("two\n"))
	list, until := l.Times(0, 8, 10)
	if text(t, l) != "one\ntwo\n" || len(list) != 1 || list[0].Offset != 4 || until != 8 {
		t.Errorf("log %q, times %+v until %d", text(t, l), list, until)
	}
}

// TestTimesAreBounded: of a week of output that never pauses there are some ten thousands.
func TestTimesAreBounded(t *testing.T) {
	began := time.Now()
	tl := timeline{began: began}
	records := 0
	for now := began; now.Sub(began) < 7*24*time.Hour; now = now.Add(tl.period(now)) {
		records++
	}
	if records < 70_000 || records > 80_000 {
		t.Errorf("%d records", records)
	}
}
