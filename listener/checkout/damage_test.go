package checkout

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// files of a folder whose names end so.
func files(t *testing.T, dir, suffix string) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.HasSuffix(path, suffix) {
			found = append(found, path)
		}
		return err
	})
	if err != nil || len(found) == 0 {
		t.Fatalf("no file *%s in %s: %v", suffix, dir, err)
	}
	return found
}

func spoil(how func(string) error) func(t *testing.T, repo, suffix string) {
	return func(t *testing.T, repo, suffix string) {
		for _, file := range files(t, repo, suffix) {
			if err := errors.Join(os.Chmod(file, 0o600), how(file)); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// damages are what a crash, or worse, can do to a mirror.
var damages = []struct {
	name, suffix string
	do           func(t *testing.T, repo, suffix string)
}{
	{"HEAD is empty", "HEAD", spoil(func(f string) error { return os.Truncate(f, 0) })},
	{"HEAD is gone", "HEAD", spoil(os.Remove)},
	{"config is torn", "config", spoil(func(f string) error { return os.WriteFile(f, []byte("[core"), 0o600) })},
	{"refs are torn", "packed-refs", spoil(func(f string) error { return os.Truncate(f, 60) })},
	{"refs are gone", "packed-refs", spoil(os.Remove)},
	{"packs are empty", ".pack", spoil(func(f string) error { return os.Truncate(f, 0) })},
	{"packs are cut", ".pack", spoil(func(f string) error { return os.Truncate(f, 40) })},
	{"packs are gone", ".pack", spoil(os.Remove)},
	{"indexes are gone", ".idx", spoil(os.Remove)},
	{"indexes are empty", ".idx", spoil(func(f string) error { return os.Truncate(f, 0) })},
	{"objects are gone", "HEAD", func(t *testing.T, repo, _ string) {
		if err := os.RemoveAll(filepath.Join(repo, "objects")); err != nil {
			t.Fatal(err)
		}
	}},
	{"bytes are turned", ".pack", spoil(func(f string) error {
		text, err := os.ReadFile(f)
		for i := 12; i < len(text); i++ {
			text[i] ^= 0x55
		}
		return errors.Join(err, os.WriteFile(f, text, 0o600))
	})},
	{"locks are left", "packed-refs", spoil(func(f string) error {
		return errors.Join(os.WriteFile(f+".lock", nil, 0o600), os.WriteFile(filepath.Join(filepath.Dir(f), "shallow.lock"), nil, 0o600),
			os.WriteFile(filepath.Join(filepath.Dir(f), "objects", "pack", "tmp_pack_x"), []byte("x"), 0o600))
	})},
}

// A mirror that is damaged is made anew by itself, for a commit that it had and for a new one.
func TestDamagedMirrors(t *testing.T) {
	t.Parallel()
	before := newRepo(t)
	one := before.push("main", "one")
	after := newRepo(t)
	after.run(after.dir, "fetch", "-q", before.dir, "main:main")
	two := after.many("main", 1)[0]
	for _, damage := range damages {
		t.Run(damage.name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			origin := filepath.Join(f.dir, "origin")
			repo := f.store.mirror(f.want(origin, "", "")).repo
			for _, each := range []struct{ from, sha, text string }{{before.dir, one, "one"}, {after.dir, two, "0"}} {
				_ = os.Remove(origin)
				if err := os.Symlink(before.dir, origin); err != nil {
					t.Fatal(err)
				}
				f.get(f.want(origin, "refs/heads/main", one))
				damage.do(t, repo, damage.suffix)
				if err := errors.Join(os.Remove(origin), os.Symlink(each.from, origin)); err != nil {
					t.Fatal(err)
				}
				tree := f.get(f.want(origin, "refs/heads/main", each.sha))
				if text := content(t, filepath.Join(tree, "file")); text != each.text {
					t.Errorf("the file says %q, want %q", text, each.text)
				}
				in(t, tree, "fsck", "--full")
			}
			if left, _ := filepath.Glob(filepath.Join(repo, "*.lock")); len(left) > 0 {
				t.Errorf("left: %q", left)
			}
		})
	}
}
