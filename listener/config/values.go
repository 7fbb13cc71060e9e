package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tailscale/hujson"
)

// mostNotes is how many mistakes, and how many warnings, of one file are told.
const mostNotes = 20

// decoder reads one document and notes what is wrong with it.
type decoder struct {
	*document
	loader        Loader
	worldReadable bool
	mistakes      []Mistake
	warnings      []Warning
}

// wrong notes a mistake; after mostNotes of them only that there are more.
func (d *decoder) wrong(offset int, hint, format string, args ...any) {
	switch {
	case len(d.mistakes) < mostNotes:
		d.mistakes = append(d.mistakes, *d.mistake(offset, hint, format, args...))
	case len(d.mistakes) == mostNotes:
		d.mistakes = append(d.mistakes, Mistake{Position: Position{File: d.file}, Message: "more mistakes follow"})
	}
}

// mistaken reports whether a mistake was noted of the value there.
func (d *decoder) mistaken(offset int) bool {
	return slices.ContainsFunc(d.mistakes, func(m Mistake) bool { return m.Position == d.at(offset) })
}

func (d *decoder) warn(offset int, hint, format string, args ...any) {
	if len(d.warnings) < mostNotes {
		note := d.mistake(offset, hint, format, args...)
		d.warnings = append(d.warnings, Warning(*note))
	}
}

// kinds are the names that people have for JSON's kinds.
var kinds = map[hujson.Kind]string{
	'n': "null", 'f': "false", 't': "true", '"': "a string", '0': "a number", '{': "an object", '[': "a list",
}

// wrongType notes a value of another type than key wants; hint says what to write instead where that is plain.
func (d *decoder) wrongType(key string, v hujson.Value, want, hint string) {
	if v.Value.Kind() == 'n' {
		hint = "null stands for nothing here: leave the key out"
	}
	d.wrong(v.StartOffset, hint, "%s: want %s, got %s", key, want, kinds[v.Value.Kind()])
}

// quoted returns a string's content, for hints on values that should not have been a string.
func quoted(v hujson.Value) string {
	if v.Value.Kind() != '"' {
		return ""
	}
	return v.Value.(hujson.Literal).String()
}

// text reads a string that is not empty.
func (d *decoder) text(key string, v hujson.Value, want string) (string, bool) {
	if v.Value.Kind() != '"' {
		d.wrongType(key, v, want, "")
		return "", false
	}
	text, ok := d.anyText(key, v)
	if ok && strings.TrimSpace(text) == "" {
		d.wrong(v.StartOffset, "", "%s: empty string, want %s", key, want)
		return "", false
	}
	return text, ok
}

// anyText reads a string literal. A NUL cannot be handed to a process, and half of a surrogate pair is no
// text.
func (d *decoder) anyText(key string, v hujson.Value) (string, bool) {
	literal := v.Value.(hujson.Literal)
	text := literal.String()
	switch raw := string(literal); {
	case strings.ContainsRune(text, 0):
		d.wrong(v.StartOffset, "", `%s: a string holds the character \u0000`, key)
		return "", false
	case strings.Count(text, "\ufffd") > strings.Count(raw, "\ufffd")+strings.Count(strings.ToLower(raw), `\ufffd`):
		d.wrong(v.StartOffset, "", `%s: a string holds half of a surrogate pair (\ud800 to \udfff)`, key)
		return "", false
	}
	return text, true
}

// list reads a list's elements and refuses one without any.
func (d *decoder) list(key string, v hujson.Value, want string) []hujson.Value {
	if array, ok := v.Value.(*hujson.Array); ok && len(array.Elements) == 0 {
		d.wrong(v.StartOffset, "", "%s: empty list", key)
	}
	return d.mayBeEmpty(key, v, want)
}

// mayBeEmpty reads a list's elements.
func (d *decoder) mayBeEmpty(key string, v hujson.Value, want string) []hujson.Value {
	array, ok := v.Value.(*hujson.Array)
	if ok {
		return array.Elements
	}
	hint := ""
	if text := quoted(v); text != "" {
		hint = "put it in brackets: [" + show(text) + "]"
	}
	d.wrongType(key, v, want, hint)
	return nil
}

