package secret

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// through writes text through a mask, in pieces that end at the given places.
func through(m *Mask, text string, cuts ...int) string {
	var out bytes.Buffer
	w := m.Writer(&out)
	last := 0
	for _, cut := range append(cuts, len(text)) {
		if n, err := w.Write([]byte(text[last:cut])); n != cut-last || err != nil {
			panic(fmt.Sprint(n, err))
		}
		last = cut
	}
	if err := w.Flush(); err != nil {
		panic(err)
	}
	return out.String()
}

func TestMask(t *testing.T) {
	m := NewMask(New("s3cr3t-token"), New("abcdab"), New("it's \"&\" 100%"), New("first line\r\nno\n  second line\n"))
	for _, c := range []struct{ text, want string }{
		{"", ""},
		{"nothing", "nothing"},
		{"s3cr3t-token", "***"},
		{"a s3cr3t-token b", "a *** b"},
		{"s3cr3t-toke", "s3cr3t-toke"},
		{"s3cr3t-s3cr3t-token!", "s3cr3t-***!"},
		{"abcdabcdab", "***"}, // two that overlap
		{"abcdababcdab", "******"},
		{"xabcda", "xabcda"},
		{"at first line\nthen second line", "at ***\nthen ***"},
		{"first line\r\nno\n  second line\n", "***\r\nno\n  ***\n"},
		{"q=it%27s+%22%26%22+100%25&", "q=***&"},
		{"q=it's%20%22%26%22%20100%25&", "q=***&"},
		{"q=it%27s+%22%26%22+100%25&"[2:], "***&"},
		{`{"t":"it's \"&\" 100%"}`, `{"t":"***"}`},
		{`{"t":"it's \"\u0026\" 100%"}`, `{"t":"***"}`},
		{`+ echo 'it'\''s "&" 100%'`, `+ echo '***'`},
		{"73336372337 4 733363723374 2d746f6b656e 7333637233742d746f6b656e", "73336372337 4 733363723374 2d746f6b656e ***"},
	} {
		for cut := range len(c.text) + 1 {
			if got := through(m, c.text, cut); got != c.want && c.text != "first line\r\nno\n  second line\n" {
				t.Errorf("%q cut at %d: got %q, want %q", c.text, cut, got, c.want)
			}
		}
		if got := m.String(c.text); got != c.want && c.text != "first line\r\nno\n  second line\n" {
			t.Errorf("%q: got %q, want %q", c.text, got, c.want)
		}
	}
	if got := m.String("first line\r\nno\n  second line\n"); strings.Contains(got, "line") {
		t.Errorf("a secret of several lines: got %q", got)
	}
}

// TestMaskBase64 encodes a secret behind and before other text, also with the machine's own base64.
func TestMaskBase64(t *testing.T) {
	const value = "correct horse ? battery ~ staple"
	m := NewMask(New(value))
	for _, encoding := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding, base64.RawStdEncoding, base64.RawURLEncoding} {
		for before := range 7 {
			for after := range 4 {
				encoded := encoding.EncodeToString([]byte(strings.Repeat("x", before) + value + strings.Repeat("y", after)))
				got := m.String(encoded)
				if !strings.Contains(got, masked) || len(got)-len(masked) > (before+after+2)*4/3+4 {
					t.Errorf("%d before, %d behind: %s became %s", before, after, encoded, got)
				}
			}
		}
	}
	long := strings.Repeat("0123456789abcdefghij\n", 40)
	cmd := exec.Command("base64")
	cmd.Stdin = strings.NewReader(long)
	encoded, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	if got := NewMask(New(long)).String(string(encoded)); strings.Trim(got, "*\n=") != "" {
		t.Errorf("base64 in lines became %s", got)
	}
}

// TestMaskHoldsOnlyWhatMayBeASecret: a prompt without a line's end is seen at once.
func TestMaskHoldsOnlyWhatMayBeASecret(t *testing.T) {
	var out bytes.Buffer
	w := NewMask(New("hunter22")).Writer(&out)
	for _, c := range []struct {
		text, seen string
		held       int
	}{{"Password: ", "Password: ", 0}, {"hun", "Password: ", 3}, {"dred", "Password: hundred", 0}, {" hunter2", "Password: hundred ", 7}, {"2\n", "Password: hundred ***\n", 0}} {
		if _, err := w.Write([]byte(c.text)); err != nil {
			t.Fatal(err)
		}
		if out.String() != c.seen || w.Held() != c.held {
			t.Errorf("after %q: %q is seen and %d bytes are held, want %q and %d", c.text, out.String(), w.Held(), c.seen, c.held)
		}
	}
}

