package hooks

import (
	"encoding/hex"
	"regexp"
	"testing"

	"lightspeed/secret"
)

var signatureForm = regexp.MustCompile(`\Asha256=[0-9a-fA-F]{64}\z`)

func FuzzSignature(f *testing.F) {
	good := sign(key, push)
	for _, text := range []string{good, "", "sha256=", good[:70], good + "0", good[7:], "sha1=" + good[7:47], "SHA256=" + good[7:], "sha256=\x00" + good[8:]} {
		f.Add(text, "", push, 1)
	}
	f.Add(good, good, push, 2)
	f.Add(good, "", push+" ", 1)
	f.Add(good, "", push, 0)
	s := &Server{secrets: []secret.Value{secret.New("old"), secret.New(key)}}
	f.Fuzz(func(t *testing.T, first, second, body string, count int) {
		values := []string{first, second}[:min(max(count, 0), 2)]
		sig, ok := readSignature(values)
		if want := len(values) == 1 && signatureForm.MatchString(first); ok != want {
			t.Fatalf("%q: read %v, want %v", values, ok, want)
		}
		if !ok {
			return
		}
		text := "sha256=" + hex.EncodeToString(sig[:])
		if got, want := s.signed(sig, []byte(body)), text == sign(key, body) || text == sign("old", body); got != want {
			t.Errorf("%q signs %q: %v, want %v", first, body, got, want)
		}
	})
}
