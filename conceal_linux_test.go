package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestCommandsCannotSeeIntoTheListener: what it was started with is no business of what it runs, though both are the
// same user's.
func TestCommandsCannotSeeIntoTheListener(t *testing.T) {
	program, err := exec.LookPath("lightspeed")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, path := range []string{dir, filepath.Dir(dir), filepath.Dir(program)} { // for nobody, too
		if err := os.Chmod(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	config := filepath.Join(dir, "a.json")
	text := `{"name": "a", "repos": ["*/*"], "cwd": "/", "exec": "cat /proc/$PPID/environ || echo refused; cat /proc/$$/environ | tr '\\0' '\\n' | grep ^LIGHTSPEED_RUN_ID"}`
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "run", config, "--payload", "-")
	cmd.Stdin = strings.NewReader(`{"ref": "refs/heads/main", "repository": {"full_name": "me/a"}}`)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LIGHTSPEED_TOKEN=of-the-listener", "TMPDIR=/tmp"}
	if os.Getuid() == 0 { // root's commands may see everything
		const nobody = 65534
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	}
	out, err := cmd.CombinedOutput()
	said := string(out)
	if err != nil || strings.Contains(said, "of-the-listener") || !strings.Contains(said, "refused") {
		t.Errorf("%v: %q", err, said)
	}
}
