// Package report holds what the benches share: the photos that they send, the
// machine's name, medians and ratios with their spread, the figures that
// docs/cost.md is computed from, and sections of docs/benchmarks.md. It
// measures nothing.
package report

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"image"
	"image/jpeg"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/image/draw"
)

// Photo is a photo as a customer sends it.
type Photo struct {
	Name  string // short, for keys
	Title string // for tables
	Path  string
	Bytes []byte
}

// Page names the photo of the size that the customers' page sends.
const Page = "1280px"

// MakePhotos makes of one selfie the sizes that the benches send: as the page
// sends it, as a phone stores it (12 megapixels, with a sensor's grain, so that
// the file is as large as a phone's), and a chip of 200 pixels. Page is the
// first.
func MakePhotos(selfie, dir string) ([]Photo, error) {
	b, err := os.ReadFile(selfie)
	if err != nil {
		return nil, err
	}
	img, err := jpeg.Decode(bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	var photos []Photo
	for _, s := range []struct {
		name, title   string
		width, height int
		grain         float64
		quality       int
	}{
		{Page, "JPEG of 1280 px", 1092, 1280, 1, 90},
		{"12mp", "JPEG of 12 MP", 3024, 4032, 3, 92},
		{"200px", "JPEG of 200 px", 200, 234, 0, 90},
	} {
		out := image.NewRGBA(image.Rect(0, 0, s.width, s.height))
		draw.CatmullRom.Scale(out, out.Rect, img, img.Bounds(), draw.Src, nil)
		grain(out, s.grain)
		var file bytes.Buffer
		if err := jpeg.Encode(&file, out, &jpeg.Options{Quality: s.quality}); err != nil {
			return nil, err
		}
		p := Photo{Name: s.name, Title: fmt.Sprintf("%s (%d KB)", s.title, file.Len()>>10), Path: filepath.Join(dir, s.name+".jpg"), Bytes: file.Bytes()}
		if err := os.WriteFile(p.Path, p.Bytes, 0o644); err != nil {
			return nil, err
		}
		photos = append(photos, p)
	}
	return photos, nil
}

func grain(img *image.RGBA, deviation float64) {
	r := rand.New(rand.NewPCG(1, 2))
	for i := range img.Pix {
		if i%4 != 3 && deviation > 0 {
			img.Pix[i] = uint8(min(255, max(0, float64(img.Pix[i])+deviation*r.NormFloat64())))
		}
	}
}

// Machine names the processor, the number of them, and the system.
func Machine() string {
	model := runtime.GOARCH
	b, err := os.ReadFile("/proc/cpuinfo")
	if err == nil {
		for line := range strings.Lines(string(b)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				model = strings.TrimSpace(value)
				break
			}
		}
	}
	return fmt.Sprintf("%s, %d processors, %s", model, runtime.NumCPU(), runtime.GOOS)
}

// Quantile returns the q quantile, linear between values; 0 of none.
func Quantile(values []float64, q float64) float64 {
	if len(values) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(values))
	at := q * float64(len(s)-1)
	i := int(at)
	next := min(i+1, len(s)-1)
	return s[i] + (at-float64(i))*(s[next]-s[i])
}

// Median is the half quantile.
func Median(values []float64) float64 { return Quantile(values, 0.5) }

// WithRatio prints the median of values and the ratios to those of the first,
// turn by turn: median and quartiles. The first itself has no ratio.
func WithRatio(values, first []float64, format string) string {
	out := fmt.Sprintf(format, Median(values))
	n := min(len(values), len(first))
	if n == 0 || slices.Equal(values, first) {
		return out
	}
	ratios := make([]float64, n)
	for i := range n {
		ratios[i] = values[i] / cmp.Or(first[i], 1)
	}
	return fmt.Sprintf("%s (%.2f; %.2f to %.2f)", out, Median(ratios), Quantile(ratios, 0.25), Quantile(ratios, 0.75))
}

// Usage is what one warm answer of a function takes.
type Usage struct {
	MemoryMB int     `json:"memory_mb"` // as the template sets it
	WarmMS   float64 `json:"warm_ms"`   // median
	ColdMS   float64 `json:"cold_ms"`   // of the first answer of a process, its start included
	Puts     float64 `json:"puts"`      // S3 requests
	Lists    float64 `json:"lists"`
	Gets     float64 `json:"gets"`
	Stored   float64 `json:"stored_bytes"`
	Printed  float64 `json:"printed_bytes"` // to the log, metrics too
}

// Results are the figures of a side-by-side run that others compute with.
type Results struct {
	Date    string `json:"date"`
	Machine string `json:"machine"`
	Rounds  int    `json:"rounds"`
	Predict Usage  `json:"predict"`
	Quote   Usage  `json:"quote"`
	Torch   Warm   `json:"pytorch"`
	Photo   int    `json:"photo_bytes"` // as the page sends it
}

// Warm is what a process that is always on takes for a photo of the page's size.
type Warm struct {
	MS     float64 `json:"warm_ms"` // median
	PeakMB int     `json:"peak_mb"`
}

// Write writes the results as a file of JSON.
func (r Results) Write(file string) error {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(b, '\n'), 0o644)
}

// Replace puts text between a file's markers for a section, which must be there.
func Replace(file, section, text string) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	begin, end := "<!-- "+section+": begin -->\n", "<!-- "+section+": end -->\n"
	before, rest, ok1 := strings.Cut(string(b), begin)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok1 || !ok2 {
		return fmt.Errorf("%s has no section %s", file, section)
	}
	return os.WriteFile(file, []byte(before+begin+strings.TrimRight(text, "\n")+"\n"+end+after), 0o644)
}
