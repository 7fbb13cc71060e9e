// Package spool keeps deliveries on disk, in order, until admin has them. One delivery is one file:
//
//	00000000000000000007   waits; the number gives the order, and goes on counting across restarts
//	7.tmp                  is being written; removed when the spool is opened
//	refused/               what admin said it will never take, kept as it was
//	damaged/               files whose length or SHA-256 is not what it was, kept as they were found
//
// Nothing in refused/ or damaged/ is ever read again or removed: that is for people. To have one tried once
// more, move it back into the folder while hooks is not running.
package spool

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"lightspeed/event"
	"lightspeed/fault"
)

const (
	refused = "refused"
	damaged = "damaged"
	nameLen = 20 // digits of the largest sequence number
	block   = 4 << 10
)

// Errors of a Spool.
var (
	ErrFull    = errors.New("spool is full")
	ErrClosed  = errors.New("spool is closed")
	ErrDamaged = errors.New("spool file is damaged")
)

// Entry is a delivery that waits in the spool.
type Entry struct {
	Seq   uint64    // its place in the order
	Bytes int64     // size of its file
	Since time.Time // when it was received
}

// Spool is a durable queue of deliveries. All its methods may be used at once; taking out (Next, Read, Done,
// Refuse) is meant for one goroutine, or deliveries are handed on twice. Whoever opens a Spool holds the
// lock of the folder around it.
type Spool struct {
	folder  *folder
	refused *folder
	damaged *folder
	max     int64
	log     *slog.Logger
	added   chan struct{}
	depth   atomic.Int64 // deliveries that wait, and those that are just being put in

	naming sync.Mutex // held over a rename: the order of numbers is the order of renames
	seq    uint64     // the newest number, guarded by naming

	mu      sync.Mutex // guards all below; never held during input or output
	entries []Entry    // by Seq
	bytes   int64      // on disk, with what is being put in, each file rounded up to whole blocks
	tmp     uint64     // names temporary files
	closed  bool
	putting sync.WaitGroup
}

// Open reads the folder at path, makes it when it is missing, and removes what was never put in
// completely. max bounds what waits there, in bytes; a file counts as whole blocks of 4 KiB, as it does
// on disk. What stands in refused/ and damaged/ does not count.
func Open(path string, max int64, log *slog.Logger) (*Spool, error) {
	s := &Spool{max: max, log: log, added: make(chan struct{}, 1)}
	if err := s.open(path); err != nil {
		return nil, errors.Join(fmt.Errorf("open spool: %w", err), s.Close())
	}
	return s, nil
}

func (s *Spool) open(path string) (err error) {
	if s.folder, err = openFolder(path); err != nil {
		return err
	}
	if s.refused, err = openFolder(filepath.Join(path, refused)); err != nil {
		return err
	}
	if s.damaged, err = openFolder(filepath.Join(path, damaged)); err != nil {
		return err
	}
	for _, aside := range []*folder{s.refused, s.damaged} {
		if err := s.scanAside(aside); err != nil {
			return err
		}
	}
	return s.scan()
}

// scan notes every delivery in the folder and removes temporary files.
func (s *Spool) scan() error {
	files, err := os.ReadDir(s.folder.path)
	if err != nil {
		return err
	}
	for _, file := range files {
		if filepath.Ext(file.Name()) == tmpExt {
			if err := remove(s.path(file.Name())); err != nil {
				return err
			}
			continue
		}
		seq, ok := sequence(file)
		if !ok {
			continue
		}
		info, err := file.Info()
		if err != nil {
			return err
		}
		s.entries = append(s.entries, Entry{Seq: seq, Bytes: info.Size(), Since: info.ModTime()})
		s.bytes += onDisk(info.Size())
		s.seq = max(s.seq, seq)
	}
	slices.SortFunc(s.entries, bySeq)
	s.depth.Store(int64(len(s.entries)))
	return nil
}

// scanAside counts the deliveries in refused/ or damaged/. Their numbers are not given out again, or two
// files of one name would meet there.
func (s *Spool) scanAside(aside *folder) error {
	files, err := os.ReadDir(aside.path)
	if err != nil {
		return err
	}
	for _, file := range files {
		if seq, ok := sequence(file); ok {
			s.seq = max(s.seq, seq)
			aside.files.Add(1)
		}
	}
	return nil
}

