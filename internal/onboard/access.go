package onboard

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strings"
)

// minKey is the least length of the service key, in bytes: 256 bits where each
// is random.
const minKey = 32

// Keys makes the ids and secrets of cases from the service key, so that none is
// stored. Who changes the key shuts every customer out of their case.
type Keys struct{ key []byte }

// NewKeys returns the keys that follow from the service key.
func NewKeys(service string) (Keys, error) {
	if len(service) < minKey {
		return Keys{}, errors.New("the service key is shorter than 32 bytes")
	}
	return Keys{key: []byte(service)}, nil
}

// Case returns the id of the case that an idempotency key begins: 128 bits that
// nobody can tell without the service key.
func (k Keys) Case(idempotency string) string {
	return hex.EncodeToString(k.sum("case\n" + idempotency)[:16])
}

// Secret returns what a case is reached with: HMAC-SHA256 of its id, in
// base64url without padding.
func (k Keys) Secret(id string) string {
	return base64.RawURLEncoding.EncodeToString(k.sum(id))
}

// Allows tells whether the secret is the case's. It takes the same time for
// every secret, and for a case that does not exist.
func (k Keys) Allows(id, secret string) bool {
	wellFormed := caseForm(id)
	// An ill-formed id costs the same: its length must not show.
	if !wellFormed {
		id = strings.Repeat("0", 32)
	}
	return hmac.Equal([]byte(k.Secret(id)), []byte(secret)) && wellFormed
}

// Request names a request's body without telling it: facts have few bits, and
// a bare hash of them could be guessed.
func (k Keys) Request(body []byte) string {
	return "hmac-sha256:" + hex.EncodeToString(k.sum("request\n"+string(body)))
}

func (k Keys) sum(text string) []byte {
	m := hmac.New(sha256.New, k.key)
	m.Write([]byte(text))
	return m.Sum(nil)
}

// caseForm tells whether id has the form that Case gives.
func caseForm(id string) bool {
	b, err := hex.DecodeString(id)
	return err == nil && len(b) == 16 && strings.ToLower(id) == id
}
