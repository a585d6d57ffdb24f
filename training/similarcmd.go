package main

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"html/template"
	"image"
	"io"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/agequote/agequote/internal/digest"
	"github.com/agequote/agequote/internal/evaluation"
	"github.com/agequote/agequote/internal/face"
	"github.com/agequote/agequote/internal/onnx"
	"github.com/agequote/agequote/internal/progress"
	"github.com/agequote/agequote/internal/reason"
	"github.com/agequote/agequote/training/similar"
)

// similarSchema is the version of what `similar --json` prints.
const similarSchema = 1

const similarUsage = `training similar compares faces, for research alone; docs/similar.md says what it may be used on.

  go run ./training similar PHOTO --images DIR --labels FILE [--features NAME] [--k 10] [--json] [--html build/FILE]
  go run ./training similar --measure --images DIR --labels FILE [--labels FILE] [--features NAME,NAME] [--json]

`

// consentNotice is printed with every result.
const consentNotice = "A comparison of faces needs the consent of the people on them, or a research set whose terms allow it. Nothing of it is stored."

// similarFlags say what is compared with what.
type similarFlags struct {
	images, detector, onnxruntime, html string
	labels                              []string
	features                            featureFlags
	k                                   int
	measure, json                       bool
}

// similarFaces finds the faces most similar to the one on a photo, or measures
// how often those most similar are of the same person. Features stay in memory.
func similarFaces(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	var f similarFlags
	photos, err := f.parse(args, stderr)
	if err != nil {
		return flagError(err)
	}
	labels, hashes, err := readAllLabels(f.labels)
	if err != nil {
		return err
	}
	networks, err := f.features.open(f.detector, f.onnxruntime)
	defer func() {
		for _, n := range networks {
			n.close()
		}
	}()
	if err != nil {
		return err
	}
	reader, err := f.openReader()
	if err != nil {
		return err
	}
	fmt.Fprintln(stderr, consentNotice)
	read, err := readFeatures(ctx, f.images, labels, reader, networks, stderr)
	if err != nil {
		return err
	}
	if f.measure {
		return f.printFigures(read, networks, hashes, stdout)
	}
	return f.printNeighbours(read, photos[0], reader, networks[0], stdout)
}

// parse returns the photos, which may stand before flags.
func (f *similarFlags) parse(args []string, stderr io.Writer) ([]string, error) {
	fs := flag.NewFlagSet("similar", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.Usage = func() {
		fmt.Fprint(stderr, similarUsage)
		fs.PrintDefaults()
	}
	fs.StringVar(&f.images, "images", "", "`folder` of the images to search")
	fs.Func("labels", "labels `file` of those images, with a column person for --measure; may be repeated", func(s string) error {
		f.labels = append(f.labels, s)
		return nil
	})
	f.features.register(fs)
	fs.IntVar(&f.k, "k", 10, "neighbours to find")
	fs.BoolVar(&f.measure, "measure", false, "measure how often neighbours are of the same person, instead of searching")
	fs.BoolVar(&f.json, "json", false, "print JSON")
	fs.StringVar(&f.html, "html", "", "page with the pictures side by side, in build/, which git ignores")
	fs.StringVar(&f.detector, "detector", "models/detector.onnx", "ONNX file of the YuNet face detector")
	fs.StringVar(&f.onnxruntime, "onnxruntime", "", "ONNX Runtime's shared library, where it is not found by itself")
	var photos []string
	for {
		if err := fs.Parse(args); err != nil {
			return nil, err
		}
		if fs.NArg() == 0 {
			break
		}
		photos, args = append(photos, fs.Arg(0)), fs.Args()[1:]
	}
	return photos, f.check(photos)
}

func (f *similarFlags) check(photos []string) error {
	switch {
	case f.images == "" || len(f.labels) == 0:
		return errors.New("--images and --labels are needed")
	case f.measure && (len(photos) > 0 || f.html != ""):
		return errors.New("--measure takes neither a photo nor --html")
	case !f.measure && (len(photos) != 1 || strings.Contains(f.features.names, ",") || f.k < 1):
		return errors.New("one photo, one kind of features and --k of at least 1 are needed")
	case f.html != "" && !(filepath.IsLocal(f.html) && strings.HasPrefix(filepath.Clean(f.html), "build"+string(filepath.Separator))):
		return errors.New("--html is a file in build/: the page shows faces, and git must not meet it")
	}
	return f.features.check()
}

func readAllLabels(files []string) (labels []evaluation.Label, hashes []string, err error) {
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			return nil, nil, fmt.Errorf("read labels: %w", err)
		}
		more, err := evaluation.ReadLabels(bytes.NewReader(b))
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", name, err)
		}
		labels, hashes = append(labels, more...), append(hashes, digest.Of(b))
	}
	return labels, hashes, nil
}

