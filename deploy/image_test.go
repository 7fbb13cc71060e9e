package deploy

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"lightspeed/fleet"
)

// buildah runs it, and returns what it printed.
func buildah(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.Command("buildah", args...)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("buildah %s: %v", strings.Join(args, " "), err)
	}
	return strings.TrimSpace(string(out))
}

// contained is a service in a container of its own: with the image's user, entry point, folders and volume.
func contained(s *set, name string) fleet.Command {
	container := buildah(s.t, "from", image)
	s.t.Cleanup(func() { buildah(s.t, "rm", container) })
	checkTools(s.t, container)
	configs := s.folder("etc-" + name)
	s.copyConfig(configs, strings.Clone)
	if err := os.Chmod(s.secrets, 0o755); err != nil { // a mount of the folder, where compose mounts each file
		s.t.Fatal(err)
	}
	args := []string{"run", "--volume", s.secrets + ":/run/secrets:ro", "--volume", configs + ":/etc/lightspeed:ro", "--env", "TINI_SUBREAPER=1"}
	for _, one := range s.env(name) {
		args = append(args, "--env", one)
	}
	args = append(append(args, container, "--"), entrypoint(s.t, container)...)
	return fleet.Command{Name: name, Path: "buildah", Args: append(args, s.compose.Services[name].Command...), Env: buildahEnv(), Dir: s.dir}
}

// checkTools asks for what an image promises besides lightspeed itself, as its own user.
func checkTools(t *testing.T, container string) {
	t.Helper()
	got := buildah(t, "run", container, "--", "/bin/sh", "-c",
		"id -u; git --version >&2 && ssh -V && test -s /etc/ssl/certs/ca-certificates.crt && test -w /var/lib/lightspeed && ! touch /usr/local/bin/x && echo ok")
	if got != "10001\nok" {
		t.Errorf("the image's user and tools: %q", got)
	}
}

// entrypoint is the image's own.
func entrypoint(t *testing.T, container string) []string {
	t.Helper()
	var inspected struct {
		OCIv1 struct {
			Config struct{ Entrypoint []string } `json:"config"`
		}
	}
	if err := json.Unmarshal([]byte(buildah(t, "inspect", container)), &inspected); err != nil || len(inspected.OCIv1.Config.Entrypoint) == 0 {
		t.Fatalf("the image has no entry point: %v", err)
	}
	return inspected.OCIv1.Config.Entrypoint
}

func buildahEnv() []string {
	return slices.DeleteFunc(os.Environ(), func(one string) bool {
		return !strings.HasPrefix(one, "STORAGE_") && !strings.HasPrefix(one, "BUILDAH_")
	})
}

// signalInside sends SIGTERM to the image's init, which passes it on, and waits for the end. Buildah itself would kill,
// and buildah's own exit code says nothing: 1.28 panics after such an end, over a logger of its own that is nil.
func signalInside(t *testing.T, p *fleet.Process) {
	t.Helper()
	pid := descendant(p.PID(), "tini")
	if pid == 0 {
		t.Errorf("%s has no init", p.Name)
		return
	}
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		t.Errorf("%s: %v", p.Name, err)
	}
	select {
	case <-p.Done():
	case <-time.After(patience):
		t.Errorf("%s did not end within %v of SIGTERM", p.Name, patience)
	}
}

// descendant finds the process of this name below another one; 0: there is none.
func descendant(pid int, name string) int {
	children, _ := filepath.Glob("/proc/" + strconv.Itoa(pid) + "/task/*/children")
	for _, file := range children {
		text, _ := os.ReadFile(file)
		for _, field := range strings.Fields(string(text)) {
			child, err := strconv.Atoi(field)
			if err != nil {
				continue
			}
			if comm, _ := os.ReadFile("/proc/" + field + "/comm"); string(bytes.TrimSpace(comm)) == name {
				return child
			}
			if found := descendant(child, name); found != 0 {
				return found
			}
		}
	}
	return 0
}
