// Command budget times each part of a photo's way from its bytes to an
// estimate, on one thread, and writes the table into docs/benchmarks.md. The
// parts are those of face.Reader.Read and model.Model.Estimate, called one by
// one; the last row is the whole, so that a part that was forgotten shows.
// `make bench-budget` runs it.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"image/jpeg"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/agequote/agequote/bench/report"
	"github.com/agequote/agequote/internal/face"
	"github.com/agequote/agequote/internal/model"
	"github.com/agequote/agequote/internal/onnx"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "budget:", err)
		os.Exit(1)
	}
}

// Parts, in the order of the table. The first seven make the whole.
const (
	decode = iota
	look
	detector
	crop
	quality
	network
	interval
	whole
	plain
	rows
)

var names = [rows]string{
	decode:   "check and decode the file, read its orientation",
	look:     "picture for the detector, boxes from its answer",
	detector: "detector (YuNet)",
	crop:     "aligned crop",
	quality:  "quality of the face",
	network:  "age network",
	interval: "distribution to estimate and interval",
	whole:    "all in one call, measured apart",
	plain:    "for comparison: image/jpeg decodes the file",
}

// timed is the detector with its own time.
type timed struct {
	face.Network
	took time.Duration
}

func (t *timed) Run(input []float32, shape ...int64) ([][]float32, error) {
	began := time.Now()
	defer func() { t.took += time.Since(began) }()
	return t.Network.Run(input, shape...)
}

func run(args []string, stdout io.Writer) (err error) {
	fs := flag.NewFlagSet("budget", flag.ContinueOnError)
	root := fs.String("root", ".", "`DIR` of the project")
	turns := fs.Int("turns", 40, "turns for each photo")
	if err := fs.Parse(args); err != nil {
		return err
	}
	m, err := model.Load("", filepath.Join(*root, "models"), model.Options{AllowResearch: true})
	if err != nil {
		return err
	}
	defer m.Close()
	b, err := os.ReadFile(filepath.Join(*root, "models", m.Manifest().Detector.File))
	if err != nil {
		return err
	}
	session, err := onnx.Open(b, face.DetectorInput, face.DetectorOutputs, onnx.Options{})
	if err != nil {
		return err
	}
	defer session.Close()
	work, err := os.MkdirTemp("", "agequote-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	photos, err := report.MakePhotos(filepath.Join(*root, "events", "selfies", "grace_hopper.jpg"), work)
	if err != nil {
		return err
	}

	times := make([][rows][]float64, len(photos))
	for turn := range *turns + 2 {
		for i, p := range photos {
			took, err := one(m, m.Manifest(), session, p.Bytes)
			if err != nil {
				return fmt.Errorf("%s: %w", p.Name, err)
			}
			if turn < 2 {
				continue // warm up
			}
			for row, t := range took {
				times[i][row] = append(times[i][row], float64(t.Microseconds())/1e3)
			}
		}
	}
	text := table(photos, times, *turns)
	fmt.Fprint(stdout, text)
	return report.Replace(filepath.Join(*root, "docs", "benchmarks.md"), "budget", text)
}

// one takes a photo part by part, then in one call, then with image/jpeg.
func one(m *model.Model, manifest *model.Manifest, session face.Network, photo []byte) (took [rows]time.Duration, err error) {
	began := time.Now()
	lap := func(row int) {
		now := time.Now()
		took[row] += now.Sub(began)
		began = now
	}
	pic, err := face.Decode(photo, face.DefaultLimits)
	if err != nil {
		return took, err
	}
	lap(decode)
	net := &timed{Network: session}
	boxes, err := face.Detect(net, pic)
	if err != nil || len(boxes) == 0 {
		return took, fmt.Errorf("%d faces: %w", len(boxes), err)
	}
	lap(look)
	took[look], took[detector] = took[look]-net.took, net.took
	aligned := face.Align(pic, boxes[0].Landmarks)
	lap(crop)
	face.Measure(aligned, boxes[0])
	lap(quality)
	d, err := m.Distribution(aligned)
	if err != nil {
		return took, err
	}
	lap(network)
	if _, err := manifest.Calibration.Estimate(d, manifest.Point); err != nil {
		return took, err
	}
	lap(interval)
	if _, err := m.Estimate(photo); err != nil {
		return took, err
	}
	lap(whole)
	if _, err := jpeg.Decode(bytes.NewReader(photo)); err != nil {
		return took, err
	}
	lap(plain)
	return took, nil
}

func table(photos []report.Photo, times [][rows][]float64, turns int) string {
	var t strings.Builder
	fmt.Fprintf(&t, "%s, %d turns, medians in ms.\n\n| part |", report.Machine(), turns)
	for _, p := range photos {
		fmt.Fprintf(&t, " %s |", p.Title)
	}
	fmt.Fprint(&t, "\n|---|", strings.Repeat("---|", len(photos)), "\n")
	for row, name := range names {
		fmt.Fprintf(&t, "| %s |", name)
		for i := range photos {
			fmt.Fprintf(&t, " %.2f |", report.Median(times[i][row]))
		}
		fmt.Fprintln(&t)
	}
	return t.String()
}
