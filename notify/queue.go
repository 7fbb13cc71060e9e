package notify

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// queue keeps values on disk, one file a key, and hands them out in the order in which their keys came. A
// newer value takes the place of an older one of its key. In memory it has no more than the files' heads.
type queue[T any] struct {
	dir   string
	most  int
	rank  func(*T) rank
	worth func(*T) int // of two that wait too long, the one that is worth less is dropped

	mu      sync.Mutex
	waiting []*entry[T] // in order
	seq     uint64
	added   chan struct{} // has room for one
}

// entry is one key that waits. Its file is a line with the head, and a line with the value.
type entry[T any] struct {
	head
	version uint64 // counts its values
	tries   int
	unsaved *T // the value, where it could not be written
}

type head struct {
	Key   string    `json:"key"`
	Seq   uint64    `json:"seq"`
	Put   time.Time `json:"put"` // when the key began to wait
	Rank  rank      `json:"rank"`
	Worth int       `json:"worth"`
}

// maxHead bounds the head's line, in bytes.
const maxHead = 8 << 10

// item is a value that was handed out.
type item[T any] struct {
	Value   T
	Key     string
	Put     time.Time
	Tries   int // times that it was postponed or failed
	version uint64
}

// openQueue reads what waits from before. damaged says what could not be read; that is gone.
func openQueue[T any](dir string, most int, rank func(*T) rank, worth func(*T) int) (q *queue[T], damaged, err error) {
	names, err := openFolder(dir)
	if err != nil {
		return nil, nil, err
	}
	q = &queue[T]{dir: dir, most: most, rank: rank, worth: worth, added: make(chan struct{}, 1)}
	var problems []error
	for _, name := range names {
		path := filepath.Join(dir, name)
		h, err := readHead(path)
		if err == nil && fileName(h.Key) != name {
			err = errors.New("its name is not its key's")
		}
		if err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", path, err), removeFile(path))
			continue
		}
		q.waiting = append(q.waiting, &entry[T]{head: h})
		q.seq = max(q.seq, h.Seq)
	}
	slices.SortFunc(q.waiting, func(a, b *entry[T]) int { return cmp.Compare(a.Seq, b.Seq) })
	return q, errors.Join(problems...), nil
}

func readHead(path string) (head, error) {
	f, err := os.Open(path)
	if err != nil {
		return head{}, err
	}
	defer f.Close()
	line, err := bufio.NewReaderSize(f, maxHead).ReadSlice('\n')
	if err != nil {
		return head{}, errors.New("its first line is cut off")
	}
	var h head
	if json.Unmarshal(line, &h) != nil || h.Key == "" {
		return head{}, errors.New("its first line is damaged")
	}
	return h, nil
}

// put keeps value under key, unless a newer one waits there. dropped is what had to go because too much
// waits, with its key. An error says that value could not be written; it waits in memory.
func (q *queue[T]) put(key string, value T) (dropped *item[T], err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	at := q.find(key)
	if at < 0 {
		q.seq++
		q.waiting = append(q.waiting, &entry[T]{head: head{Key: key, Seq: q.seq, Put: time.Now().UTC()}})
		at = len(q.waiting) - 1
	} else if q.rank(&value).below(q.waiting[at].Rank) {
		return nil, nil
	}
	e := q.waiting[at]
	e.Rank, e.Worth = q.rank(&value), q.worth(&value)
	e.version++
	err = q.write(e, value)
	if len(q.waiting) > q.most {
		dropped = q.drop()
	}
	select {
	case q.added <- struct{}{}:
	default:
	}
	return dropped, err
}

func (q *queue[T]) find(key string) int {
	return slices.IndexFunc(q.waiting, func(e *entry[T]) bool { return e.Key == key })
}

func (q *queue[T]) write(e *entry[T], value T) error {
	first, err := json.Marshal(e.head)
	if err == nil && len(first) >= maxHead {
		err = fmt.Errorf("a key of %d bytes is too long", len(e.Key))
	}
	second, err2 := json.Marshal(value)
	if err = errors.Join(err, err2); err == nil {
		err = replaceFile(q.path(e), bytes.Join([][]byte{first, second, nil}, []byte("\n")))
	}
	e.unsaved = nil
	if err != nil {
		e.unsaved = &value
	}
	return err
}

func (q *queue[T]) path(e *entry[T]) string { return filepath.Join(q.dir, fileName(e.Key)) }

// drop removes the oldest of those that are worth least.
func (q *queue[T]) drop() *item[T] {
	least := slices.MinFunc(q.waiting, func(a, b *entry[T]) int { return cmp.Compare(a.Worth, b.Worth) }) // the first of equals
	value, _ := q.read(least)
	_ = q.remove(slices.Index(q.waiting, least))
	return &item[T]{Value: value, Key: least.Key, Put: least.Put}
}

func (q *queue[T]) read(e *entry[T]) (value T, err error) {
	if e.unsaved != nil {
		return *e.unsaved, nil
	}
	text, err := readFile(q.path(e))
	if err != nil {
		return value, err
	}
	_, second, _ := bytes.Cut(text, []byte("\n"))
	return value, json.Unmarshal(second, &value)
}

func (q *queue[T]) remove(at int) error {
	path := q.path(q.waiting[at])
	q.waiting = slices.Delete(q.waiting, at, at+1)
	return removeFile(path)
}

// next hands out the first value, which stays until done. What cannot be read is dropped, with an error.
func (q *queue[T]) next() (it item[T], ok bool, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) == 0 {
		return it, false, nil
	}
	e := q.waiting[0]
	value, err := q.read(e)
	if err != nil {
		return it, true, errors.Join(fmt.Errorf("%s cannot be read: %w", q.path(e), err), q.remove(0))
	}
	return item[T]{Value: value, Key: e.Key, Put: e.Put, Tries: e.tries, version: e.version}, true, nil
}

// done takes a value away that was handed out. A newer one that took its place meanwhile stays.
func (q *queue[T]) done(it item[T]) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	at := q.find(it.Key)
	if at < 0 || q.waiting[at].version != it.version {
		return nil
	}
	return q.remove(at)
}

// failed counts a try. With back the key goes behind all others, until the process starts anew.
func (q *queue[T]) failed(it item[T], back bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	at := q.find(it.Key)
	if at < 0 {
		return
	}
	e := q.waiting[at]
	e.tries++
	if back {
		q.waiting = append(slices.Delete(q.waiting, at, at+1), e)
	}
}

func (q *queue[T]) holds(key string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.find(key) >= 0
}

func (q *queue[T]) len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.waiting)
}
