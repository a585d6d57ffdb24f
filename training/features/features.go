// Package features computes what does not change while a model is trained, and
// keeps it in files: for every photo and a number of varied views of it, the
// crop, or the map that the frozen lower part of a network makes of the crop.
// An epoch then costs the upper part alone.
//
// Values are kept as bytes. A crop is bytes already; a map behind a ReLU6 lies
// in [0, 6], and a byte rounds it by at most 0.012.
package features

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"

	"golang.org/x/image/draw"

	"github.com/agequote/agequote/internal/evaluation"
	"github.com/agequote/agequote/internal/face"
	"github.com/agequote/agequote/internal/progress"
	"github.com/agequote/agequote/internal/reason"
	"github.com/agequote/agequote/training/augment"
)

// MapUnit is what one step of a map's byte stands for: 6 is 255.
const MapUnit = 6.0 / 255

// Network is the frozen part: a crop as planes of size [3, Size, Size], BGR less
// the mean, to a map.
type Network interface {
	Run(input []float32, shape ...int64) ([][]float32, error)
}

// Job says what to compute.
type Job struct {
	Images   string             // folder
	Labels   []evaluation.Label // photos, in the order of the cache
	Detector face.Network
	Bounds   face.Bounds // of quality, beyond which a photo is refused; zero: serving's
	Network  Network     // nil: the crops themselves
	Mean     [3]float32
	Shape    [3]int // of one item: height, width, channels
	Views    []View
	Look     Look
	Seed     uint64
	Key      string // names what the network and all else outside Job is
}

// Look is another way to cut out than serving's, to measure what that is worth.
type Look struct {
	Whole bool `yaml:"whole"` // the whole photo, squeezed into the crop, instead of the aligned face
	Size  int  `yaml:"size"`  // pixels to which the crop is reduced and enlarged again; 0: not
}

// View is one way to look at every photo.
type View struct {
	Name    string           `json:"name"`
	Augment augment.Settings `json:"augment"`
	Mirror  bool             `json:"mirror"` // of the crop as serving makes it, for Augment zero
}

// Cache is a folder of computed views.
type Cache struct {
	Shape [3]int
	Faces []Face // of each photo
	files []*os.File
}

// Face is what was found on a photo. Only a photo of code OK has values.
type Face struct {
	Code      reason.Code   `json:"code"`
	Landmarks [5]face.Point `json:"landmarks"`
}

// index describes a finished view.
type index struct {
	Schema int    `json:"schema"`
	Key    string `json:"key"`
	Shape  [3]int `json:"shape"`
	Faces  []Face `json:"faces"`
}

// Open returns the cache of the job in dir, computing each view that is not
// there yet. A view that was broken off is computed again; one of another job
// lies in another folder.
func Open(ctx context.Context, dir string, j Job, stderr io.Writer) (*Cache, error) {
	c := &Cache{Shape: j.Shape}
	base := filepath.Join(dir, j.hash())
	if err := os.MkdirAll(base, 0o755); err != nil {
		return nil, fmt.Errorf("make cache: %w", err)
	}
	for i, v := range j.Views {
		name := filepath.Join(base, viewName(v, j.Seed))
		faces, err := readIndex(name, j)
		if errors.Is(err, os.ErrNotExist) {
			// Faces are looked for once: every view has the same.
			faces, err = j.compute(ctx, name, v, i, c.Faces, stderr)
		}
		if err != nil {
			return nil, errors.Join(err, c.Close())
		}
		f, err := os.Open(name + ".u8")
		if err != nil {
			return nil, errors.Join(fmt.Errorf("open cache: %w", err), c.Close())
		}
		c.files = append(c.files, f)
		c.Faces = faces
	}
	return c, nil
}

