// Package ownfile makes of one photo the files of many customers, for tests and
// benches: a file that was sent with another case too goes to a person.
package ownfile

import (
	"encoding/binary"
	"slices"
)

// Of returns a JPEG with a comment, of at most 65,533 bytes, behind its start:
// another file, and the same picture.
func Of(jpeg []byte, comment string) []byte {
	const start, length = 2, 2 // bytes of the marker that begins the file, and of a segment's length
	segment := binary.BigEndian.AppendUint16([]byte{0xff, 0xfe}, uint16(length+len(comment)))
	return slices.Concat(jpeg[:start], segment, []byte(comment), jpeg[start:])
}
