package notify

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// Files are replaced by a rename and not fsynced: what they guard against is the death of this process, which
// the page cache survives. After a power loss the newest may be missing or damaged; a damaged one is dropped.

const partial = ".part" // of a file that is being written

// fileName is where a key is kept. Keys hold text from outside.
func fileName(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:16])
}

// replaceFile writes a file whole or not at all.
func replaceFile(path string, text []byte) error {
	err := os.WriteFile(path+partial, text, 0o600)
	if err == nil {
		err = os.Rename(path+partial, path)
	}
	if err != nil {
		_ = os.Remove(path + partial)
	}
	return err
}

// maxFile bounds what is read of one file, in bytes: a tail in base64, and texts of which each byte may take six.
const maxFile = 2*MaxTail + 256<<10

// readFile reads a file of at most maxFile bytes.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(text) > maxFile {
		err = fmt.Errorf("%s is larger than %d bytes", path, maxFile)
	}
	return text, err
}

// removeFile takes a file away; one that is gone already is no error.
func removeFile(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// openFolder makes the folder, mode 0700, clears it of what was being written when the process died, and
// lists its files, the oldest first.
func openFolder(dir string) (names []string, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	type file struct {
		name string
		at   int64
	}
	var files []file
	for _, entry := range entries {
		name := entry.Name()
		if strings.HasSuffix(name, partial) {
			if err := removeFile(filepath.Join(dir, name)); err != nil {
				return nil, err
			}
			continue
		}
		if info, err := entry.Info(); err == nil && info.Mode().IsRegular() {
			files = append(files, file{name, info.ModTime().UnixNano()})
		}
	}
	slices.SortFunc(files, func(a, b file) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.name, b.name)) })
	for _, f := range files {
		names = append(names, f.name)
	}
	return names, nil
}

// records are small texts by key, one file each; of more than max the oldest are forgotten.
type records struct {
	dir string
	max int

	mu      sync.Mutex
	age     map[string]uint64 // file name → when it was saved last, in saves
	saves   uint64
	unsaved map[string][]byte // what could not be written: known as long as this process lives
}

func openRecords(dir string, max int) (*records, error) {
	names, err := openFolder(dir)
	if err != nil {
		return nil, err
	}
	r := &records{dir: dir, max: max, age: map[string]uint64{}, unsaved: map[string][]byte{}}
	for _, name := range names {
		r.touch(name)
	}
	return r, r.prune()
}

func (r *records) load(key string) (text []byte, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	name := fileName(key)
	if text, ok := r.unsaved[name]; ok {
		return text, true
	}
	if _, known := r.age[name]; !known {
		return nil, false
	}
	text, err := readFile(filepath.Join(r.dir, name))
	return text, err == nil
}

func (r *records) save(key string, text []byte) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	name := fileName(key)
	r.touch(name)
	if err := replaceFile(filepath.Join(r.dir, name), text); err != nil {
		r.unsaved[name] = text
		return errors.Join(err, r.prune())
	}
	delete(r.unsaved, name)
	return r.prune()
}

func (r *records) touch(name string) {
	r.saves++
	r.age[name] = r.saves
}

func (r *records) prune() error {
	for len(r.age) > r.max {
		oldest, at := "", r.saves+1
		for name, age := range r.age {
			if age < at {
				oldest, at = name, age
			}
		}
		delete(r.age, oldest)
		delete(r.unsaved, oldest)
		if err := removeFile(filepath.Join(r.dir, oldest)); err != nil {
			return err
		}
	}
	return nil
}