// hash names the job but its views, so that more views can be added to a cache.
func (j Job) hash() string {
	h := sha256.New()
	fmt.Fprintln(h, j.Key, j.Shape, j.Mean, face.Version)
	if j.Bounds != (face.Bounds{}) && j.Bounds != face.DefaultBounds {
		fmt.Fprintln(h, j.Bounds)
	}
	for _, l := range j.Labels {
		fmt.Fprintln(h, l.File)
	}
	if j.Look != (Look{}) {
		fmt.Fprintln(h, j.Look)
	}
	return hex.EncodeToString(h.Sum(nil))[:16]
}

func viewName(v View, seed uint64) string {
	h := sha256.New()
	fmt.Fprintf(h, "%+v %d", v, seed)
	return v.Name + "-" + hex.EncodeToString(h.Sum(nil))[:8]
}

func readIndex(name string, j Job) ([]Face, error) {
	b, err := os.ReadFile(name + ".json")
	if err != nil {
		return nil, fmt.Errorf("open cache: %w", err)
	}
	var i index
	if err := json.Unmarshal(b, &i); err != nil {
		return nil, fmt.Errorf("read cache index: %w", err)
	}
	if len(i.Faces) != len(j.Labels) || i.Shape != j.Shape {
		return nil, fmt.Errorf("cache %s is of another job", name)
	}
	return i.Faces, nil
}

// compute writes one view, and its index when it is whole.
func (j Job) compute(ctx context.Context, name string, v View, number int, known []Face, stderr io.Writer) ([]Face, error) {
	f, err := os.Create(name + ".u8")
	if err != nil {
		return nil, fmt.Errorf("write cache: %w", err)
	}
	defer f.Close()

	position := make(map[string]int, len(j.Labels))
	for i, l := range j.Labels {
		position[l.File] = i
	}
	bar := progress.New(stderr, len(j.Labels), "features, view "+v.Name)
	defer bar.Finish()
	size := int64(j.Shape[0] * j.Shape[1] * j.Shape[2])
	faces, err := evaluation.Photos(ctx, j.Images, j.Labels, runtime.NumCPU(), func(l evaluation.Label, photo []byte) (Face, error) {
		n := position[l.File]
		found, pic, err := j.find(photo, known, n)
		if err != nil || found.Code != reason.OK {
			return found, err
		}
		// Chance hangs on seed, view and photo, not on which worker comes first.
		r := rand.New(rand.NewPCG(j.Seed<<16|uint64(number), uint64(n)))
		item, err := j.item(j.crop(pic, found, v, r), v.Mirror)
		if err != nil {
			return Face{}, err
		}
		_, err = f.WriteAt(item, int64(n)*size)
		return found, err
	}, bar.Done)
	if err != nil {
		return nil, err
	}
	b, err := json.Marshal(index{Schema: 1, Key: j.Key, Shape: j.Shape, Faces: faces})
	if err != nil {
		return nil, fmt.Errorf("encode cache index: %w", err)
	}
	if err := f.Sync(); err != nil {
		return nil, fmt.Errorf("write cache: %w", err)
	}
	// Whole or not there: half an index would stand in the way for good.
	if err := os.WriteFile(name+".next", b, 0o644); err != nil {
		return nil, fmt.Errorf("write cache index: %w", err)
	}
	if err := os.Rename(name+".next", name+".json"); err != nil {
		return nil, fmt.Errorf("write cache index: %w", err)
	}
	return faces, nil
}

// find looks for the face on a photo, if that is not known yet, and decodes it.
func (j Job) find(photo []byte, known []Face, n int) (Face, *face.Picture, error) {
	var found Face
	if known != nil {
		found = known[n]
	} else {
		f, err := (&face.Reader{Detector: j.Detector, Bounds: j.Bounds}).Read(photo)
		found.Code = reason.Of(err)
		switch found.Code {
		case reason.OK:
			found.Landmarks = f.Box.Landmarks
		case reason.Internal:
			return found, nil, err
		}
	}
	if found.Code != reason.OK {
		return found, nil, nil
	}
	pic, err := face.Decode(photo, face.DefaultLimits)
	return found, pic, err
}

