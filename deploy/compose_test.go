package deploy

import (
	"bytes"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

// compose is what these tests read of deploy/compose.yaml.
type compose struct {
	Services map[string]service
	Networks map[string]struct{ Internal bool }
	Volumes  map[string]struct{}
	Secrets  map[string]struct{ File string }
}

type service struct {
	Image       string
	Command     []string
	Environment map[string]string
	Secrets     []string
	Networks    []string
	Ports       []string
	Volumes     []string
	ReadOnly    bool     `yaml:"read_only"`
	CapDrop     []string `yaml:"cap_drop"`
	Healthcheck struct{ Test []string }
}

// roles are the services that are ours, by name.
func (c compose) roles() []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(c.Services)), func(name string) bool { return name == "rabbitmq" })
}

func readCompose(t *testing.T) compose {
	t.Helper()
	text, err := os.ReadFile("compose.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var c compose
	if err := yaml.Unmarshal(text, &c); err != nil {
		t.Fatal(err)
	}
	return c
}

const inSecrets = "/run/secrets/"

// What compose.yaml says fits the program, the Dockerfile, and secrets.sh.
func TestCompose(t *testing.T) {
	t.Parallel()
	c := readCompose(t)
	if want := []string{"admin", "hooks", "listener-1", "listener-2"}; !slices.Equal(c.roles(), want) {
		t.Fatalf("the services are %v, not %v", c.roles(), want)
	}
	made := makeSecrets(t, "rabbitmq:5672")
	for name, s := range c.Secrets {
		if s.File != "./secrets/"+name {
			t.Errorf("secret %s is %s", name, s.File)
		}
		if _, err := os.Stat(filepath.Join(made, name)); err != nil {
			t.Errorf("secrets.sh does not make %s", name)
		}
	}
	used := map[string]bool{}
	for name, s := range c.Services {
		for _, one := range s.Secrets {
			used[one] = true
			if _, ok := c.Secrets[one]; !ok {
				t.Errorf("%s: no secret is called %s", name, one)
			}
		}
		checkNames(t, c, name, s)
	}
	for name := range c.Secrets {
		if !used[name] {
			t.Errorf("no service has the secret %s", name)
		}
	}
	for _, name := range c.roles() {
		checkRole(t, name, c.Services[name])
	}
}

// checkNames compares the networks, volumes and files that a service names with what there is.
func checkNames(t *testing.T, c compose, name string, s service) {
	t.Helper()
	for _, one := range s.Networks {
		if _, ok := c.Networks[one]; !ok {
			t.Errorf("%s: no network is called %s", name, one)
		}
	}
	for _, one := range s.Volumes {
		from, _, _ := strings.Cut(one, ":")
		_, ok := c.Volumes[from]
		if strings.HasPrefix(from, "./") {
			_, err := os.Stat(from)
			ok = err == nil
		}
		if !ok {
			t.Errorf("%s: there is no volume %s", name, from)
		}
	}
}

// checkRole compares a service of ours with the program's own help, and asks that it gets no more than it needs.
func checkRole(t *testing.T, name string, s service) {
	t.Helper()
	help, err := exec.Command(lightspeed, s.Command[0], "--help").Output()
	if err != nil {
		t.Fatalf("%s: lightspeed %s --help: %v", name, s.Command[0], err)
	}
	values := slices.Clone(s.Healthcheck.Test)
	for variable, value := range s.Environment {
		values = append(values, value)
		if !regexp.MustCompile(`\b` + variable + `\b`).Match(help) {
			t.Errorf("%s: lightspeed %s knows no %s", name, s.Command[0], variable)
		}
	}
	read := map[string]bool{}
	for _, value := range values {
		if file, ok := strings.CutPrefix(value, inSecrets); ok {
			read[file] = true
		}
	}
	if got := slices.Sorted(maps.Keys(read)); !slices.Equal(got, slices.Sorted(slices.Values(s.Secrets))) {
		t.Errorf("%s reads the secrets %v, and is given %v", name, got, s.Secrets)
	}
	if len(s.Healthcheck.Test) < 4 || s.Healthcheck.Test[1] != "lightspeed" {
		t.Errorf("%s: nobody asks whether it is well: %v", name, s.Healthcheck.Test)
	}
	if !s.ReadOnly || !slices.Equal(s.CapDrop, []string{"ALL"}) {
		t.Errorf("%s: read_only is %v, cap_drop %v", name, s.ReadOnly, s.CapDrop)
	}
	if !slices.ContainsFunc(s.Volumes, func(v string) bool { return v == name+":/var/lib/lightspeed" }) {
		t.Errorf("%s: its state is not kept in a volume of its own: %v", name, s.Volumes)
	}
	if slices.Contains(s.Networks, "broker") == (name == "hooks") {
		t.Errorf("%s is in the networks %v", name, s.Networks)
	}
}

// The ports at which services listen, are asked, and are published are the same, and the image names them.
func TestPortsAgree(t *testing.T) {
	t.Parallel()
	c := readCompose(t)
	dockerfile, err := os.ReadFile("../Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	for role, variable := range map[string]string{"admin": "LIGHTSPEED_ADDR", "hooks": "LIGHTSPEED_HOOKS_ADDR"} {
		s := c.Services[role]
		port := s.Environment[variable] // ":8080"
		if len(s.Ports) != 1 || !strings.HasSuffix(s.Ports[0], port+port) && s.Ports[0] != strings.TrimPrefix(port+port, ":") {
			t.Errorf("%s listens on %s and publishes %v", role, port, s.Ports)
		}
		if asked := s.Healthcheck.Test; !strings.HasSuffix(asked[3], "://localhost"+port) {
			t.Errorf("%s listens on %s, and its health check asks %v", role, port, asked)
		}
		if !regexp.MustCompile(`(?m)^EXPOSE .*\b` + port[1:] + `\b`).Match(dockerfile) {
			t.Errorf("the Dockerfile does not expose %s of %s", port, role)
		}
	}
	at := "https://admin" + c.Services["admin"].Environment["LIGHTSPEED_ADDR"]
	for _, name := range c.roles() {
		if got := c.Services[name].Environment["LIGHTSPEED_ADMIN"]; name != "admin" && got != at {
			t.Errorf("%s looks for admin at %s, and that is at %s", name, got, at)
		}
	}
	for _, line := range []string{"USER 10001:10001", `ENTRYPOINT ["/usr/bin/tini", "--", "/usr/local/bin/lightspeed"]`} {
		if !bytes.Contains(dockerfile, []byte("\n"+line+"\n")) {
			t.Errorf("the Dockerfile has no line %s", line)
		}
	}
}

// makeSecrets runs secrets.sh into a folder of the test's own, which anyone may read.
func makeSecrets(t *testing.T, rabbitmq string, env ...string) string {
	t.Helper()
	folder := filepath.Join(t.TempDir(), "secrets")
	runSecrets(t, folder, append(env, "RABBITMQ="+rabbitmq)...)
	return folder
}

func runSecrets(t *testing.T, folder string, env ...string) {
	t.Helper()
	cmd := exec.Command("./secrets.sh", folder)
	cmd.Env = append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("secrets.sh: %v\n%s", err, out)
	}
}