func (f *similarFlags) openReader() (*face.Reader, error) {
	b, err := os.ReadFile(f.detector)
	if err != nil {
		return nil, fmt.Errorf("read detector: %w", err)
	}
	detector, err := onnx.Open(b, face.DetectorInput, face.DetectorOutputs, onnx.Options{})
	if err != nil {
		return nil, fmt.Errorf("open face detector: %w", err)
	}
	return &face.Reader{Detector: detector}, nil
}

// faces are the photos whose face could be read, with the features of each
// network.
type faces struct {
	total    int
	refused  map[reason.Code]int
	photos   []similar.Photo
	features [][][]float32 // [network][photo]
}

// readFeatures reads every photo once. A photo that serving would refuse is
// counted and left out.
func readFeatures(ctx context.Context, images string, labels []evaluation.Label, reader *face.Reader, networks []*network, stderr io.Writer) (*faces, error) {
	bar := progress.New(stderr, len(labels), "faces")
	defer bar.Finish()
	type reading struct {
		code     reason.Code
		features [][]float32
	}
	readings, err := evaluation.Photos(ctx, images, labels, runtime.NumCPU(), func(_ evaluation.Label, photo []byte) (reading, error) {
		crop, err := readCrop(reader, photo)
		if code := reason.Of(err); code != reason.OK {
			if code == reason.Internal {
				return reading{}, err
			}
			return reading{code: code}, nil
		}
		r := reading{code: reason.OK}
		for _, n := range networks {
			v, err := n.features(crop)
			if err != nil {
				return r, err
			}
			r.features = append(r.features, v)
		}
		return r, nil
	}, bar.Done)
	if err != nil {
		return nil, err
	}
	read := &faces{total: len(labels), refused: map[reason.Code]int{}, features: make([][][]float32, len(networks))}
	for i, r := range readings {
		if r.code != reason.OK {
			read.refused[r.code]++
			continue
		}
		l := labels[i]
		read.photos = append(read.photos, similar.Photo{File: l.File, Person: l.Person, Age: l.Age})
		for n, v := range r.features {
			read.features[n] = append(read.features[n], v)
		}
	}
	return read, nil
}

func readCrop(reader *face.Reader, photo []byte) (*image.RGBA, error) {
	f, err := reader.Read(photo)
	if err != nil {
		return nil, err
	}
	return f.Crop, nil
}

// refusals says how many photos of how many were left out, and why.
func (r *faces) refusals() string {
	var codes []string
	n := 0
	for _, code := range slices.Sorted(maps.Keys(r.refused)) {
		codes = append(codes, fmt.Sprintf("%s %d", code, r.refused[code]))
		n += r.refused[code]
	}
	if n == 0 {
		return fmt.Sprintf("%d photos, none refused", r.total)
	}
	return fmt.Sprintf("%d photos, %d of them refused (%s)", r.total, n, strings.Join(codes, ", "))
}

// measured are a network's figures for one choice of pairs.
type measured struct {
	Features string `json:"features"`
	Weights  string `json:"weights"` // hash of the file that holds them
	Width    int    `json:"width"`
	Pairs    string `json:"pairs"`
	similar.Figures
}

// printFigures measures each network for pairs of all ages, near and far.
func (f *similarFlags) printFigures(read *faces, networks []*network, hashes []string, stdout io.Writer) error {
	var rows []measured
	for i, n := range networks {
		x, err := similar.NewIndex(read.photos, read.features[i])
		if err != nil {
			return err
		}
		for _, p := range []struct {
			name  string
			pairs similar.Pairs
		}{
			{"all", similar.All},
			{fmt.Sprintf("under %d years apart", similar.FarYears), similar.Near},
			{fmt.Sprintf("%d years apart or more", similar.FarYears), similar.Far},
		} {
			if figures, ok := x.Measure(p.pairs); ok {
				rows = append(rows, measured{n.name, n.weights, x.Width(), p.name, figures})
			}
		}
	}
	if len(rows) == 0 {
		return errors.New("nobody is on two photos; the labels need a column person")
	}
	if f.json {
		return json.NewEncoder(stdout).Encode(struct {
			Schema  int                 `json:"schema"`
			Labels  []string            `json:"labels"` // hashes of the files
			Photos  int                 `json:"photos"`
			Refused map[reason.Code]int `json:"refused"`
			Figures []measured          `json:"figures"`
		}{similarSchema, hashes, read.total, read.refused, rows})
	}
	fmt.Fprintf(stdout, "%s. Intervals of 95 %% draw people.\n\n", read.refusals())
	t := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "features\tsame person's photos\tqueries\tpeople\tprecision@1\tprecision@5\tat best\tmean average precision\tchance")
	for _, r := range rows {
		fmt.Fprintf(t, "%s, %d\t%s\t%d\t%d\t%s\t%s\t%.3f\t%s\t%.3f\n", r.Features, r.Width, r.Pairs, r.Queries, r.People,
			figureText(r.Precision1), figureText(r.Precision5), r.Ceiling5, figureText(r.MeanAveragePrecision), r.Chance)
	}
	return t.Flush()
}

