package admin

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"hash/maphash"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"

	"lightspeed/api"
	"lightspeed/run"
)

// artifacts keeps files of attempts: one folder an attempt, in it an index, and each file under the hash of its path.
// So no path of an artifact ever names a file here. A file is there when the index says so, which it does only
// once all of the file is on the disk.
type artifacts struct {
	dir   string
	seed  maphash.Seed
	locks [64]sync.Mutex // by run: held while an index, or what it stands for, changes
}

// indexFile lists an attempt's artifacts, one JSON object a line. A line that a crash has cut counts as none.
const indexFile = "index"

func openArtifacts(dir string) (*artifacts, error) {
	return &artifacts{dir: dir, seed: maphash.MakeSeed()}, os.MkdirAll(dir, 0o700)
}

func (a *artifacts) lock(ref run.Ref) *sync.Mutex {
	return &a.locks[maphash.String(a.seed, ref.Run)%uint64(len(a.locks))]
}

// folder keeps folders small, as with logs.
func (a *artifacts) folder(ref run.Ref) string {
	return filepath.Join(a.dir, ref.Run[:min(4, len(ref.Run))], ref.Run+"."+strconv.Itoa(ref.Attempt))
}

// fileName is a file's name for a path, whatever that holds.
func fileName(path string) string {
	sum := sha256.Sum256([]byte(path))
	return hex.EncodeToString(sum[:])
}

// list returns what an attempt has kept, by path.
func (a *artifacts) list(ref run.Ref) ([]api.Artifact, error) {
	text, err := os.ReadFile(filepath.Join(a.folder(ref), indexFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var list []api.Artifact
	for line := range bytes.Lines(text) {
		var one api.Artifact
		if json.Unmarshal(line, &one) == nil && api.ArtifactPath(one.Path) && one.Bytes >= 0 {
			one.Attempt = ref.Attempt
			list = append(list, one)
		}
	}
	slices.SortFunc(list, func(x, y api.Artifact) int { return cmp.Compare(x.Path, y.Path) })
	return list, err
}

// open opens an artifact for reading; fs.ErrNotExist says that there is none.
func (a *artifacts) open(ref run.Ref, path string) (*os.File, api.Artifact, error) {
	list, err := a.list(ref)
	if err != nil {
		return nil, api.Artifact{}, err
	}
	for _, one := range list {
		if one.Path == path {
			f, err := os.Open(filepath.Join(a.folder(ref), fileName(path)))
			return f, one, err
		}
	}
	return nil, api.Artifact{}, fs.ErrNotExist
}

// append writes a chunk of an artifact that starts at offset, as far as it is new, and returns where the copy now
// ends. When that is all of it, it has been checked and is safe from a power cut.
func (a *artifacts) append(ref run.Ref, one api.Artifact, offset int64, chunk []byte) (int64, error) {
	mu := a.lock(ref)
	mu.Lock()
	defer mu.Unlock()
	there, _, err := a.mayTake(ref, one)
	if err != nil || there {
		return one.Bytes, err
	}
	dir := a.folder(ref)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return 0, err
	}
	part := filepath.Join(dir, fileName(one.Path)+"."+one.SHA256+".part")
	end, err := extend(part, one.Bytes, offset, chunk)
	if isFull(err) {
		_ = os.Remove(part) // logs and results need the room
	}
	if err != nil || end < one.Bytes {
		return end, err
	}
	if err := a.complete(ref, one, part); err != nil {
		return 0, err
	}
	return end, nil
}

// extend adds to a file what a chunk has behind its end.
func extend(path string, most, offset int64, chunk []byte) (int64, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	end := info.Size()
	switch known := end - offset; {
	case offset > end:
		return end, gapError{end}
	case offset+int64(len(chunk)) > most:
		return end, badRequest("the artifact goes on past its %d bytes", most)
	case known < int64(len(chunk)):
		n, err := f.Write(chunk[known:])
		return end + int64(n), err
	}
	return end, nil
}

// mayTake reports whether an artifact is there already, and refuses what is another one, or too much. total is what the
// attempt keeps with it, in bytes.
func (a *artifacts) mayTake(ref run.Ref, one api.Artifact) (there bool, total int64, err error) {
	list, err := a.list(ref)
	if err != nil {
		return false, 0, err
	}
	total = one.Bytes
	for _, known := range list {
		if known.Path == one.Path && known.SHA256 == one.SHA256 {
			return true, 0, nil
		}
		if known.Path == one.Path {
			return false, 0, api.Errorf(http.StatusConflict, api.Conflict, "the attempt has another artifact %q already", shorten(one.Path, 200))
		}
		total += known.Bytes
	}
	switch {
	case one.Bytes > api.MaxArtifact:
		err = tooLarge("an artifact of %d bytes, the most is %d", one.Bytes, api.MaxArtifact)
	case total > api.MaxArtifacts:
		err = tooLarge("artifacts of %d bytes in an attempt, the most is %d", total, api.MaxArtifacts)
	case len(list) >= api.MaxArtifactCount:
		err = tooLarge("more than %d artifacts in an attempt", api.MaxArtifactCount)
	}
	return false, total, err
}

func tooLarge(format string, args ...any) error {
	return api.Errorf(http.StatusRequestEntityTooLarge, api.TooLarge, format, args...)
}

// complete checks a file that is whole, and puts it into the index.
func (a *artifacts) complete(ref run.Ref, one api.Artifact, part string) error {
	sum, err := syncAndSum(part)
	if err != nil {
		return err
	}
	if sum != one.SHA256 {
		return errors.Join(os.Remove(part), badRequest("the artifact's bytes are not those that its sha256 says"))
	}
	dir := a.folder(ref)
	if err := os.Rename(part, filepath.Join(dir, fileName(one.Path))); err != nil {
		return err
	}
	if err := syncDir(dir); err != nil {
		return err
	}
	if err := addLine(filepath.Join(dir, indexFile), one); err != nil {
		return err
	}
	return errors.Join(syncDir(dir), syncDir(filepath.Dir(dir)), syncDir(a.dir))
}

func syncAndSum(path string) (string, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return "", err
	}
	defer f.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(hash.Sum(nil)), f.Sync()
}

// addLine adds an artifact to an index, behind what a crash may have cut. A line that does not fit is taken back.
func addLine(index string, one api.Artifact) error {
	line, err := json.Marshal(one)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(index, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if _, err := f.Write(append(append([]byte{'\n'}, line...), '\n')); err != nil {
		return errors.Join(err, f.Truncate(info.Size()))
	}
	return f.Sync()
}

// remove deletes all that an attempt has kept.
func (a *artifacts) remove(ref run.Ref) error {
	mu := a.lock(ref)
	mu.Lock()
	defer mu.Unlock()
	dir := a.folder(ref)
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	_ = os.Remove(filepath.Dir(dir)) // is refused as long as it holds another
	return nil
}
