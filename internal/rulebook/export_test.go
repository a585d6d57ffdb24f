package rulebook

import "io/fs"

// CachingLoader is LoadDraft that reads no file twice of those that it read at
// first. It is for one goroutine.
func CachingLoader() func(fs.FS) (*Book, error) {
	l := &loader{cache: map[string]any{}}
	return func(fsys fs.FS) (*Book, error) {
		b, err := l.load(fsys)
		if err == nil {
			_ = b.CheckTables() // parses, for the cache
		}
		l.frozen = true
		return b, err
	}
}
