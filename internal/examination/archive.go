package examination

import (
	"archive/zip"
	"bufio"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"os"
	"strings"
	"time"

	_ "embed"

	"github.com/agequote/agequote/internal/digest"
)

// Names of the index in the archive.
const (
	IndexJSON = "index.json"
	IndexHTML = "index.html"
)

// stamp is the time of every file: an archive of the same content has the same
// bytes. ZIP knows no earlier one.
var stamp = time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)

// archive writes files, and keeps the lines of the index on disk until the end.
type archive struct {
	zip   *zip.Writer
	spool *os.File // a File a line, JSON
	lines *bufio.Writer
	n     int
}

func newArchive(w io.Writer) (*archive, error) {
	spool, err := os.CreateTemp("", "agequote-index-*")
	if err != nil {
		return nil, fmt.Errorf("make index: %w", err)
	}
	return &archive{zip: zip.NewWriter(w), spool: spool, lines: bufio.NewWriter(spool)}, nil
}

func (a *archive) discard() {
	a.spool.Close()
	os.Remove(a.spool.Name())
}

// add writes a file and its line of the index; Hash and Size are filled in.
func (a *archive) add(f File, body []byte) error {
	f.Hash, f.Size = digest.Of(body), len(body)
	if err := a.put(f.Path, func(w io.Writer) error { _, err := w.Write(body); return err }); err != nil {
		return err
	}
	a.n++
	return json.NewEncoder(a.lines).Encode(f)
}

func (a *archive) put(name string, write func(io.Writer) error) error {
	w, err := a.zip.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Deflate, Modified: stamp})
	if err != nil {
		return fmt.Errorf("write archive: %w", err)
	}
	if err := write(w); err != nil {
		return fmt.Errorf("write archive: %w", err)
	}
	return nil
}

// each reads the lines of the index again.
func (a *archive) each(do func(f File, last bool) error) error {
	if _, err := a.spool.Seek(0, io.SeekStart); err != nil {
		return err
	}
	d := json.NewDecoder(bufio.NewReader(a.spool))
	for i := range a.n {
		var f File
		if err := d.Decode(&f); err != nil {
			return err
		}
		if err := do(f, i == a.n-1); err != nil {
			return err
		}
	}
	return nil
}

// finish writes the index, and ends the archive.
func (a *archive) finish(index Index) error {
	if err := a.lines.Flush(); err != nil {
		return err
	}
	if err := a.put(IndexJSON, func(w io.Writer) error { return a.writeJSON(w, index) }); err != nil {
		return err
	}
	if err := a.put(IndexHTML, func(w io.Writer) error { return a.writeHTML(w, index) }); err != nil {
		return err
	}
	return a.zip.Close()
}

// writeJSON writes the index with its files, a line each, at the end.
func (a *archive) writeJSON(w io.Writer, index Index) error {
	head, err := json.MarshalIndent(index, "", " ")
	if err != nil {
		return err
	}
	if _, err := io.WriteString(w, strings.TrimSuffix(string(head), "\n}")+",\n \"files\": [\n"); err != nil {
		return err
	}
	err = a.each(func(f File, last bool) error {
		line, err := json.Marshal(f)
		if err != nil {
			return err
		}
		end := ",\n"
		if last {
			end = "\n"
		}
		_, err = fmt.Fprintf(w, "  %s%s", line, end)
		return err
	})
	if err != nil {
		return err
	}
	_, err = io.WriteString(w, " ]\n}\n")
	return err
}

//go:embed index.html.tmpl
var source string

func (a *archive) writeHTML(w io.Writer, index Index) error {
	t, err := template.New("index").Parse(source)
	if err != nil {
		return err
	}
	if err := t.ExecuteTemplate(w, "head", index); err != nil {
		return err
	}
	// The list may be long, so it is read once for each folder, not sorted.
	for _, folder := range folders {
		begun := false
		err := a.each(func(f File, _ bool) error {
			if top, _, _ := strings.Cut(f.Path, "/"); top != folder.Name {
				return nil
			}
			if !begun {
				begun = true
				if err := t.ExecuteTemplate(w, "folder", folder); err != nil {
					return err
				}
			}
			return t.ExecuteTemplate(w, "file", f)
		})
		if err != nil {
			return err
		}
	}
	return t.ExecuteTemplate(w, "foot", index)
}

// folders of the archive in the order of the page, with what lies in each.
var folders = []struct{ Name, What string }{
	{"models", "Models that were live in the period, or that read a photo in it: card, evaluation, manifest with the hashes of its files and its calibration; who approved them, when and why. Networks themselves are named by their hash alone."},
	{"rules", "The rule book of the program that exported: products, classes, build charts, questions, the index of mortality tables, and the history of approvals."},
	{"fairness", "The fairness report of the period."},
	{"journals", "Who stopped and started quoting by computer, and legal holds, each record with the hash of the one before it."},
	{"audit", "The chain of each case on which people decided, or in which something is wrong: object by object, as it was verified for this archive."},
	{"heads", "Heads of the chains, from the bucket that lets nobody change them."},
	{"cases", "Cases with an object of the period: what was declared, what the photo gave, what was decided and why, decisions of people, complaints."},
}
