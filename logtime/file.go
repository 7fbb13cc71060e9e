package logtime

import (
	"os"
	"slices"
	"sort"
	"time"
)

// File is a file of records. One goroutine may add to it while others read copies of it, which see the records that
// there were when they were made.
type File struct {
	file  *os.File
	count int64
	last  Record // zero when there is none
}

// Create opens a file for reading and adding, and makes it where there is none.
func Create(path string) (*File, error) { return open(path, os.O_RDWR|os.O_CREATE) }

// Edit opens a file that is there for reading and adding; fs.ErrNotExist says that there is none.
func Edit(path string) (*File, error) { return open(path, os.O_RDWR) }

// Open opens a file that is there for reading; fs.ErrNotExist says that there is none.
func Open(path string) (*File, error) { return open(path, os.O_RDONLY) }

// open passes over what a crash has left of a record at the end.
func open(path string, flag int) (*File, error) {
	file, err := os.OpenFile(path, flag, 0o600)
	if err != nil {
		return nil, err
	}
	f := &File{file: file}
	info, err := file.Stat()
	if err == nil {
		f.count = info.Size() / size
		err = f.back(func(r Record) bool { return r.written() })
	}
	if err != nil {
		_ = file.Close()
		return nil, err
	}
	return f, nil
}

// back forgets records at the end until one is to be kept.
func (f *File) back(keep func(Record) bool) (err error) {
	for ; f.count > 0; f.count-- {
		if f.last, err = f.at(f.count - 1); err != nil || keep(f.last) {
			return err
		}
	}
	f.last = Record{}
	return nil
}

// at reads one record.
func (f *File) at(i int64) (Record, error) {
	var b [size]byte
	_, err := f.file.ReadAt(b[:], i*size)
	return decode(b[:]), err
}

// Last returns the newest record, and whether there is one.
func (f *File) Last() (Record, bool) { return f.last, f.count > 0 }

// Add notes what is known of bytes that are about to be written at end, where the log ends now. Records from there
// on are forgotten: what they were about was never written. Of the new ones, whose offsets do not go back, it
// keeps those that say something new, and of those that begin before end the last, for end.
func (f *File) Add(end int64, records ...Record) error {
	if err := f.cut(end); err != nil {
		return err
	}
	fresh := f.fresh(end, records)
	if len(fresh) == 0 {
		return nil
	}
	var b []byte
	for _, r := range fresh {
		b = r.append(b)
	}
	if _, err := f.file.WriteAt(b, f.count*size); err != nil {
		_ = f.file.Truncate(f.count * size)
		return err
	}
	f.count += int64(len(fresh))
	f.last = fresh[len(fresh)-1]
	return nil
}

// cut forgets what stands from end on, and what is no whole record.
func (f *File) cut(end int64) error {
	if err := f.back(func(r Record) bool { return r.Offset < end }); err != nil {
		return err
	}
	info, err := f.file.Stat()
	if err != nil || info.Size() == f.count*size {
		return err
	}
	return f.file.Truncate(f.count * size)
}

func (f *File) fresh(end int64, records []Record) []Record {
	var list []Record
	for _, r := range records {
		r.Offset, r.At = max(r.Offset, end), r.At.Truncate(time.Millisecond).UTC()
		before := f.last
		if n := len(list); n > 0 && list[n-1].Offset == r.Offset {
			list = list[:n-1]
		}
		if n := len(list); n > 0 {
			before = list[n-1]
		}
		if !r.says(before) {
			list = append(list, r)
		}
	}
	return list
}

// Between returns what is known of the bytes from from up to to: the record in which they begin, as one from from
// on, and those that begin further on; at most most. until is where what they say ends: at to, or where the first
// record begins that was one too many.
func (f *File) Between(from, to int64, most int) (list []Record, until int64, err error) {
	after := sort.Search(int(f.count), func(i int) bool {
		r, failed := f.at(int64(i))
		if failed != nil {
			err = failed
		}
		return r.Offset > from
	})
	if err != nil || from >= to {
		return nil, to, err
	}
	first := int64(max(after-1, 0))
	b := make([]byte, min(f.count-first, int64(most)+1)*size)
	if _, err := f.file.ReadAt(b, first*size); err != nil {
		return nil, to, err
	}
	for part := range slices.Chunk(b, size) {
		r := decode(part)
		r.Offset = max(r.Offset, from)
		if n := len(list); r.Offset >= to || !r.written() || n > 0 && r.Offset <= list[n-1].Offset {
			break
		}
		if len(list) == most {
			return list, r.Offset, nil
		}
		list = append(list, r)
	}
	return list, to, nil
}

// Close closes the file. Copies of it cannot be read any more either.
func (f *File) Close() error { return f.file.Close() }
