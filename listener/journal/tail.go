package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

const (
	tailFile = "tail"

	// tailStart is where the ring begins in its file, behind the header: two numbers of 8 bytes, how many bytes
	// the ring has ever got, and how many of the last ones are kept.
	tailStart = 4096

	// tailSpare is how much larger the ring is than what is kept, in bytes. Data is written before the
	// header; a kill between the two leaves the header behind by one write, and the spare holds that write
	// off the bytes that the header still counts.
	tailSpare = 1 << 20
)

// tail keeps the last bytes of what it gets, in a file that is written round and round.
type tail struct {
	file  *os.File
	total int64 // bytes ever written
	keep  int64
}

func createTail(dir string, keep int64) (*tail, error) {
	file, err := os.OpenFile(filepath.Join(dir, tailFile), os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	return &tail{file: file, keep: keep}, nil
}

// openTail opens an earlier process's ring; nil when there is none.
func openTail(dir string) (*tail, error) {
	file, err := os.OpenFile(filepath.Join(dir, tailFile), os.O_RDWR, 0o600)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	t := &tail{file: file}
	if err := t.readHeader(); err != nil {
		_ = file.Close()
		return nil, err
	}
	return t, nil
}

func (t *tail) readHeader() error {
	var header [16]byte
	if _, err := t.file.ReadAt(header[:], 0); err != nil {
		return fmt.Errorf("%s: header: %w", t.file.Name(), err)
	}
	t.total = int64(binary.BigEndian.Uint64(header[:8]))
	t.keep = int64(binary.BigEndian.Uint64(header[8:]))
	info, err := t.file.Stat()
	if err != nil {
		return err
	}
	if t.total < 0 || t.keep < 0 || info.Size() < tailStart+min(t.total, t.keep) {
		return fmt.Errorf("%s: header counts %d bytes, %d kept, and the file has %d", t.file.Name(), t.total, t.keep, info.Size())
	}
	return nil
}

func (t *tail) ring() int64 { return t.keep + tailSpare }

func (t *tail) kept() int64 { return min(t.total, t.keep) }

func (t *tail) dropped() int64 { return t.total - t.kept() }

func (t *tail) write(p []byte) (int, error) {
	n, err := 0, error(nil)
	for n < len(p) && err == nil {
		at := t.total % t.ring()
		// At most the spare at once, for what the header's comment says.
		part := p[n:min(int64(len(p)), int64(n)+t.ring()-at, int64(n)+tailSpare)]
		var wrote int
		wrote, err = t.file.WriteAt(part, tailStart+at)
		n += wrote
		t.total += int64(wrote)
		if headerErr := t.writeHeader(); err == nil {
			err = headerErr
		}
	}
	return n, err
}

func (t *tail) writeHeader() error {
	var header [16]byte
	binary.BigEndian.PutUint64(header[:8], uint64(t.total))
	binary.BigEndian.PutUint64(header[8:], uint64(t.keep))
	return writeAt(t.file, header[:], 0)
}

// readAt reads the kept bytes, counted from the first that is kept.
func (t *tail) readAt(p []byte, off int64) (int, error) {
	if off >= t.kept() {
		return 0, io.EOF
	}
	at := (t.dropped() + off) % t.ring()
	p = p[:min(int64(len(p)), t.kept()-off, t.ring()-at)]
	n, err := t.file.ReadAt(p, tailStart+at)
	if n > 0 {
		err = nil
	}
	return n, err
}
