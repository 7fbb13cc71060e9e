package deploy

import (
	"archive/tar"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// The archive of a release has the same bytes when it is made in another folder, by someone with another umask, at another time;
// what is in it runs.
func TestReleaseIsReproducible(t *testing.T) {
	t.Parallel()
	here, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	first := release(t, here)
	second := release(t, copyOf(t, here))
	name := filepath.Base(first)
	sum := sha256.Sum256(readFile(t, first))
	if sum != sha256.Sum256(readFile(t, second)) {
		t.Errorf("%s has other bytes when it is made in another folder", name)
	}
	if want := fmt.Sprintf("%x  %s\n", sum, name); string(readFile(t, filepath.Join(filepath.Dir(first), "SHA256SUMS"))) != want {
		t.Errorf("SHA256SUMS is not %q", want)
	}
	folder := strings.TrimSuffix(name, ".tar.gz")
	binary := unpack(t, first, folder)
	out, err := exec.Command(binary, "version").Output()
	if version := strings.Split(folder, "-")[1]; err != nil || !strings.HasPrefix(string(out), "lightspeed "+version) {
		t.Errorf("the program in %s says %q, %v", name, out, err)
	}
}

// release makes the archive for this machine out of a copy of the module, and returns its path.
func release(t *testing.T, root string) string {
	t.Helper()
	out := t.TempDir()
	cmd := exec.Command(filepath.Join(root, "deploy/release.sh"), out)
	cmd.Env = append(os.Environ(), "TARGETS=linux/"+runtime.GOARCH, "BUILDVCS=false", "SOURCE_DATE_EPOCH=1767225600")
	if said, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("release.sh: %v\n%s", err, said)
	}
	found, err := filepath.Glob(filepath.Join(out, "*.tar.gz"))
	if err != nil || len(found) != 1 {
		t.Fatalf("archives: %v, %v", found, err)
	}
	return found[0]
}

// copyOf copies what git would have of the module, with other times and modes.
func copyOf(t *testing.T, root string) string {
	t.Helper()
	list := exec.Command("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	list.Dir = root
	names, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(t.TempDir(), "elsewhere")
	for name := range strings.SplitSeq(strings.TrimRight(string(names), "\x00"), "\x00") {
		info, err := os.Stat(filepath.Join(root, name))
		if err != nil {
			continue // removed, and not committed yet
		}
		path := filepath.Join(to, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, readFile(t, filepath.Join(root, name)), info.Mode().Perm()&0o700); err != nil {
			t.Fatal(err)
		}
	}
	return to
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// unpack writes the program of an archive, checks what else is in it, and returns its path.
func unpack(t *testing.T, archive, folder string) string {
	t.Helper()
	f, err := os.Open(archive)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	plain, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(t.TempDir(), "lightspeed")
	var names []string
	for files := tar.NewReader(plain); ; {
		head, err := files.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, head.Name)
		if head.Name == folder+"/lightspeed" {
			data, err := io.ReadAll(files)
			if err == nil {
				err = os.WriteFile(binary, data, head.FileInfo().Mode())
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, want := range []string{"lightspeed", "LICENSE", "README.md", "CHANGELOG.md", "docs/config.md", "deploy/systemd/lightspeed-admin.service", "deploy/secrets.sh"} {
		if !slices.Contains(names, folder+"/"+want) {
			t.Errorf("%s has no %s", filepath.Base(archive), want)
		}
	}
	return binary
}
