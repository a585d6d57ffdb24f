package rulebook

import "io/fs"

// CachingLoader is LoadDraft that reads no file twice. It is for one goroutine.
func CachingLoader() func(fs.FS) (*Book, error) {
	l := &loader{cache: map[string]any{}}
	return l.load
}