// Put returns nil once d is on the disk, file and folder. On an error nothing of it stays, unless the disk
// fails even at that: ErrFull, ErrClosed, or what the disk said (errors.Is ENOSPC when it is full). A body
// may have event.MaxPayload bytes. Deliveries whose Puts do not overlap keep their order.
func (s *Spool) Put(d event.Delivery) error {
	head, err := encodeHeader(d)
	if err != nil {
		return fmt.Errorf("spool delivery %s: %w", d.ID, err)
	}
	s.depth.Add(1)
	e, err := s.put(d, head)
	if err != nil {
		s.depth.Add(-1)
		return fmt.Errorf("spool delivery %s: %w", d.ID, err)
	}
	s.add(e)
	return nil
}

func (s *Spool) put(d event.Delivery, head []byte) (Entry, error) {
	size := int64(len(head) + len(d.Body))
	tmp, err := s.reserve(size)
	if err != nil {
		return Entry{}, err
	}
	defer s.putting.Done()
	seq, err := s.write(tmp, head, d.Body)
	if err != nil {
		s.free(size)
		return Entry{}, err
	}
	return Entry{Seq: seq, Bytes: size, Since: d.ReceivedAt}, nil
}

// reserve makes room for a file of this size before a byte of it is written, and names it.
func (s *Spool) reserve(size int64) (tmp string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return "", ErrClosed
	}
	if s.bytes+onDisk(size) > s.max {
		return "", fmt.Errorf("%w: %d of %d bytes are taken", ErrFull, s.bytes, s.max)
	}
	s.putting.Add(1)
	s.bytes += onDisk(size)
	s.tmp++
	return s.path(strconv.FormatUint(s.tmp, 10) + tmpExt), nil
}

// free gives back the room that reserve took.
func (s *Spool) free(size int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bytes -= onDisk(size)
}

// write is the way onto the disk: file, its fsync, its name, the folder's fsync.
func (s *Spool) write(tmp string, head, body []byte) (uint64, error) {
	if err := writeFile(tmp, head, body); err != nil {
		return 0, err
	}
	seq, err := s.name(tmp)
	if err != nil {
		return 0, errors.Join(err, remove(tmp))
	}
	fault.Point("spool.named")
	if err := s.folder.sync(); err != nil {
		return 0, errors.Join(err, remove(s.file(seq)))
	}
	fault.Point("spool.synced")
	return seq, nil
}

func (s *Spool) name(tmp string) (uint64, error) {
	s.naming.Lock()
	defer s.naming.Unlock()
	s.seq++
	return s.seq, os.Rename(tmp, s.file(s.seq))
}

// add lets Next see the entry. Those who shared an fsync come here in any order.
func (s *Spool) add(e Entry) {
	s.mu.Lock()
	at, _ := slices.BinarySearchFunc(s.entries, e, bySeq)
	s.entries = slices.Insert(s.entries, at, e)
	s.mu.Unlock()
	select {
	case s.added <- struct{}{}:
	default: // whoever waits is woken already
	}
}

// Added yields a value after a Put: one, however many there were.
func (s *Spool) Added() <-chan struct{} { return s.added }

// Next returns the oldest delivery, which stays until Done or Refuse; false when none waits.
func (s *Spool) Next() (Entry, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.entries) == 0 {
		return Entry{}, false
	}
	return s.entries[0], true
}

// Read returns an entry's delivery as it was put in. ErrDamaged: it is not that any more; the file has been
// moved to damaged/, or was gone, and Next goes on behind it. Any other error leaves it where it is.
func (s *Spool) Read(e Entry) (event.Delivery, error) {
	data, err := readFile(s.file(e.Seq))
	if errors.Is(err, fs.ErrNotExist) {
		s.drop(e)
		s.log.Error("a delivery is gone from the spool: redeliver it from GitHub", "file", s.file(e.Seq))
		return event.Delivery{}, fmt.Errorf("%w: %s is gone", ErrDamaged, name(e.Seq))
	}
	if err != nil && !errors.Is(err, errTooLarge) {
		return event.Delivery{}, fmt.Errorf("read spool: %w", err)
	}
	var d event.Delivery
	if err == nil {
		d, err = decode(data)
	}
	if err != nil {
		return event.Delivery{}, s.damage(e, err)
	}
	return d, nil
}

