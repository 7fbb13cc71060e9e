package deploy

import (
	"os/exec"
	"testing"
)

// TestAlerts has promtool, of Debian's package prometheus, read the rules and try them on numbers.
func TestAlerts(t *testing.T) {
	for _, args := range [][]string{{"check", "rules", "alerts.yaml"}, {"test", "rules", "alerts_rules_test.yaml"}} {
		if out, err := exec.CommandContext(t.Context(), "promtool", args...).CombinedOutput(); err != nil {
			t.Errorf("promtool %v: %v (`make tools` installs it)\n%s", args, err, out)
		}
	}
}
