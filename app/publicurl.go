package app

import (
	"net/url"
	"strings"
)

// publicURL checks the address under which people find admin's page, and takes the slash off its end.
func publicURL(text string) (string, error) {
	if text == "" {
		return "", nil
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return "", Usagef("it looks like https://ci.example.com", "--public-url is %q, and must be an address that a browser opens", text)
	}
	return strings.TrimRight(text, "/"), nil
}
