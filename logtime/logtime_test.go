package logtime

import (
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var noon = time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)

// at is a record of an offset, so many milliseconds after noon.
func at(offset int64, milli int, step int) Record {
	return Record{offset, noon.Add(time.Duration(milli) * time.Millisecond), step}
}

func create(t *testing.T) (*File, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "times")
	return reopen(t, path, Create), path
}

func reopen(t *testing.T, path string, open func(string) (*File, error)) *File {
	t.Helper()
	f, err := open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func (f *File) mustAdd(t *testing.T, end int64, records ...Record) {
	t.Helper()
	if err := f.Add(end, records...); err != nil {
		t.Fatal(err)
	}
}

// wants compares all records of a file.
func (f *File) wants(t *testing.T, want ...Record) {
	t.Helper()
	got, until, err := f.Between(0, math.MaxInt64, 1000)
	if diff := cmp.Diff(want, got); diff != "" || until != math.MaxInt64 || err != nil {
		t.Errorf("until %d, %v\n%s", until, err, diff)
	}
}

// TestAdd: only what says something new is kept, of bytes that are there or come now.
func TestAdd(t *testing.T) {
	f, path := create(t)
	f.mustAdd(t, 0, at(0, 0, 0))
	f.mustAdd(t, 10, at(3, 0, 0), at(12, 0, 0)) // nothing new
	f.wants(t, at(0, 0, 0))
	f.mustAdd(t, 10, at(2, 5, 1), at(4, 7, 1), at(15, 7, 2)) // of what began before 10 the last, for 10
	f.wants(t, at(0, 0, 0), at(10, 7, 1), at(15, 7, 2))
	f.mustAdd(t, 15, at(15, 9, 2)) // what was to come at 15 did not
	f.wants(t, at(0, 0, 0), at(10, 7, 1), at(15, 9, 2))
	f.mustAdd(t, 10)
	f.wants(t, at(0, 0, 0))
	f.mustAdd(t, 0, Record{0, noon.Add(1500 * time.Microsecond).Local(), 3})
	f.wants(t, at(0, 1, 3))
	if _, err := Open(path + ".none"); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if _, err := Edit(path + ".none"); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

// TestTorn: of a record that a crash has cut, and of zeros that a power cut has left, nothing is seen, and what is
// added stands where they stood.
func TestTorn(t *testing.T) {
	for name, rubbish := range map[string]string{"cut": "123456789", "zeros": strings.Repeat("\x00", 5*size+1)} {
		t.Run(name, func(t *testing.T) {
			f, path := create(t)
			f.mustAdd(t, 0, at(0, 0, 1), at(8, 1, 1))
			whole, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, append(whole, rubbish...), 0o600); err != nil {
				t.Fatal(err)
			}
			reopen(t, path, Open).wants(t, at(0, 0, 1), at(8, 1, 1))
			f = reopen(t, path, Edit)
			f.mustAdd(t, 20, at(20, 2, 1))
			f.wants(t, at(0, 0, 1), at(8, 1, 1), at(20, 2, 1))
			reopen(t, path, Open).wants(t, at(0, 0, 1), at(8, 1, 1), at(20, 2, 1))
			if info, err := os.Stat(path); err != nil || info.Size() != 3*size {
				t.Errorf("%d bytes, %v", info.Size(), err)
			}
		})
	}
}

func TestBetween(t *testing.T) {
	f, _ := create(t)
	if list, until, err := f.Between(0, 5, 10); list != nil || until != 5 || err != nil {
		t.Errorf("of an empty file: %v %d %v", list, until, err)
	}
	f.mustAdd(t, 0, at(2, 0, 0), at(5, 1, 1), at(9, 2, 1))
	for _, c := range []struct {
		from, to int64
		most     int
		want     []Record
		until    int64
	}{
		{0, 2, 10, nil, 2},
		{0, 3, 10, []Record{at(2, 0, 0)}, 3},
		{2, 5, 10, []Record{at(2, 0, 0)}, 5},
		{4, 6, 10, []Record{at(4, 0, 0), at(5, 1, 1)}, 6},
		{0, 100, 2, []Record{at(2, 0, 0), at(5, 1, 1)}, 9},
		{9, 100, 1, []Record{at(9, 2, 1)}, 100},
		{50, 100, 1, []Record{at(50, 2, 1)}, 100},
		{7, 7, 1, nil, 7},
	} {
		list, until, err := f.Between(c.from, c.to, c.most)
		if diff := cmp.Diff(c.want, list); diff != "" || until != c.until || err != nil {
			t.Errorf("%+v: until %d, %v\n%s", c, until, err, diff)
		}
	}
}

// TestCursor reads a file of many pages one byte after the other.
func TestCursor(t *testing.T) {
	f, _ := create(t)
	for i := range int64(500) {
		f.mustAdd(t, 3+2*i, at(3+2*i, int(i), int(i%3)))
	}
	loads := 0
	c := Cursor{Load: func(from int64) ([]Record, int64, error) {
		loads++
		return f.Between(from, 2000, 100)
	}}
	for offset := range int64(1500) {
		r, known, err := c.At(offset)
		if err != nil || known != (offset >= 3) || known && !r.says(at(0, int(min((offset-3)/2, 499)), int(min((offset-3)/2, 499)%3))) {
			t.Fatalf("%d: %+v %v %v", offset, r, known, err)
		}
	}
	if loads != 5 {
		t.Errorf("loaded %d pages", loads)
	}
	c = Cursor{Load: func(int64) ([]Record, int64, error) { return nil, 0, fs.ErrClosed }}
	if _, _, err := c.At(0); !errors.Is(err, fs.ErrClosed) {
		t.Error(err)
	}
}

func TestText(t *testing.T) {
	records := []Record{at(1000, 0, 0), at(1001, 5, 1), at(1500, -20, 12)}
	text := Format(records)
	if text != "1000.1769860800000.0 1.5.1 499.-25.12" {
		t.Errorf("got %q", text)
	}
	got, err := Parse(text, 1000, 1501)
	if diff := cmp.Diff(records, got); diff != "" || err != nil {
		t.Error(err, diff)
	}
	var many []Record
	for i := range int64(MaxTogether) {
		many = append(many, Record{1<<40 + i*1<<13, noon.Add(time.Duration(i) * 1000 * time.Hour), 9999})
	}
	if text := Format(many); len(text) > MaxText {
		t.Errorf("%d bytes", len(text))
	}
	for text, want := range map[string]string{
		"1001.5":                   `"1001.5" is not offset.milliseconds.step`,
		"1001.5.x":                 `"1001.5.x" is not offset.milliseconds.step`,
		"99999999999999999999.5.1": `"99999999999999999999.5.1" is not offset.milliseconds.step`,
		"999.5.1":                  "record 1 is of offset 999, in a piece from 1000 to 1501",
		"1501.5.1":                 "record 1 is of offset 1501, in a piece from 1000 to 1501",
		"1001.5.1 0.5.1":           "record 2 is of offset 1001, in a piece from 1000 to 1501",
		"1001.0.1":                 "record 1 is of a time that is none: 0 ms",
		"1001.9999999999999.1":     "record 1 is of a time that is none: 9999999999999 ms",
		"1001.5.-1":                "record 1 is of step -1",
		"1001.5.1" + strings.Repeat(" 1.1.1", 128):     "129 records, the most is 128",
		"1001.5.1" + strings.Repeat(" ", MaxText) + "": "4104 bytes, the most is 4096",
	} {
		if list, err := Parse(text, 1000, 1501); list != nil || err == nil || err.Error() != want {
			t.Errorf("%.40q: %v, %v, want %s", text, list, err, want)
		}
	}
}

// FuzzParse: whatever comes, what is taken can be kept and read back.
func FuzzParse(f *testing.F) {
	f.Add("1000.1769860800000.0 1.5.1 499.-25.12")
	f.Fuzz(func(t *testing.T, text string) {
		list, err := Parse(text, 1000, 1501)
		if err != nil {
			return
		}
		again, err := Parse(Format(list), 1000, 1501)
		if diff := cmp.Diff(list, again); diff != "" || err != nil {
			t.Error(err, diff)
		}
	})
}
