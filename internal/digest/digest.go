// Package digest names content by its hash, in the one form that every stored
// object, manifest and answer of agequote uses.
package digest

import (
	"crypto/sha256"
	"encoding/hex"
)

// Of returns "sha256:" and the 64 hexadecimal digits of b's SHA-256.
func Of(b []byte) string {
	sum := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(sum[:])
}
