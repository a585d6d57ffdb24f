// Package examination packs what an examiner asks for about a period into one
// ZIP archive: models and their cards, rules and approvals, decisions,
// complaints, stops and holds, the fairness report, and an index that names
// every file with its hash and the object that it was taken from. It reads
// stores and writes the archive as it goes, a case at a time; the same stores
// and period give the same bytes. Photos are never in it.
package examination

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"time"

	"github.com/agequote/agequote/internal/fairness"
	"github.com/agequote/agequote/internal/registry"
)

// Schema is the version of Index.
const Schema = 1

// Objects is what an export asks of a store.
type Objects interface {
	Get(ctx context.Context, key string, limit int64) ([]byte, error)
	List(ctx context.Context, prefix string) ([]string, error)
}

// Input is what an export is made from.
type Input struct {
	From, To string // days of the period, YYYY-MM-DD, UTC
	Period   fairness.Period
	// Personal leaves in what is personal: facts, health, free text. Else each
	// object holds what Redact leaves.
	Personal bool
	Cases    Objects
	Heads    Objects            // bucket of the chains' heads; nil: none
	IDs      []string           // of all cases, in order
	Registry *registry.Registry // nil: none
	// Package finds the files of a model that is in no registry, such as the one
	// that predict was deployed with: fs.ErrNotExist.
	Package  func(ctx context.Context, hash string) (fs.ReadFileFS, error)
	Rules    fs.FS
	Fairness map[string][]byte // the period's report, by file name
	Version  string            // code that exports
	Done     func()            // called after each case; nil: nothing
}

// Index is index.json, without its list of files, which is written beside it as
// the archive grows: see File.
type Index struct {
	Schema   int      `json:"schema"`
	From     string   `json:"from"`
	To       string   `json:"to"`
	Personal bool     `json:"personal"` // facts, health and free text are in it
	Version  string   `json:"version"`  // code that exported
	Counts   Counts   `json:"counts"`
	Balanced bool     `json:"balanced"`
	Problems []string `json:"problems"` // links that lead nowhere, records that were changed
	Missing  []string `json:"missing"`  // what was in use and is not in the archive, and why
}

// Counts are what the archive holds. Listed cases are the sum of the next four;
// cases in the archive are the sum of Outcomes.
type Counts struct {
	Listed     int `json:"cases_listed"`
	Archived   int `json:"cases_in_archive"`
	Outside    int `json:"cases_outside_period"`
	Empty      int `json:"cases_without_an_object_of_known_time"`
	Unreadable int `json:"cases_unreadable"`
	Erased     int `json:"cases_in_archive_erased"` // of Archived
	ChainsOK   int `json:"cases_in_archive_whose_chain_verifies"`
	// Outcomes of the archived cases: the computer's last one, or "none" for a
	// case on its way.
	Outcomes map[string]int `json:"outcomes"`
	// Objects of the archived cases, which are the sum of the three after it.
	Objects  int `json:"objects"`
	Written  int `json:"objects_in_archive"`
	Later    int `json:"objects_after_the_period"`
	LeftOut  int `json:"objects_of_no_known_kind"`
	Redacted int `json:"objects_redacted"` // of Written
	// Kinds counts the written objects: quotes, decisions ...
	Kinds map[string]int `json:"kinds"`
}

// balanced tells whether the counts add up.
func (c Counts) balanced() bool {
	outcomes, kinds := 0, 0
	for _, n := range c.Outcomes {
		outcomes += n
	}
	for _, n := range c.Kinds {
		kinds += n
	}
	return c.Listed == c.Archived+c.Outside+c.Empty+c.Unreadable && outcomes == c.Archived &&
		c.Objects == c.Written+c.Later+c.LeftOut && kinds == c.Written && c.Erased <= c.Archived && c.ChainsOK <= c.Archived && c.Redacted <= c.Written
}

// File is a file of the archive as the index lists it.
type File struct {
	Path string `json:"path"`
	Hash string `json:"sha256"` // "sha256:..." of the file
	Size int    `json:"size"`   // bytes
	What string `json:"what"`
	// Bucket and Key are where it was taken from: cases, models, audit, the model
	// package at hand, or the program itself.
	Bucket string `json:"bucket,omitempty"`
	Key    string `json:"key,omitempty"`
	// SourceHash is that of the object, where it is another one: what is personal
	// was left out.
	SourceHash string `json:"source_sha256,omitempty"`
	Redacted   bool   `json:"redacted,omitempty"`
	Erased     bool   `json:"erased,omitempty"` // its personal data had been deleted before
}

// maxObject bounds what is read of an object of a case or a journal.
const maxObject = 1 << 20

// Export writes the archive and returns its index. An error means that the
// archive is not whole; what is wrong with the stores stands in the index.
func Export(ctx context.Context, w io.Writer, in Input) (Index, error) {
	x := &export{Input: in, ctx: ctx, index: Index{
		Schema: Schema, From: in.From, To: in.To, Personal: in.Personal, Version: in.Version, Problems: []string{}, Missing: []string{},
		Counts: Counts{Listed: len(in.IDs), Outcomes: map[string]int{}, Kinds: map[string]int{}},
	}, models: map[string]bool{}, ruleFiles: map[string]bool{}}
	var err error
	if x.archive, err = newArchive(w); err != nil {
		return Index{}, err
	}
	defer x.archive.discard()
	for _, part := range []struct {
		name string
		do   func() error
	}{
		{"cases", x.cases}, {"journals", x.journals}, {"models", x.modelFiles}, {"rules", x.rules}, {"fairness", x.fairness},
	} {
		if err := part.do(); err != nil {
			return Index{}, fmt.Errorf("export %s: %w", part.name, err)
		}
	}
	x.index.Balanced = x.index.Counts.balanced()
	if err := x.archive.finish(x.index); err != nil {
		return Index{}, fmt.Errorf("export index: %w", err)
	}
	return x.index, nil
}

// export is one run.
type export struct {
	Input
	ctx       context.Context
	archive   *archive
	index     Index
	models    map[string]bool // hashes that estimates of the period name
	ruleFiles map[string]bool // "file hash" that quotes of the period name
}

func (x *export) problem(format string, args ...any) {
	x.index.Problems = append(x.index.Problems, fmt.Sprintf(format, args...))
}

func (x *export) missing(format string, args ...any) {
	x.index.Missing = append(x.index.Missing, fmt.Sprintf(format, args...))
}

// end is the first moment after the period.
func (x *export) end() time.Time { return x.Period.To.AddDate(0, 0, 1) }