// flag reads true or false.
func (d *decoder) flag(key string, v hujson.Value) (value, ok bool) {
	switch v.Value.Kind() {
	case 't', 'f':
		return v.Value.(hujson.Literal).Bool(), true
	}
	hint := ""
	if text := quoted(v); text == "true" || text == "false" {
		hint = "write " + text + " without quotes"
	}
	d.wrongType(key, v, "true or false", hint)
	return false, false
}

// number reads a whole number between least and most.
func (d *decoder) number(key string, v hujson.Value, least, most int64) (int64, bool) {
	want := fmt.Sprintf("a whole number from %d to %d", least, most)
	if v.Value.Kind() != '0' {
		hint := ""
		if _, err := strconv.Atoi(quoted(v)); err == nil {
			hint = "write " + quoted(v) + " without quotes"
		}
		d.wrongType(key, v, want, hint)
		return 0, false
	}
	raw := string(v.Value.(hujson.Literal))
	n, err := strconv.ParseInt(raw, 10, 64)
	if err != nil || n < least || n > most {
		d.wrong(v.StartOffset, "", "%s: want %s, got %s", key, want, shorten(raw))
		return 0, false
	}
	return n, true
}

// choice reads one of a few words.
func (d *decoder) choice(key string, v hujson.Value, choices ...string) (string, bool) {
	quoted := make([]string, len(choices))
	for i, choice := range choices {
		quoted[i] = strconv.Quote(choice)
	}
	last := len(quoted) - 1
	want := strings.Join(quoted[:last], ", ") + " or " + quoted[last]
	text, ok := d.text(key, v, want)
	if !ok {
		return "", false
	}
	for _, choice := range choices {
		if text == choice {
			return choice, true
		}
	}
	d.wrong(v.StartOffset, didYouMean(text, choices), "%s: want %s, got %s", key, want, show(text))
	return "", false
}

const durationHint = `units are h, m, s and ms, as in "1h30m"`

// duration reads a duration in Go's spelling, more than 0 and at most most.
func (d *decoder) duration(key string, v hujson.Value, most time.Duration) (time.Duration, bool) {
	const want = `a duration like "10m"`
	if v.Value.Kind() == '0' {
		hint := fmt.Sprintf(`for seconds write "%ss"`, shorten(string(v.Value.(hujson.Literal))))
		d.wrongType(key, v, want, hint)
		return 0, false
	}
	text, ok := d.text(key, v, want)
	if !ok {
		return 0, false
	}
	value, err := time.ParseDuration(text)
	switch {
	case err != nil:
		d.wrong(v.StartOffset, durationHint, "%s: want %s, got %s", key, want, show(text))
	case value <= 0:
		d.wrong(v.StartOffset, "", "%s: want more than 0, got %s", key, show(text))
	case value > most:
		d.wrong(v.StartOffset, "", "%s: want at most %q, got %s", key, hours(most), show(text))
	default:
		return value, true
	}
	return 0, false
}

func hours(d time.Duration) string { return strconv.Itoa(int(d/time.Hour)) + "h" }

// size reads a number of bytes between least and most.
func (d *decoder) size(key string, v hujson.Value, least, most int64) (int64, bool) {
	const want = `a size like "64MiB"`
	if v.Value.Kind() == '0' {
		hint := fmt.Sprintf(`for bytes write "%sB"`, shorten(string(v.Value.(hujson.Literal))))
		d.wrongType(key, v, want, hint)
		return 0, false
	}
	text, ok := d.text(key, v, want)
	if !ok {
		return 0, false
	}
	value, err := ParseSize(text)
	switch {
	case err != nil:
		d.wrong(v.StartOffset, "units are B, KiB, MiB, GiB and TiB", "%s: want %s, got %s", key, want, show(text))
	case value < least || value > most:
		d.wrong(v.StartOffset, "", "%s: want %s to %s, got %s", key, formatSize(least), formatSize(most), show(text))
	default:
		return value, true
	}
	return 0, false
}

// show quotes text from a file, shortened and with nothing in it that a terminal would act upon.
func show(text string) string { return strconv.Quote(shorten(text)) }

func shorten(text string) string {
	const most = 60
	if utf8.RuneCountInString(text) <= most {
		return text
	}
	return string([]rune(text)[:most]) + "…"
}
