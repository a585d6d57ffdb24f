package examination

import (
	"archive/zip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
)

// maxIndex bounds what is read of an index: some ten million files.
const maxIndex = 4 << 30

// Verify holds an archive against its own index and returns a line for each
// file that was changed, is missing or is not listed, and for what the index
// itself says is wrong. It reads a file at a time. That the index is the one
// that was exported, only its hash can tell, which the exporter prints: ask for
// it by another way.
func Verify(r io.ReaderAt, size int64) (index Index, problems []string, err error) {
	z, err := zip.NewReader(r, size)
	if err != nil {
		return Index{}, nil, fmt.Errorf("read archive: %w", err)
	}
	inside := map[string]*zip.File{}
	for _, f := range z.File {
		if inside[f.Name] != nil {
			problems = append(problems, f.Name+": stands twice")
		}
		inside[f.Name] = f
	}
	listed := inside[IndexJSON]
	if listed == nil {
		return Index{}, nil, fmt.Errorf("read archive: no %s", IndexJSON)
	}
	index, err = readIndex(listed, func(f File) error {
		file := inside[f.Path]
		if file == nil {
			problems = append(problems, f.Path+": is missing")
			return nil
		}
		delete(inside, f.Path)
		hash, n, err := hashOf(file, int64(f.Size)+1)
		if err != nil {
			problems = append(problems, fmt.Sprintf("%s: cannot be read", f.Path))
		} else if hash != f.Hash || n != int64(f.Size) {
			problems = append(problems, fmt.Sprintf("%s: was changed: it has %d bytes and %s, the index says %d and %s", f.Path, n, hash, f.Size, f.Hash))
		}
		return nil
	})
	if err != nil {
		return Index{}, nil, err
	}
	for _, f := range z.File {
		if inside[f.Name] != nil && f.Name != IndexJSON && f.Name != IndexHTML {
			problems = append(problems, f.Name+": is not in the index")
		}
	}
	if !index.Counts.balanced() {
		problems = append(problems, IndexJSON+": its counts do not balance")
	}
	return index, problems, nil
}

// readIndex reads the index, which may be long, a file's line at a time.
func readIndex(f *zip.File, do func(File) error) (Index, error) {
	r, err := f.Open()
	if err != nil {
		return Index{}, fmt.Errorf("read index: %w", err)
	}
	defer r.Close()
	d := json.NewDecoder(io.LimitReader(r, maxIndex))
	if _, err := d.Token(); err != nil { // {
		return Index{}, fmt.Errorf("read index: %w", err)
	}
	fields := map[string]json.RawMessage{}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return Index{}, fmt.Errorf("read index: %w", err)
		}
		if name == "files" {
			err = readFiles(d, do)
		} else {
			var value json.RawMessage
			err = d.Decode(&value)
			fields[fmt.Sprint(name)] = value
		}
		if err != nil {
			return Index{}, fmt.Errorf("read index: %w", err)
		}
	}
	head, err := json.Marshal(fields)
	if err != nil {
		return Index{}, fmt.Errorf("read index: %w", err)
	}
	var index Index
	if err := json.Unmarshal(head, &index); err != nil {
		return Index{}, fmt.Errorf("read index: %w", err)
	}
	if index.Schema != Schema {
		return Index{}, fmt.Errorf("read index: schema %d, this code reads %d", index.Schema, Schema)
	}
	return index, nil
}

func readFiles(d *json.Decoder, do func(File) error) error {
	if _, err := d.Token(); err != nil { // [
		return err
	}
	for d.More() {
		var f File
		if err := d.Decode(&f); err != nil {
			return err
		}
		if err := do(f); err != nil {
			return err
		}
	}
	_, err := d.Token() // ]
	return err
}

// hashOf is the hash and size of a file's content, or of its first limit bytes: a
// few kilobytes of an archive can unpack to any number.
func hashOf(f *zip.File, limit int64) (string, int64, error) {
	r, err := f.Open()
	if err != nil {
		return "", 0, err
	}
	defer r.Close()
	h := sha256.New()
	n, err := io.Copy(h, io.LimitReader(r, limit))
	return "sha256:" + hex.EncodeToString(h.Sum(nil)), n, err
}