func (s *Spool) damage(e Entry, what error) error {
	path, err := s.setAside(e, s.damaged)
	if err != nil {
		return err
	}
	s.log.Error("a delivery in the spool is damaged: redeliver it from GitHub", "file", path, "error", what)
	return fmt.Errorf("%w: %s: %w", ErrDamaged, name(e.Seq), what)
}

// Done removes a delivery that admin has. After a power loss it may be there again: admin knows its id.
func (s *Spool) Done(e Entry) error {
	err := remove(s.file(e.Seq))
	fault.Point("spool.removed")
	s.drop(e)
	if err != nil {
		return fmt.Errorf("remove from spool: %w", err)
	}
	return nil
}

// Refuse moves a delivery that admin will never take to refused/, and returns the file's new path.
func (s *Spool) Refuse(e Entry) (string, error) { return s.setAside(e, s.refused) }

// setAside moves a file to where it is kept. Both folders are synced: it must not be lost on the way.
func (s *Spool) setAside(e Entry, to *folder) (string, error) {
	path := filepath.Join(to.path, name(e.Seq))
	err := os.Rename(s.file(e.Seq), path)
	fault.Point("spool.set-aside")
	if err == nil {
		s.drop(e)
		to.files.Add(1)
		err = errors.Join(to.sync(), s.folder.sync())
	}
	if err != nil {
		return path, fmt.Errorf("move out of spool: %w", err)
	}
	return path, nil
}

// drop forgets an entry; a second time it does nothing.
func (s *Spool) drop(e Entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at, found := slices.BinarySearchFunc(s.entries, e, bySeq)
	if !found {
		return
	}
	if at == 0 {
		s.entries = s.entries[1:] // the usual case, and it must not move a long queue
	} else {
		s.entries = slices.Delete(s.entries, at, at+1)
	}
	if len(s.entries) == 0 {
		s.entries = nil // or the array of the longest queue ever is kept
	}
	s.bytes -= onDisk(e.Bytes)
	s.depth.Add(-1)
}

// Empty reports whether nothing waits and nothing is just being put in.
func (s *Spool) Empty() bool { return s.depth.Load() == 0 }

// Stats is what a Spool holds.
type Stats struct {
	Deliveries int       // that wait
	Bytes      int64     // they and those being put in take on disk
	Oldest     time.Time // when the oldest was received; zero when none waits
	Refused    int64     // files in refused/
	Damaged    int64     // files in damaged/
}

// Stats returns what the spool holds now.
func (s *Spool) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	stats := Stats{Deliveries: len(s.entries), Bytes: s.bytes, Refused: s.refused.files.Load(), Damaged: s.damaged.files.Load()}
	if len(s.entries) > 0 {
		stats.Oldest = s.entries[0].Since
	}
	return stats
}

// Check writes a block to the disk and removes it again: nil means that a Put of a small delivery would
// succeed now.
func (s *Spool) Check() error {
	tmp, err := s.reserve(block)
	if err != nil {
		return err
	}
	defer s.putting.Done()
	defer s.free(block)
	if err := writeFile(tmp, make([]byte, block)); err != nil {
		return fmt.Errorf("write to spool: %w", err)
	}
	return remove(tmp)
}

// Close waits for Puts under way and lets no more in. Closing twice is fine.
func (s *Spool) Close() error {
	s.mu.Lock()
	closed := s.closed
	s.closed = true
	s.mu.Unlock()
	s.putting.Wait()
	if closed {
		return nil
	}
	var errs []error
	for _, f := range []*folder{s.folder, s.refused, s.damaged} {
		if f != nil {
			errs = append(errs, f.dir.Close())
		}
	}
	return errors.Join(errs...)
}

const tmpExt = ".tmp"

func (s *Spool) path(name string) string { return filepath.Join(s.folder.path, name) }
func (s *Spool) file(seq uint64) string  { return s.path(name(seq)) }

func name(seq uint64) string { return fmt.Sprintf("%0*d", nameLen, seq) }

// sequence reads the number out of a file's name; false for what is no spool file.
func sequence(file fs.DirEntry) (uint64, bool) {
	if len(file.Name()) != nameLen || !file.Type().IsRegular() {
		return 0, false
	}
	seq, err := strconv.ParseUint(file.Name(), 10, 64)
	return seq, err == nil
}

func bySeq(a, b Entry) int { return cmp.Compare(a.Seq, b.Seq) }

// onDisk is what a file of this size takes there.
func onDisk(size int64) int64 { return (size + block - 1) / block * block }
