package redelivery

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"time"

	"lightspeed/secret"
)

// signer makes the tokens by which an App speaks for itself:
// https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app/generating-a-json-web-token-jwt-for-a-github-app
type signer struct {
	app string
	key *rsa.PrivateKey
}

var errKey = errors.New("the App's private key is not RSA in PEM form")

func newSigner(app string, key secret.Value) (*signer, error) {
	if app == "" || key.IsZero() {
		return nil, errors.New(`hook "app" needs the App's id and its private key`)
	}
	block, _ := pem.Decode([]byte(key.Reveal()))
	if block == nil {
		return nil, errKey
	}
	if own, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return &signer{app, own}, nil
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	own, ok := parsed.(*rsa.PrivateKey)
	if err != nil || !ok {
		return nil, errKey
	}
	return &signer{app, own}, nil
}

func (s *signer) token() (string, error) {
	now := time.Now()
	claims, err := json.Marshal(map[string]any{"iat": now.Add(-clockAllowed).Unix(), "exp": now.Add(jwtLife).Unix(), "iss": s.app})
	if err != nil {
		return "", err
	}
	encode := base64.RawURLEncoding.EncodeToString
	text := encode([]byte(`{"alg":"RS256","typ":"JWT"}`)) + "." + encode(claims)
	sum := sha256.Sum256([]byte(text))
	signature, err := rsa.SignPKCS1v15(rand.Reader, s.key, crypto.SHA256, sum[:])
	return text + "." + encode(signature), err
}