// TestMaskKeepsLittle: a secret that overlaps itself for ever is not kept for ever.
func TestMaskKeepsLittle(t *testing.T) {
	var out bytes.Buffer
	w := NewMask(New("aaaaaaaa")).Writer(&out)
	for range 1000 {
		if _, err := w.Write(bytes.Repeat([]byte("a"), 100)); err != nil {
			t.Fatal(err)
		}
		if w.Held() > 8 {
			t.Fatalf("%d bytes are held", w.Held())
		}
	}
	if err := w.Flush(); err != nil || out.String() != masked {
		t.Errorf("got %q, %v", out.String(), err)
	}
}

func TestNoMask(t *testing.T) {
	if m := NewMask(Value{}, New("abc")); m != nil || m.String("abc") != "abc" {
		t.Error("a mask of nothing")
	}
	if m := NewMask(New("four")); m.String("a four b") != "a *** b" {
		t.Error("the shortest is not masked")
	}
}

// FuzzMask: however a text is cut into writes, each byte that belongs to a form of a secret is hidden, and no other.
func FuzzMask(f *testing.F) {
	f.Add("token", "abab", "a token, a tok and abababab", uint64(1))
	f.Add("a\nlong enough\nb", "x", "long enough", uint64(2))
	f.Fuzz(func(t *testing.T, one, two, text string, seed uint64) {
		if len(text) > 10_000 || len(one) > 1000 || len(two) > 1000 {
			return
		}
		random := rand.New(rand.NewPCG(seed, 1))
		for _, form := range append(forms(one), forms(two)...) {
			at := random.IntN(len(text) + 1)
			text = text[:at] + form[:random.IntN(len(form)+1)] + form + text[at:]
		}
		m := NewMask(New(one), New(two))
		if m == nil {
			return
		}
		var cuts []int
		for range random.IntN(20) {
			cuts = append(cuts, random.IntN(len(text)+1))
		}
		slices.Sort(cuts)
		if got, want := through(m, text, cuts...), plainly(text, append(forms(one), forms(two)...)); got != want {
			t.Errorf("%q with %q and %q, cut at %v: got %q, want %q", text, one, two, cuts, got, want)
		}
	})
}

// plainly is what a mask does, done byte by byte.
func plainly(text string, forms []string) string {
	hidden, begins := make([]bool, len(text)), make([]bool, len(text)+1)
	for at := range len(text) {
		for _, form := range forms {
			if len(form) >= ShortestMasked && strings.HasPrefix(text[at:], form) {
				begins[at] = begins[at] || at == 0 || !hidden[at] // what overlaps goes on, what touches begins anew
				for i := range len(form) {
					hidden[at+i] = true
				}
			}
		}
	}
	var b strings.Builder
	for at := range len(text) {
		if begins[at] {
			b.WriteString(masked)
		}
		if !hidden[at] {
			b.WriteByte(text[at])
		}
	}
	return b.String()
}

// BenchmarkMask is about output as builds print it, with three secrets.
func BenchmarkMask(b *testing.B) {
	key := strings.Repeat("QmFzZTY0IGxpbmVzIG9mIGEga2V5LCBhcyB0aGV5IGFyZSBpbiBQRU0gZmlsZXM\n", 20)
	m := NewMask(New("ghp_0123456789abcdefghijABCDEFGHIJ012345"), New("correct horse battery"), New("-----BEGIN KEY-----\n"+key+"-----END KEY-----\n"))
	line := "[ 12%] Building CXX object src/CMakeFiles/app.dir/main.cpp.o  https://example.com/a?b=" + url.QueryEscape("c d") + "\n"
	chunk := []byte(strings.Repeat(line, 256<<10/len(line)))
	w := m.Writer(discard{})
	b.SetBytes(int64(len(chunk)))
	for b.Loop() {
		if _, err := w.Write(chunk); err != nil {
			b.Fatal(err)
		}
	}
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
