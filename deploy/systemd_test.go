package deploy

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// exposed is the most that each unit may be, in tenths, by `systemd-analyze security`: 100 is a service that is let do
// everything. A listener's commands are allowed more than the servers are.
var exposed = map[string]string{
	"lightspeed-admin.service":   "13",
	"lightspeed-hooks.service":   "13",
	"lightspeed-listen@.service": "25",
}

// The units load without a warning, are as closed as they say, and name variables that the program knows and secrets that
// secrets.sh makes.
func TestSystemdUnits(t *testing.T) {
	t.Parallel()
	units, err := filepath.Glob("systemd/*")
	if err != nil || len(units) != len(exposed) {
		t.Fatalf("units: %v, %v", units, err)
	}
	made := makeSecrets(t, "rabbitmq:5672")
	here := t.TempDir()
	for _, path := range units {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		unit := filepath.Join(here, filepath.Base(path))
		installed := strings.Replace(string(text), "=/usr/local/bin/lightspeed ", "="+lightspeed+" ", 1)
		if err := os.WriteFile(unit, []byte(installed), 0o644); err != nil {
			t.Fatal(err)
		}
		analyze(t, "verify", unit)
		analyze(t, "security", "--offline=yes", "--no-pager", "--threshold="+exposed[filepath.Base(path)], unit)
		checkUnit(t, filepath.Base(path), string(text), made)
	}
}

func analyze(t *testing.T, args ...string) {
	t.Helper()
	out, err := exec.Command("systemd-analyze", args...).CombinedOutput()
	if err != nil || args[0] == "verify" && len(out) > 0 {
		t.Errorf("systemd-analyze %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

func checkUnit(t *testing.T, name, text, secrets string) {
	t.Helper()
	command := regexp.MustCompile(`(?m)^ExecStart=\S+ (\w+)`).FindStringSubmatch(text)[1]
	help, err := exec.Command(lightspeed, command, "--help").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, found := range regexp.MustCompile(`(?m)^Environment=(\w+)=(.*)$`).FindAllStringSubmatch(text, -1) {
		if !regexp.MustCompile(`\b` + found[1] + `\b`).Match(help) {
			t.Errorf("%s: lightspeed %s knows no %s", name, command, found[1])
		}
		if file, ok := strings.CutPrefix(found[2], "%d/"); ok && !strings.Contains(text, "\nLoadCredential="+file+":/etc/lightspeed/secrets/"+file+"\n") {
			t.Errorf("%s reads %s, and does not load it", name, found[2])
		}
	}
	for _, found := range regexp.MustCompile(`(?m)^LoadCredential=(.*?):`).FindAllStringSubmatch(text, -1) {
		if _, err := os.Stat(filepath.Join(secrets, found[1])); err != nil || !strings.Contains(text, "=%d/"+found[1]+"\n") {
			t.Errorf("%s loads %s, which it does not read or secrets.sh does not make", name, found[1])
		}
	}
}