// The folder of the secrets is closed, and the one that it is in, /etc/lightspeed, open: listeners read their configs there.
func TestSecretsAreClosedAlone(t *testing.T) {
	t.Parallel()
	configs := filepath.Join(t.TempDir(), "etc", "lightspeed")
	script := exec.Command("/bin/sh", "-c", `umask 022; exec ./secrets.sh "$0"`, filepath.Join(configs, "secrets"))
	if out, err := script.CombinedOutput(); err != nil {
		t.Fatalf("secrets.sh: %v\n%s", err, out)
	}
	for path, want := range map[string]os.FileMode{configs: 0o755, filepath.Join(configs, "secrets"): 0o700} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v; want %v", path, info.Mode(), err, want)
		}
	}
}

// secrets.sh makes what is missing and keeps what is there, but for the accounts' permissions, which follow the listeners' names.
func TestSecretsAreKept(t *testing.T) {
	t.Parallel()
	folder := makeSecrets(t, "rabbitmq:5672")
	before := readAll(t, folder)
	if err := os.Remove(filepath.Join(folder, "hooks-token")); err != nil {
		t.Fatal(err)
	}
	runSecrets(t, folder, "LISTENERS=a.b acme/shop")
	after := readAll(t, folder)
	for name, text := range before {
		same := text == after[name]
		switch name {
		case "hooks-token", "listeners", "rabbitmq-definitions.json":
			if same {
				t.Errorf("%s is what it was", name)
			}
		default:
			if !same {
				t.Errorf("%s was made anew", name)
			}
		}
	}
	if want := `"read": "^ls\\.job\\.(a\\.b|acme/shop)$"`; !strings.Contains(after["rabbitmq-definitions.json"], want) {
		t.Errorf("the definitions have no %s:\n%s", want, after["rabbitmq-definitions.json"])
	}
	info, err := os.Stat(folder)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("others get into the folder: %v, %v", info.Mode(), err)
	}
}

func readAll(t *testing.T, folder string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, entry := range entries {
		text, err := os.ReadFile(filepath.Join(folder, entry.Name()))
		if err != nil {
			t.Fatal(err)
		}
		all[entry.Name()] = string(text)
	}
	return all
}
