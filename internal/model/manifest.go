package model

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"github.com/agequote/agequote/internal/age"
	"github.com/agequote/agequote/internal/digest"
	"github.com/agequote/agequote/internal/face"
)

// ManifestName is the file of a model package that names all the others.
const ManifestName = "manifest.json"

// Schema of the manifest.
const Schema = 2

// Use is what a model may be used for.
type Use string

// The allowed uses. A research model was trained on, or derived from, data
// whose licence forbids more.
const (
	Research   Use = "research"
	Production Use = "production"
)

// Manifest describes a model package. Its SHA-256 names the package.
type Manifest struct {
	Schema int               `json:"schema"`
	Name   string            `json:"name"`
	Use    Use               `json:"use"`
	Files  map[string]string `json:"files"` // name -> "sha256:..." of every other file

	Detector Detector `json:"detector"`
	Network  Network  `json:"network"`

	Point       age.Point       `json:"point"` // mean or median
	Calibration age.Calibration `json:"calibration"`
	Range       Range           `json:"range"`
}

// Detector names the face detector's file. Its inputs and outputs are those of
// package face.
type Detector struct {
	File string `json:"file"`
}

// Network describes the age network: an aligned crop in, a probability for each
// age in whole years out. All between, the channels' order and mean, is inside
// the file.
type Network struct {
	File    string `json:"file"`
	Input   string `json:"input"`   // name of the tensor [N, Size, Size, 3] of bytes, red first
	Output  string `json:"output"`  // name of the tensor [N, Classes]
	Classes int    `json:"classes"` // ages from 0
	Size    int    `json:"size"`    // pixels, width and height
	Face    string `json:"face"`    // face.Version that the model was calibrated with
}

// Range is where the estimates of the calibration photos lie. Estimates that
// leave it in production are an alarm, not an error.
type Range struct {
	Age   [2]float64 `json:"age"`   // 0.5th and 99.5th percentile of the point estimates
	Width [2]float64 `json:"width"` // the same of the intervals' widths
}

// Holds tells whether an estimate lies where nearly all calibration photos do.
func (r Range) Holds(years, width float64) bool {
	return r.Age[0] <= years && years <= r.Age[1] && r.Width[0] <= width && width <= r.Width[1]
}

// ParseManifest reads and checks a manifest. Unknown fields are refused: a
// later format must not be half understood.
func ParseManifest(b []byte) (*Manifest, error) {
	var m Manifest
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&m); err != nil {
		return nil, fmt.Errorf("parse manifest: %w", err)
	}
	if d.More() {
		return nil, errors.New("parse manifest: more than one value")
	}
	if err := m.check(); err != nil {
		return nil, fmt.Errorf("check manifest: %w", err)
	}
	return &m, nil
}

func (m *Manifest) check() error {
	n := m.Network
	switch {
	case m.Schema != Schema:
		return fmt.Errorf("schema %d, this code reads %d", m.Schema, Schema)
	case m.Use != Research && m.Use != Production:
		return fmt.Errorf("use %q is neither research nor production", m.Use)
	case m.Files[m.Detector.File] == "" || m.Files[n.File] == "":
		return errors.New("detector or network is not among the files")
	case n.Input == "" || n.Output == "":
		return errors.New("network without input or output")
	case n.Classes < 2 || n.Classes > age.Oldest+1:
		return fmt.Errorf("%d age classes", n.Classes)
	case n.Face != face.Version:
		return fmt.Errorf("made for face preprocessing %q, this code has %q", n.Face, face.Version)
	case n.Size != face.Size:
		return fmt.Errorf("input of %d pixels, crops have %d", n.Size, face.Size)
	case m.Point != age.PointMean && m.Point != age.PointMedian:
		return fmt.Errorf("point estimate %q", m.Point)
	}
	for name := range m.Files {
		if path.Base(name) != name || name == ManifestName || name == "." || name == ".." {
			return fmt.Errorf("file name %q", name)
		}
	}
	return m.Calibration.Check()
}

// Package is a model package whose files are what its manifest says.
type Package struct {
	Manifest *Manifest
	Hash     string // "sha256:..." of the manifest
	files    map[string][]byte
}

// NewPackage makes a package of files and a manifest, whose Files it fills in.
func NewPackage(m Manifest, files map[string][]byte) (*Package, error) {
	m.Files = map[string]string{}
	for name, content := range files {
		m.Files[name] = digest.Of(content)
	}
	if err := m.check(); err != nil {
		return nil, fmt.Errorf("check manifest: %w", err)
	}
	p := &Package{Manifest: &m, files: files}
	p.Hash = digest.Of(p.Encode())
	return p, nil
}

// Encode returns the manifest's bytes, as they are stored.
func (p *Package) Encode() []byte {
	b, err := json.MarshalIndent(p.Manifest, "", "  ")
	if err != nil {
		panic(err) // no number in a checked manifest is infinite
	}
	return append(b, '\n')
}

// Write stores the package in a folder, the manifest last.
func (p *Package) Write(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("write model package: %w", err)
	}
	for name, content := range p.files {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
			return fmt.Errorf("write model package: %w", err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, ManifestName), p.Encode(), 0o644); err != nil {
		return fmt.Errorf("write model package: %w", err)
	}
	return nil
}

// maxFile bounds what is read of a file in a folder, in bytes, as a registry does.
const maxFile = 200 << 20

// readFile reads an ordinary file: a package that somebody sent could link to a
// device, which never ends.
func readFile(fsys fs.FS, name string) ([]byte, error) {
	info, err := fs.Stat(fsys, name)
	switch {
	case errors.Is(err, errors.ErrUnsupported): // a registry, which has objects alone
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is no ordinary file", name)
	case info.Size() > maxFile:
		return nil, fmt.Errorf("%s has %d bytes; %d are allowed", name, info.Size(), maxFile)
	}
	return fs.ReadFile(fsys, name)
}

// ReadPackage reads a package and verifies every file against the manifest.
func ReadPackage(fsys fs.FS) (*Package, error) {
	b, err := readFile(fsys, ManifestName)
	if err != nil {
		return nil, fmt.Errorf("read model package: %w", err)
	}
	m, err := ParseManifest(b)
	if err != nil {
		return nil, err
	}
	p := &Package{Manifest: m, Hash: digest.Of(b), files: map[string][]byte{}}
	for name, want := range m.Files {
		content, err := readFile(fsys, name)
		if err != nil {
			return nil, fmt.Errorf("read model package: %w", err)
		}
		if got := digest.Of(content); got != want {
			return nil, fmt.Errorf("verify model package: %s has hash %s, its manifest says %s", name, got, want)
		}
		p.files[name] = content
	}
	return p, nil
}