// crop is the photo's part that the network sees.
func (j Job) crop(pic *face.Picture, found Face, v View, r *rand.Rand) *image.RGBA {
	var crop *image.RGBA
	if j.Look.Whole {
		w, h := pic.Size()
		crop = image.NewRGBA(image.Rect(0, 0, face.Size, face.Size))
		draw.ApproxBiLinear.Scale(crop, crop.Rect, pic.Region(image.Rect(0, 0, w, h), 1), image.Rect(0, 0, w, h), draw.Src, nil)
	} else {
		crop = v.Augment.Crop(pic, found.Landmarks, r)
	}
	if j.Look.Size > 0 {
		augment.Blur(crop, float64(face.Size)/float64(j.Look.Size))
	}
	return crop
}

// item is a crop's bytes, or those of its map.
func (j Job) item(crop *image.RGBA, mirror bool) ([]byte, error) {
	if mirror {
		augment.Mirror(crop)
	}
	if j.Network == nil {
		return Pixels(crop, j.Shape[0]), nil
	}
	outputs, err := j.Network.Run(Planes(crop, j.Mean), 1, 3, face.Size, face.Size)
	if err != nil {
		return nil, err
	}
	return bytesOf(outputs[0], j.Shape)
}

// bytesOf brings a map [channels, height, width] to bytes [height, width,
// channels].
func bytesOf(values []float32, shape [3]int) ([]byte, error) {
	area, channels := shape[0]*shape[1], shape[2]
	if len(values) != area*channels {
		return nil, fmt.Errorf("features: %d values for a map of %v", len(values), shape)
	}
	b := make([]byte, len(values))
	for c := range channels {
		for i, v := range values[c*area:][:area] {
			if !(v >= 0 && v <= 6) {
				return nil, fmt.Errorf("features: map holds %v, want 0 to 6", v)
			}
			b[i*channels+c] = byte(v/MapUnit + 0.5)
		}
	}
	return b, nil
}

// Planes lays a crop out as [3, Size, Size], blue first, less the mean.
func Planes(crop *image.RGBA, mean [3]float32) []float32 {
	const plane = face.Size * face.Size
	planes := make([]float32, 3*plane)
	for y := range face.Size {
		for x := range face.Size {
			p := crop.Pix[y*crop.Stride+4*x:]
			for c := range 3 {
				planes[c*plane+y*face.Size+x] = float32(p[2-c]) - mean[c]
			}
		}
	}
	return planes
}

// Pixels is a crop as bytes [size, size, 3], red first, reduced by area or
// enlarged by repetition where size is not the crop's own.
func Pixels(crop *image.RGBA, size int) []byte {
	b := make([]byte, size*size*3)
	for y := range size {
		y0, y1 := y*face.Size/size, max((y+1)*face.Size/size, y*face.Size/size+1)
		for x := range size {
			x0, x1 := x*face.Size/size, max((x+1)*face.Size/size, x*face.Size/size+1)
			var sum [3]int
			for v := y0; v < y1; v++ {
				for u := x0; u < x1; u++ {
					p := crop.Pix[v*crop.Stride+4*u:]
					for c := range 3 {
						sum[c] += int(p[c])
					}
				}
			}
			n := (y1 - y0) * (x1 - x0)
			for c := range 3 {
				b[(y*size+x)*3+c] = uint8((sum[c] + n/2) / n)
			}
		}
	}
	return b
}

// Size is the number of bytes of one item.
func (c *Cache) Size() int { return c.Shape[0] * c.Shape[1] * c.Shape[2] }

// Views is the number of views.
func (c *Cache) Views() int { return len(c.files) }

// Read copies a photo's item of a view into dst, which has Size bytes.
func (c *Cache) Read(view, photo int, dst []byte) error {
	if _, err := c.files[view].ReadAt(dst[:c.Size()], int64(photo)*int64(c.Size())); err != nil {
		return fmt.Errorf("read cache: %w", err)
	}
	return nil
}

// Close closes the files.
func (c *Cache) Close() error {
	var errs []error
	for _, f := range c.files {
		errs = append(errs, f.Close())
	}
	return errors.Join(errs...)
}
