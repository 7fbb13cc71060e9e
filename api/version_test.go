package api

import "testing"

func TestCheckVersions(t *testing.T) {
	for _, c := range []struct{ admin, caller, want string }{
		{"1.4", "1.4", ""},
		{"1.4", "1.3.9", ""},
		{"1.4.1", "v1.5", ""},
		{"1.4", "", ""},
		{"1.4", "dev", ""},
		{"dev", "9.9", ""},
		{"1.4", "1.2", `admin is version 1.4 and was called by "1.2": they may be one minor version apart; upgrade whoever calls`},
		{"1.4", "1.6", `admin is version 1.4 and was called by "1.6": they may be one minor version apart; upgrade admin`},
		{"1.9", "2.0", `admin is version 1.9 and was called by "2.0": they may be one minor version apart; upgrade admin`},
		{"2.0", "1.9", `admin is version 2.0 and was called by "1.9": they may be one minor version apart; upgrade whoever calls`},
	} {
		got := ""
		if err := CheckVersions(c.admin, c.caller); err != nil {
			got = err.Message
		}
		if got != c.want {
			t.Errorf("%s called by %s: %q, want %q", c.admin, c.caller, got, c.want)
		}
	}
}
