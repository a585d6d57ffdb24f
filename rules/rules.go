// Package rules carries the rule book's data inside the binary: products,
// classes, build charts and questions, the mortality tables (tables/*.xml, see
// tables/NOTICE.md for their source) and the history of their approval. It
// reads and checks nothing; package rulebook does.
package rules

import "embed"

// FS is this folder.
//
//go:embed products/*.yaml classes/*.yaml charts/*.yaml questions/*.yaml
//go:embed tables/tables.yaml tables/*.xml history.jsonl
var FS embed.FS
