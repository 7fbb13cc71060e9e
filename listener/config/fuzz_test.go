package config

import (
	"os"
	"path/filepath"
	"testing"

	"lightspeed/match"
)

// FuzzLoad: no text makes loading panic; what is wrong has a place in the text, and what loads keeps the
// limits that the rest of the program counts on.
func FuzzLoad(f *testing.F) {
	for _, pattern := range []string{"good/*.json", "bad/*.json", "bad/*/*.json"} {
		files, err := filepath.Glob(filepath.Join(testdata, pattern))
		if err != nil || len(files) == 0 {
			f.Fatalf("no seeds %s: %v", pattern, err)
		}
		for _, file := range files {
			src, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(src)
		}
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		d, listeners := Loader{}.decode("fuzz.json", src, true)
		for _, mistake := range d.mistakes {
			checkPlace(t, d, mistake.Position)
		}
		for _, warning := range d.warnings {
			checkPlace(t, d, warning.Position)
		}
		if len(d.mistakes) > 0 {
			return
		}
		if len(listeners) == 0 {
			t.Error("neither a listener nor a mistake")
		}
		for _, l := range listeners {
			checkLimits(t, l.cfg)
		}
	})
}

func checkPlace(t *testing.T, d *decoder, p Position) {
	t.Helper()
	if p.Line < 0 || p.Line > len(d.lines) || p.Column < 0 || p.Column > len(d.src)+1 {
		t.Errorf("%s lies outside of the file", p)
	}
}

func checkLimits(t *testing.T, c Config) {
	t.Helper()
	if _, err := match.Compile(c.Rules); err != nil {
		t.Errorf("rules do not compile: %v", err)
	}
	if len(c.Exec) == 0 || c.Cwd == "" || c.Concurrency < 1 || c.Concurrency > MaxConcurrency {
		t.Errorf("limits not kept: %+v", c)
	}
	if c.Timeout <= 0 || c.Timeout > MaxTimeout || c.Grace <= 0 || c.Grace > MaxGrace || c.MaxWait <= 0 || c.MaxLog < MinLog {
		t.Errorf("limits not kept: %+v", c)
	}
	for _, step := range c.Exec {
		if (step.Run == "") == (len(step.Argv) == 0) {
			t.Errorf("step %+v: want a text or a list", step)
		}
	}
}
