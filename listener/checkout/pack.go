package checkout

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// errDamaged says that a mirror's packs are not what git wrote.
var errDamaged = errors.New("packs are damaged")

// packs returns the names, without their endings, of the packs in a folder that are whole: git writes a pack's index
// last. The error is errDamaged when one is not what its index says.
func packs(dir string) ([]string, error) {
	found, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, f := range found {
		name, ok := strings.CutSuffix(f.Name(), ".idx")
		if !ok {
			continue
		}
		if err := checkPack(filepath.Join(dir, name)); err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	return names, nil
}

// checkPack compares the checksum at the end of a pack with what its index says of it, as git does when it opens one
// (https://git-scm.com/docs/gitformat-pack). A pack that a power cut has shortened, or left empty, is found.
func checkPack(path string) error {
	for _, hash := range []int64{20, 32} { // SHA-1, SHA-256
		want, err := tail(path+".idx", 2*hash)
		if err != nil {
			return err
		}
		got, err := tail(path+".pack", hash)
		if err != nil {
			return err
		}
		if want != nil && got != nil && bytes.Equal(want[:hash], got) {
			return nil
		}
	}
	return errDamaged
}

// tail returns the last bytes of a file; nil when it is shorter.
func tail(path string, n int64) ([]byte, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) && strings.HasSuffix(path, ".pack") {
		if _, gone := os.Stat(strings.TrimSuffix(path, ".pack") + ".idx"); gone == nil {
			return nil, errDamaged
		}
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || info.Size() < n {
		return nil, err
	}
	end := make([]byte, n)
	_, err = f.ReadAt(end, info.Size()-n)
	return end, err
}
