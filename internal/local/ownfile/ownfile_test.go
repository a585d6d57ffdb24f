package ownfile_test

import (
	"bytes"
	"image"
	"image/jpeg"
	"reflect"
	"strings"
	"testing"

	"github.com/agequote/agequote/internal/local/ownfile"
)

// TestOf makes files with comments of every kind of length: they differ, and
// show the same picture.
func TestOf(t *testing.T) {
	var photo bytes.Buffer
	if err := jpeg.Encode(&photo, image.NewGray(image.Rect(0, 0, 8, 8)), nil); err != nil {
		t.Fatal(err)
	}
	want, err := jpeg.Decode(bytes.NewReader(photo.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	for _, comment := range []string{"", "a", strings.Repeat("b", 300), strings.Repeat("c", 65_533)} {
		file := ownfile.Of(photo.Bytes(), comment)
		if !bytes.Contains(file, []byte(comment)) || len(file) != photo.Len()+4+len(comment) {
			t.Errorf("%d bytes of comment make %d of %d", len(comment), len(file), photo.Len())
		}
		got, err := jpeg.Decode(bytes.NewReader(file))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%d bytes of comment: another picture, %v", len(comment), err)
		}
	}
}
