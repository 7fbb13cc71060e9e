package secret

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"regexp"
	"strings"
)

// base64Forms are what base64 makes of a value, in both alphabets. What stands before it shifts its bits: there
// are three cases. Characters that hold bits of its neighbours are left out.
func base64Forms(value string) []string {
	var list []string
	for before := range 3 {
		encoded := base64.RawStdEncoding.EncodeToString(append(make([]byte, before), value...))
		whole := encoded[(before*8+5)/6 : (before+len(value))*8/6]
		url := strings.NewReplacer("+", "-", "/", "_").Replace(whole)
		list = append(list, whole, url)
		if before == 0 {
			list = append(append(list, broken(whole, 76)...), broken(whole, 64)...)
		}
	}
	return list
}

// broken is a text in lines of a width; none when one line holds it. MIME and `base64` break at 76, PEM at 64.
func broken(text string, width int) []string {
	if len(text) <= width {
		return nil
	}
	var lines []string
	for ; len(text) > width; text = text[width:] {
		lines = append(lines, text[:width])
	}
	return append(lines, text)
}

// asComponent turns url.QueryEscape's spelling into that of JavaScript's encodeURIComponent.
var asComponent = strings.NewReplacer("+", "%20", "%21", "!", "%27", "'", "%28", "(", "%29", ")", "%2A", "*")

var escapes = regexp.MustCompile("%[0-9A-F]{2}")

func escapedForms(value string) []string {
	list := []string{hex.EncodeToString([]byte(value)), strings.ToUpper(hex.EncodeToString([]byte(value)))}
	query := url.QueryEscape(value)
	for _, escaped := range []string{query, asComponent.Replace(query), url.PathEscape(value)} {
		list = append(list, escaped, escapes.ReplaceAllStringFunc(escaped, strings.ToLower))
	}
	return append(list, jsonForm(value, true), jsonForm(value, false), strings.ReplaceAll(value, "'", `'\''`))
}

// jsonForm is a value within a JSON string.
func jsonForm(value string, html bool) string {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(html)
	_ = encoder.Encode(value) // a string can be encoded, and a buffer be written
	text := strings.TrimSuffix(b.String(), "\n")
	return text[1 : len(text)-1]
}