func figureText(f similar.Figure) string {
	if f.CI == nil {
		return fmt.Sprintf("%.3f", f.Value)
	}
	return fmt.Sprintf("%.3f (%.3f-%.3f)", f.Value, f.CI[0], f.CI[1])
}

// neighbour is a line of the answer.
type neighbour struct {
	File       string  `json:"file"`
	Age        float64 `json:"age"`
	Similarity float64 `json:"similarity"`
	Source     string  `json:"-"` // of the picture, as seen from the page
}

// printNeighbours searches for one photo.
func (f *similarFlags) printNeighbours(read *faces, photo string, reader *face.Reader, n *network, stdout io.Writer) error {
	b, err := os.ReadFile(photo)
	if err != nil {
		return fmt.Errorf("read photo: %w", err)
	}
	crop, err := readCrop(reader, b)
	if err != nil {
		return fmt.Errorf("%s: %s: %w", photo, reason.Of(err), err)
	}
	feature, err := n.features(crop)
	if err != nil {
		return err
	}
	x, err := similar.NewIndex(read.photos, read.features[0])
	if err != nil {
		return err
	}
	found, err := x.Search(feature, f.k)
	if err != nil {
		return err
	}
	var neighbours []neighbour
	for _, m := range found {
		p := x.Photos[m.Photo]
		neighbours = append(neighbours, neighbour{File: p.File, Age: p.Age, Similarity: m.Similarity})
	}
	if f.html != "" {
		if err := f.writePage(photo, n.name, neighbours); err != nil {
			return err
		}
	}
	if f.json {
		return json.NewEncoder(stdout).Encode(struct {
			Schema     int                 `json:"schema"`
			Photo      string              `json:"photo"`
			Features   string              `json:"features"`
			Weights    string              `json:"weights"`
			Photos     int                 `json:"photos"`
			Refused    map[reason.Code]int `json:"refused"`
			Neighbours []neighbour         `json:"neighbours"`
		}{similarSchema, photo, n.name, n.weights, read.total, read.refused, neighbours})
	}
	fmt.Fprintf(stdout, "Nearest to %s by %s features among %s:\n\n", photo, n.name, read.refusals())
	t := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "file\tage\tsimilarity")
	for _, m := range neighbours {
		fmt.Fprintf(t, "%s\t%g\t%.3f\n", m.File, m.Age, m.Similarity)
	}
	return t.Flush()
}

//go:embed similar.html.tmpl
var similarPage string

// writePage links the pictures where they lie; it holds no copy of them.
func (f *similarFlags) writePage(photo, features string, neighbours []neighbour) error {
	own, err := linkFrom(f.html, photo)
	if err != nil {
		return err
	}
	linked := slices.Clone(neighbours)
	for i, m := range linked {
		if linked[i].Source, err = linkFrom(f.html, filepath.Join(f.images, m.File)); err != nil {
			return err
		}
	}
	t, err := template.New("similar").Parse(similarPage)
	if err != nil {
		return fmt.Errorf("parse page template: %w", err)
	}
	var b bytes.Buffer
	if err := t.Execute(&b, map[string]any{"Photo": own, "Name": filepath.Base(photo), "Features": features, "Neighbours": linked}); err != nil {
		return fmt.Errorf("write page: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(f.html), 0o755); err != nil {
		return fmt.Errorf("write page: %w", err)
	}
	if err := os.WriteFile(f.html, b.Bytes(), 0o600); err != nil {
		return fmt.Errorf("write page: %w", err)
	}
	return nil
}

// linkFrom is the relative address of a file in a page.
func linkFrom(page, file string) (string, error) {
	from, err := filepath.Abs(filepath.Dir(page))
	if err != nil {
		return "", fmt.Errorf("link picture: %w", err)
	}
	to, err := filepath.Abs(file)
	if err != nil {
		return "", fmt.Errorf("link picture: %w", err)
	}
	path, err := filepath.Rel(from, to)
	if err != nil {
		return "", fmt.Errorf("link picture: %w", err)
	}
	return (&url.URL{Path: filepath.ToSlash(path)}).String(), nil
}
