package discord

import (
	"strings"
	"testing"
	"unicode/utf16"
)

func TestUnits(t *testing.T) {
	for _, text := range []string{"", "abc", "äöü", "日本語", "👍🏽x", "\ufffd"} {
		if got, want := units(text), len(utf16.Encode([]rune(text))); got != want {
			t.Errorf("%q: got %d, want %d", text, got, want)
		}
	}
}

func TestTextIsOneVisibleLine(t *testing.T) {
	for text, want := range map[string]string{
		"  a\r\n\tb  ":                     "a b",
		"\u202egnp.exe\u202c":              "gnp.exe",
		"a\x00\x1b[31m\u009bb\u200b\ufeff": "a[31mb",
		"\xff\xfe":                         "\ufffd",
		"a\u2028b\u00a0c":                  "a b c",
		"👩\u200d💻":                         "👩\u200d💻",
		"\u3164\u2800":                     "",
		"x\U000e0041y":                     "xy",
		strings.Repeat("é", 30):            strings.Repeat("é", 19) + "…",
		strings.Repeat("👍", 30):            strings.Repeat("👍", 9) + "…",
		"exactly nineteen ch":              "exactly nineteen ch",
		"exactly twenty chars":             "exactly twenty char…",
	} {
		if got := plain(text, 20); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

func TestEscapedTextIsNoMarkdown(t *testing.T) {
	for text, want := range map[string]string{
		"@everyone <@1> <#2>":     `\@everyone \<\@1> \<#2>`,
		"[x](https://evil.test)":  `\[x\](https\://evil.test)`,
		"**b** _i_ ~~s~~ ||p||":   `\*\*b\*\* \_i\_ \~\~s\~\~ \|\|p\|\|`,
		"# title":                 `\# title`,
		"> quote - no list":       `\> quote - no list`,
		"-# small":                `\-# small`,
		"fix: my-repo v1.2 (#3)":  `fix: my-repo v1.2 (#3)`,
		"```\ncode":               "\\`\\`\\` code",
		`back\slash`:              `back\\slash`,
		strings.Repeat("_", 1000): strings.Repeat(`\_`, 49) + "…",
	} {
		if got := escaped(text, 100); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
	if got := code("a`b``c <@1>", 100); got != "`aˋbˋˋc <@1>`" {
		t.Errorf("got %q", got)
	}
	if got := code("\u200b \n", 100); got != "" {
		t.Errorf("got %q", got)
	}
	if got := code(strings.Repeat("x", 50), 20); units(got) != 20 || !strings.HasSuffix(got, "…`") {
		t.Errorf("got %q", got)
	}
}

func TestReadable(t *testing.T) {
	for log, want := range map[string]string{
		"":                                      "",
		"plain\n":                               "plain",
		"a\r\nb\r\n":                            "a\nb",
		"\x1b[1;31mred\x1b[0m\x1b[K":            "red",
		"\x1b]0;title\x07x\x1b]8;;u\x1b\\y":     "xy",
		"\x1b(Bx\x1b=y\x1bPq#\x1b\\z":           "xyz",
		"\u009b31mred\u009bm":                   "31mredm", // nobody writes these in UTF-8
		"\x1b]0;never ended\nnext":              "\nnext",
		"\x1b":                                  "",
		"\xff\xfe":                              "\ufffd\ufffd",
		"10%\r50%\r100%\ndone\r\n":              "100%\ndone",
		"tab\tkept\x08\x00\x07":                 "tab\tkept",
		"\u202eabc":                             "abc",
		"\xffx":                                 "\ufffdx",
		"cut \x1b[3":                            "cut",
		"a\n\n\n":                               "a",
		"unended \x1b]0;title and what is left": "unended",
	} {
		if got := readable([]byte(log)); got != want {
			t.Errorf("%q: got %q, want %q", log, got, want)
		}
	}
}

func TestExcerpt(t *testing.T) {
	if got, whole := excerpt("a\nb"); got != "```\na\nb\n```" || !whole {
		t.Errorf("got %q, %v", got, whole)
	}
	if got, whole := excerpt(" \n\t\n"); got != "" || !whole {
		t.Errorf("got %q, %v", got, whole)
	}
	lines := strings.TrimSuffix(strings.Repeat("x\n", 16), "\n")
	if got, whole := excerpt(lines); strings.Count(got, "x") != 15 || whole {
		t.Errorf("got %q, %v", got, whole)
	}
	got, whole := excerpt("first\n" + strings.Repeat("👍", 2000) + "END")
	if !strings.HasPrefix(got, "```\n…👍") || !strings.HasSuffix(got, "END\n```") || whole || units(got) > excerptUnits+10 {
		t.Errorf("got %d units, %q", units(got), got)
	}
	for _, hostile := range []string{"```", "````", "`````", "a```b\n```\n``` js", strings.Repeat("`", 3000), "`\n``\n```"} {
		got, _ := excerpt(hostile)
		if strings.Count(got, "```") != 2 || units(got) > excerptUnits+10 {
			t.Errorf("%.20q: %d units, %q", hostile, units(got), got)
		}
	}
}
