package secret

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func revealed(values []Value) []string {
	var texts []string
	for _, v := range values {
		texts = append(texts, v.Reveal())
	}
	return texts
}

func TestFromFile(t *testing.T) {
	for text, want := range map[string]string{
		"token":                      "token",
		"token\n":                    "token",
		"token\r\n":                  "token",
		"token\n\n":                  "token",
		" token \n":                  " token ",
		"first\nsecond\n":            "first\nsecond",
		strings.Repeat("x", MaxFile): strings.Repeat("x", MaxFile),
	} {
		v, err := FromFile(write(t, text))
		if err != nil || v.Reveal() != want {
			t.Errorf("%.20q gives %.20q (%v), want %.20q", text, v.Reveal(), err, want)
		}
	}
}

func TestFileValues(t *testing.T) {
	values, err := FileValues(write(t, "old\r\n\nnew one\n\nlast"))
	if want := []string{"old", "new one", "last"}; err != nil || !slices.Equal(revealed(values), want) {
		t.Errorf("got %q (%v), want %q", revealed(values), err, want)
	}
}

func TestFileErrorsNameTheFileAndNotItsText(t *testing.T) {
	large := write(t, strings.Repeat("x", MaxFile+1))
	empty := write(t, "\n\r\n")
	folder := t.TempDir()
	for path, want := range map[string]string{
		large:          "secret file " + large + " is larger than 64 KiB",
		empty:          "secret file " + empty + " is empty",
		folder:         "secret file " + folder + ": is a directory",
		folder + "/no": "secret file " + folder + "/no: no such file or directory",
	} {
		if _, err := FromFile(path); err == nil || err.Error() != want {
			t.Errorf("FromFile: got %v, want %s", err, want)
		}
		if _, err := FileValues(path); err == nil || err.Error() != want {
			t.Errorf("FileValues: got %v, want %s", err, want)
		}
	}
}

func TestLookup(t *testing.T) {
	one, two, empty := write(t, "one\n"), write(t, "one\ntwo\n"), write(t, "")
	for name, test := range map[string]struct {
		env  map[string]string
		want []string
		err  string
	}{
		"nothing set":     {},
		"value":           {env: map[string]string{"S": "a"}, want: []string{"a"}},
		"values":          {env: map[string]string{"S": "a\nb"}, want: []string{"a", "b"}},
		"file":            {env: map[string]string{"S_FILE": one}, want: []string{"one"}},
		"file of two":     {env: map[string]string{"S_FILE": two}, want: []string{"one", "two"}},
		"empty beside it": {env: map[string]string{"S": "", "S_FILE": one}, want: []string{"one"}},
		"empty twin":      {env: map[string]string{"S": "a", "S_FILE": ""}, want: []string{"a"}},
		"both":            {env: map[string]string{"S": "a", "S_FILE": one}, err: "S and S_FILE are both set: set one of them"},
		"empty file":      {env: map[string]string{"S_FILE": empty}, err: "S_FILE: secret file " + empty + " is empty"},
		"missing file":    {env: map[string]string{"S_FILE": "/no/such"}, err: "S_FILE: secret file /no/such: no such file or directory"},
		"line ends":       {env: map[string]string{"S": "\n\n"}, err: "S holds nothing but line ends"},
	} {
		get := func(name string) (string, bool) { v, ok := test.env[name]; return v, ok }
		values, err := Lookup("S", get)
		if !slices.Equal(revealed(values), test.want) || message(err) != test.err {
			t.Errorf("%s: got %q, error %q; want %q, error %q", name, revealed(values), message(err), test.want, test.err)
		}
	}
}

func TestLookupOne(t *testing.T) {
	env := map[string]string{"ONE": "a\n", "TWO": "a\nb"}
	get := func(name string) (string, bool) { v, ok := env[name]; return v, ok }
	if v, err := LookupOne("ONE", get); err != nil || v.Reveal() != "a" {
		t.Errorf("got %q (%v), want a", v.Reveal(), err)
	}
	if v, err := LookupOne("NONE", get); err != nil || !v.IsZero() {
		t.Errorf("got %q (%v), want the zero Value", v.Reveal(), err)
	}
	const want = "TWO or TWO_FILE holds 2 values: it takes one"
	if _, err := LookupOne("TWO", get); message(err) != want {
		t.Errorf("got %q, want %q", message(err), want)
	}
}

func message(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
