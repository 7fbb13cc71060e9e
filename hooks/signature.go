package hooks

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"net/http"
	"strings"

	"lightspeed/api"
)

// errSignature is the one answer to all that is not signed as it should be: it says nothing about what
// came closer.
var errSignature = api.Errorf(http.StatusUnauthorized, api.Unauthorized, "the signature is missing or wrong")

type signature [sha256.Size]byte

// readSignature reads X-Hub-Signature-256, which must be there once: "sha256=" and 64 hexadecimal digits
// (https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries).
func readSignature(values []string) (sig signature, ok bool) {
	if len(values) != 1 {
		return sig, false
	}
	digits, found := strings.CutPrefix(values[0], "sha256=")
	if !found || len(digits) != hex.EncodedLen(len(sig)) {
		return sig, false
	}
	_, err := hex.Decode(sig[:], []byte(digits))
	return sig, err == nil
}

// signed reports whether one of the secrets signs body so. It takes as long whichever it is.
func (s *Server) signed(sig signature, body []byte) bool {
	match := 0
	for _, value := range s.secrets {
		mac := hmac.New(sha256.New, []byte(value.Reveal()))
		mac.Write(body)
		match |= subtle.ConstantTimeCompare(mac.Sum(nil), sig[:])
	}
	return match == 1
}
