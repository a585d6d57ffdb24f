// Package rules carries the rule book's data inside the binary: the products
// (products/*.yaml) and the mortality tables (tables/*.xml, see
// tables/NOTICE.md for their source). It reads and checks nothing; package
// rulebook does.
package rules

import "embed"

// FS is this folder: products/*.yaml and tables/t<number>.xml.
//
//go:embed products/*.yaml tables/*.xml
var FS embed.FS
