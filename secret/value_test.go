package secret

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"text/template"
)

const shibboleth = "hunter2-shibboleth"

type exported struct{ Value Value }

type unexported struct {
	value Value
	list  []Value
	named map[string]Value
}

// carriers are the ways in which a value may end up in front of a printer.
func carriers() map[string]any {
	v := New(shibboleth)
	return map[string]any{
		"value":        v,
		"pointer":      &v,
		"exported":     exported{v},
		"exported ptr": &exported{v},
		"unexported":   unexported{v, []Value{v}, map[string]Value{"a": v}},
		"unexp. ptr":   &unexported{v, []Value{v}, map[string]Value{"a": v}},
		"slice":        []Value{v},
		"pointers":     []*Value{&v},
		"array":        [1]Value{v},
		"map":          map[string]Value{"a": v},
		"key":          map[Value]string{v: "a"},
		"any":          []any{v, &v},
		"error":        fmt.Errorf("no such token: %v", v),
		"joined":       errors.Join(fmt.Errorf("%+v", v), fmt.Errorf("%#v", exported{v})),
	}
}

// seen fails when text shows the secret in any form that a printer could give it.
func seen(t *testing.T, how, text string) {
	t.Helper()
	hex := fmt.Sprintf("%x", shibboleth)
	decimals := strings.Trim(fmt.Sprint([]byte(shibboleth)), "[]")
	for _, form := range []string{shibboleth, hex, strings.ToUpper(hex), decimals, "hunter2"} {
		if strings.Contains(text, form) {
			t.Errorf("%s shows the secret: %s", how, text)
		}
	}
}

func TestNoVerbShowsTheValue(t *testing.T) {
	flags := []string{"", "+", "#", "-", " ", "0", "40", ".3", "+#", "# "}
	for name, carrier := range carriers() {
		for verb := 'A'; verb <= 'z'; verb++ {
			for _, flag := range flags {
				format := "%" + flag + string(verb)
				seen(t, name+" "+format, fmt.Sprintf(format, carrier))
			}
		}
		seen(t, name+" Sprint", fmt.Sprint(carrier, carrier))
		seen(t, name+" Sprintln", fmt.Sprintln(carrier))
		for _, wrong := range []string{"none", "%*d", "%[9]d"} {
			seen(t, name+" "+wrong, fmt.Sprintf(wrong, carrier, 1))
		}
	}
}

func TestValuePrintsAsHidden(t *testing.T) {
	v := New(shibboleth)
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		if got := fmt.Sprintf(format, v); got != "[secret]" {
			t.Errorf("%s prints %q, want [secret]", format, got)
		}
	}
	if v.String() != "[secret]" || v.GoString() != "[secret]" || Value.String(Value{}) != "[secret]" {
		t.Error("String or GoString is not [secret]")
	}
}

func TestNoLogHandlerShowsTheValue(t *testing.T) {
	everything := &slog.HandlerOptions{Level: slog.LevelDebug, AddSource: true}
	for name, carrier := range carriers() {
		var out bytes.Buffer
		for _, handler := range []slog.Handler{slog.NewTextHandler(&out, everything), slog.NewJSONHandler(&out, everything)} {
			log := slog.New(handler).With("with", carrier).WithGroup("group")
			log.Info("message", "attr", carrier, slog.Group("inner", "attr", carrier), slog.Any("any", []any{carrier}))
		}
		if !strings.Contains(out.String(), "message") {
			t.Fatal("nothing was logged")
		}
		seen(t, name, out.String())
	}
}

func TestNoEncoderShowsTheValue(t *testing.T) {
	for name, carrier := range carriers() {
		if text, err := json.Marshal(carrier); err == nil {
			seen(t, name+" JSON", string(text))
		}
		if text, err := xml.Marshal(carrier); err == nil {
			seen(t, name+" XML", string(text))
		}
		var page bytes.Buffer
		if err := template.Must(template.New("").Parse("{{.}} {{printf `%#v` .}}")).Execute(&page, carrier); err == nil {
			seen(t, name+" template", page.String())
		}
	}
	text, err := json.Marshal(exported{New(shibboleth)})
	if err != nil || string(text) != `{"Value":"[secret]"}` {
		t.Errorf("JSON is %s (%v), want [secret]", text, err)
	}
}

func TestValueHoldsItsText(t *testing.T) {
	v := New(shibboleth)
	if v.Reveal() != shibboleth || v.IsZero() || !v.Equal(shibboleth) || v.Equal("other") || v.Equal("") {
		t.Error("a value does not hold its text")
	}
	for _, zero := range []Value{{}, New("")} {
		if zero.Reveal() != "" || !zero.IsZero() || zero.Equal("other") || zero != (Value{}) {
			t.Error("an empty value is not the zero Value")
		}
	}
}
