// Package model reads an age from a photo with a model package: a folder with
// a manifest, the networks and a model card. It is the one way from bytes to
// age distribution; predict, evaluation and training go it alike.
package model

import (
	"errors"
	"fmt"
	"image"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/agequote/agequote/internal/age"
	"github.com/agequote/agequote/internal/face"
	"github.com/agequote/agequote/internal/onnx"
	"github.com/agequote/agequote/internal/picturehash"
	"github.com/agequote/agequote/internal/reason"
)

// ErrUse says that the package may not be used for what was asked.
var ErrUse = errors.New("model is for research only and this deployment does not allow that")

// Options of a model.
type Options struct {
	AllowResearch bool // else a package with use "research" is refused
	Threads       int  // of each network; zero means 1
}

// Model is a loaded package. It is safe for concurrent use.
type Model struct {
	pkg      *Package
	reader   *face.Reader
	detector *onnx.Session
	network  *onnx.Session
}

// Open loads a package's networks. ONNX Runtime must have been started. It
// returns ErrUse for a research model that is not allowed.
func Open(p *Package, o Options) (*Model, error) {
	if p.Manifest.Use == Research && !o.AllowResearch {
		return nil, ErrUse
	}
	threads := onnx.Options{Threads: o.Threads}
	m := &Model{pkg: p}
	var group errgroup.Group // each takes a processor for tens of milliseconds, while a customer waits
	group.Go(func() (err error) {
		m.detector, err = onnx.Open(p.files[p.Manifest.Detector.File], face.DetectorInput, face.DetectorOutputs, threads)
		if err != nil {
			return fmt.Errorf("open face detector: %w", err)
		}
		return nil
	})
	group.Go(func() (err error) {
		n := p.Manifest.Network
		m.network, err = onnx.Open(p.files[n.File], n.Input, []string{n.Output}, threads)
		if err != nil {
			return fmt.Errorf("open age network: %w", err)
		}
		return nil
	})
	if err := group.Wait(); err != nil {
		return nil, errors.Join(err, m.Close())
	}
	m.reader = &face.Reader{Detector: m.detector}
	return m, nil
}

// Load starts the runtime, from library or where onnx.Find finds it if that is
// empty, and opens the package in a folder.
func Load(library, dir string, o Options) (*Model, error) {
	library, err := onnx.Find(library)
	if err != nil {
		return nil, err
	}
	if err := onnx.Start(library); err != nil {
		return nil, err
	}
	pkg, err := ReadPackage(os.DirFS(dir))
	if err != nil {
		return nil, err
	}
	return Open(pkg, o)
}

// Close frees the networks.
func (m *Model) Close() error { return errors.Join(m.detector.Close(), m.network.Close()) }

// Busy is the time that each network has run so far, added up over goroutines.
func (m *Model) Busy() (detector, network time.Duration) { return m.detector.Busy(), m.network.Busy() }

// Manifest describes the model.
func (m *Model) Manifest() *Manifest { return m.pkg.Manifest }

// Hash is "sha256:..." of the model's manifest.
func (m *Model) Hash() string { return m.pkg.Hash }

// Reading is all that was read from one photo.
type Reading struct {
	Face         *face.Face
	Distribution age.Distribution
}

// Read goes from a photo's bytes to the distribution over ages. A refusal is a
// reason.Error; any other error is a fault of ours.
func (m *Model) Read(photo []byte) (Reading, error) {
	f, err := m.reader.Read(photo)
	if err != nil {
		return Reading{}, err
	}
	d, err := m.Distribution(f.Crop)
	return Reading{Face: f, Distribution: d}, err
}

// Distribution runs the age network on an aligned crop.
func (m *Model) Distribution(crop *image.RGBA) (age.Distribution, error) {
	n := m.pkg.Manifest.Network
	outputs, err := m.network.RunBytes(Pixels(crop), 1, int64(n.Size), int64(n.Size), 3)
	if err != nil {
		return nil, fmt.Errorf("run age network: %w", err)
	}
	if len(outputs[0]) != n.Classes {
		return nil, fmt.Errorf("run age network: %d classes, manifest says %d", len(outputs[0]), n.Classes)
	}
	return age.NewDistribution(outputs[0])
}

// Estimate goes from a photo's bytes to an age with its interval. A refusal is
// a reason.Error, of code unsure where the interval is too wide.
func (m *Model) Estimate(photo []byte) (age.Estimate, error) {
	e, _, err := m.look(photo)
	return e, err
}

// Look is Estimate that returns the perceptual hash of the whole picture too,
// see package picturehash. The photo is decoded once for both.
func (m *Model) Look(photo []byte) (age.Estimate, string, error) {
	e, f, err := m.look(photo)
	if err != nil {
		return age.Estimate{}, "", err
	}
	return e, picturehash.Of(f.Small).String(), nil
}

func (m *Model) look(photo []byte) (age.Estimate, *face.Face, error) {
	r, err := m.Read(photo)
	if err != nil {
		return age.Estimate{}, nil, err
	}
	e, err := m.pkg.Manifest.Calibration.Estimate(r.Distribution, m.pkg.Manifest.Point)
	if errors.Is(err, age.ErrUnsure) {
		return age.Estimate{}, nil, reason.New(reason.Unsure, nil)
	}
	return e, r.Face, err
}

// Pixels lays a crop out as the network takes it: red, green, blue, row by row.
func Pixels(crop *image.RGBA) []byte {
	w, h := crop.Rect.Dx(), crop.Rect.Dy()
	pixels := make([]byte, 0, 3*w*h)
	for y := range h {
		for row := crop.Pix[y*crop.Stride:][:4*w]; len(row) > 0; row = row[4:] {
			pixels = append(pixels, row[0], row[1], row[2])
		}
	}
	return pixels
}
