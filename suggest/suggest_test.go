package suggest

import "testing"

func TestNearest(t *testing.T) {
	keys := []string{"name", "exec", "branches", "branch_filter", "pass_env", "env", "when_busy", "max_log"}
	for word, want := range map[string]string{
		"nmae":       "name",
		"Branches":   "branches",
		"brnches":    "branches",
		"whenbusy":   "when_busy",
		"pass-env":   "pass_env",
		"max_logs":   "max_log",
		"exce":       "exec",
		"":           "",
		"kubernetes": "",
		"zzz":        "",
	} {
		if got := Nearest(word, keys); got != want {
			t.Errorf("Nearest(%q) = %q, want %q", word, got, want)
		}
	}
	if got := Nearest("name", nil); got != "" {
		t.Errorf("of no names it found %q", got)
	}
}
