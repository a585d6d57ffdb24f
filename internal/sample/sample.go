// Package sample draws a seeded share of cases. It is pure: the same seed, share
// and case give the same answer, in every process.
package sample

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
)

// Draw draws cases by HMAC-SHA256 of their id under a seed, so that nobody
// without the seed can tell which are drawn.
type Draw struct {
	Share float64 // 0 to 1
	Seed  string
}

// Takes tells whether a case is drawn.
func (d Draw) Takes(id string) bool {
	m := hmac.New(sha256.New, []byte(d.Seed))
	m.Write([]byte("sample\n" + id))
	const bits = 53 // exact in a float64
	x := binary.BigEndian.Uint64(m.Sum(nil)) >> (64 - bits)
	return float64(x) < d.Share*(1<<bits)
}
