package rulebook

import "io"

// WriteDoc writes the rule book as a document.
func (b *Book) WriteDoc(w io.Writer) error { return nil }
