package face_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	xdraw "golang.org/x/image/draw"

	"github.com/agequote/agequote/internal/face"
	"github.com/agequote/agequote/internal/onnx"
	"github.com/agequote/agequote/internal/onnx/onnxtest"
	"github.com/agequote/agequote/internal/reason"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var selfieNames = []string{"astronaut.png", "grace_hopper.jpg"}

func openReader(t testing.TB) *face.Reader {
	t.Helper()
	onnxtest.Require(t)
	b, err := os.ReadFile("../../models/detector.onnx")
	if err != nil {
		t.Fatal(err)
	}
	session, err := onnx.Open(b, face.DetectorInput, face.DetectorOutputs, onnx.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { session.Close() })
	return &face.Reader{Detector: session}
}

func decodeImage(t testing.TB, b []byte) image.Image {
	t.Helper()
	img, _, err := image.Decode(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// TestReadGolden holds the crops of the sample selfies to the pixel: a model is
// calibrated on such crops, so a change of one needs a new face.Version.
func TestReadGolden(t *testing.T) {
	r := openReader(t)
	for _, name := range selfieNames {
		t.Run(name, func(t *testing.T) {
			f, err := r.Read(readSelfie(t, name))
			if err != nil {
				t.Fatal(err)
			}
			golden := filepath.Join("testdata", name+".crop.png")
			if *update {
				if err := os.WriteFile(golden, encodePNG(t, f.Crop), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			b, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			img, err := png.Decode(bytes.NewReader(b))
			if err != nil {
				t.Fatal(err)
			}
			want := image.NewRGBA(img.Bounds())
			draw.Draw(want, want.Rect, img, image.Point{}, draw.Src)
			if !bytes.Equal(f.Crop.Pix, want.Pix) {
				t.Errorf("crop differs from %s in %d values; raise face.Version and run with -update if that is meant", golden, differing(f.Crop.Pix, want.Pix))
			}
		})
	}
}

// TestReadLarge reads photos that are decoded at a part of their size, and the
// same ones decoded whole: the same face, give or take the rounding, and no
// detail is missing where the face is small. The sides divide by 320, so that
// the detector looks at the same pixels.
func TestReadLarge(t *testing.T) {
	r := openReader(t)
	grace := decodeImage(t, readSelfie(t, "grace_hopper.jpg"))
	tests := []struct {
		name         string
		frame, width int // of the photo and of the selfie in it, in pixels
	}{
		{"a quarter", 2560, 2100},
		{"a quarter, then a half", 2560, 1250},
		{"a quarter, then whole", 2560, 700},
		{"half", 1280, 1050},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			photo := image.NewRGBA(image.Rect(0, 0, tt.frame, tt.frame))
			draw.Draw(photo, photo.Rect, image.NewUniform(color.Gray{128}), image.Point{}, draw.Src)
			xdraw.ApproxBiLinear.Scale(photo, image.Rect(20, 20, 20+tt.width, 20+tt.width*600/512), grace, grace.Bounds(), draw.Src, nil)
			file := encodeJPEG(t, photo)
			got, err := r.Read(file)
			if err != nil {
				t.Fatal(err)
			}
			want, err := r.ReadPicture(face.NewPicture(decodeImage(t, file)))
			if err != nil {
				t.Fatal(err)
			}
			if e := got.Quality.EyeDistance; math.Abs(e-want.Quality.EyeDistance) > 0.005*e {
				t.Errorf("%.1f px between the eyes, %.1f in the whole photo", e, want.Quality.EyeDistance)
			}
			if s, w := got.Quality.Sharpness, want.Quality.Sharpness; math.Abs(s-w) > 0.15*w {
				t.Errorf("sharpness %.4f, %.4f in the whole photo", s, w)
			}
			if got.Width != want.Width || got.Height != want.Height {
				t.Errorf("size %dx%d, want %dx%d", got.Width, got.Height, want.Width, want.Height)
			}
			var sum int
			for i := range got.Crop.Pix {
				sum += abs(int(got.Crop.Pix[i]) - int(want.Crop.Pix[i]))
			}
			if mean := float64(sum) / float64(len(got.Crop.Pix)); mean > 2 {
				t.Errorf("crops differ by %.2f levels on average", mean)
			}
		})
	}
}

func differing(a, b []uint8) (n int) {
	for i := range a {
		if a[i] != b[i] {
			n++
		}
	}
	return n
}

// TestDetectKnownBoxes compares with OpenCV's decoder of the same network; see
// testdata/yunet_reference.py.
func TestDetectKnownBoxes(t *testing.T) {
	r := openReader(t)
	b, err := os.ReadFile("testdata/yunet_reference.json")
	if err != nil {
		t.Fatal(err)
	}
	var reference map[string][][15]float64
	if err := json.Unmarshal(b, &reference); err != nil {
		t.Fatal(err)
	}
	for _, name := range selfieNames {
		t.Run(name, func(t *testing.T) {
			p, err := face.Decode(readSelfie(t, name), face.DefaultLimits)
			if err != nil {
				t.Fatal(err)
			}
			boxes, err := face.Detect(r.Detector, p)
			if err != nil {
				t.Fatal(err)
			}
			if len(boxes) != len(reference[name]) {
				t.Fatalf("%d boxes, OpenCV has %d", len(boxes), len(reference[name]))
			}
			for i, want := range reference[name] {
				got := boxes[i]
				values := []float64{got.X, got.Y, got.W, got.H}
				for _, p := range got.Landmarks {
					values = append(values, float64(p.X)/16, float64(p.Y)/16)
				}
				for k, v := range values {
					const half = 2 // the reference looked at a halved photo
					if math.Abs(v-half*want[k]) > 1.5 {
						t.Errorf("box %d, value %d = %.1f, OpenCV has %.1f", i, k, v, half*want[k])
					}
				}
				if math.Abs(got.Score-want[14]) > 0.02 {
					t.Errorf("box %d: score %.3f, OpenCV has %.3f", i, got.Score, want[14])
				}
			}
		})
	}
}

// TestAlignUndoesTurns takes the same face from a photo turned by a quarter, by
// landmarks that turn with it: the crop must not change.
func TestAlignUndoesTurns(t *testing.T) {
	upright := decodeImage(t, readSelfie(t, "grace_hopper.jpg"))
	w, h := upright.Bounds().Dx(), upright.Bounds().Dy()
	turned := image.NewRGBA(image.Rect(0, 0, h, w))
	for y := range h {
		for x := range w {
			turned.Set(h-1-y, x, upright.At(x, y))
		}
	}
	landmarks := [5]face.Point{{X: 3540, Y: 3043}, {X: 4948, Y: 2958}, {X: 4246, Y: 3778}, {X: 3713, Y: 4366}, {X: 4964, Y: 4289}}
	var rotated [5]face.Point
	for i, p := range landmarks {
		rotated[i] = face.Point{X: 16*h - p.Y, Y: p.X}
	}

	a := face.Align(face.NewPicture(upright), landmarks)
	b := face.Align(face.NewPicture(turned), rotated)
	var sum int
	for i := range a.Pix {
		sum += abs(int(a.Pix[i]) - int(b.Pix[i]))
	}
	if mean := float64(sum) / float64(len(a.Pix)); mean > 1 {
		t.Errorf("crops differ by %.2f levels on average", mean)
	}
}

// TestAlignOutside takes landmarks that no face has: the crop is the photo's
// edge, not a crash.
func TestAlignOutside(t *testing.T) {
	p := face.NewPicture(image.NewGray(image.Rect(0, 0, 200, 200)))
	far := 1 << 20
	for _, landmarks := range [][5]face.Point{
		{},
		{{X: far, Y: far}, {X: far + 900, Y: far}, {X: far + 450, Y: far + 500}, {X: far, Y: far + 900}, {X: far + 900, Y: far + 900}},
		{{X: -far, Y: -far}, {X: far, Y: -far}, {}, {X: -far, Y: far}, {X: far, Y: far}},
	} {
		if crop := face.Align(p, landmarks); crop.Rect.Dx() != face.Size {
			t.Errorf("Align(%v) = %v", landmarks, crop.Rect)
		}
	}
}

func abs(v int) int { return max(v, -v) }

// TestReadRefuses makes from a good photo each kind that cannot be read.
func TestReadRefuses(t *testing.T) {
	r := openReader(t)
	grace := decodeImage(t, readSelfie(t, "grace_hopper.jpg"))
	tests := []struct {
		name  string
		photo image.Image
		want  reason.Code
	}{
		{"as it is", grace, reason.OK},
		{"no face", image.NewGray(image.Rect(0, 0, 400, 400)), reason.NoFace},
		{"two faces", besides(grace, grace), reason.ManyFaces},
		{"small face", shrunk(grace, 6), reason.TooSmall},
		{"dark", levels(grace, 0.2, 0), reason.TooDark},
		{"bright", levels(grace, 0.3, 185), reason.TooBright},
		{"blurred", blurred(grace, 13), reason.Blurred},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := r.Read(encodePNG(t, tt.photo))
			if got := reason.Of(err); got != tt.want {
				t.Errorf("Read = %q (%v), want %q", got, err, tt.want)
			}
		})
	}
}

// TestMeasureTurn moves the nose of a face sideways: a tilted head is not
// turned, a turned one is.
func TestMeasureTurn(t *testing.T) {
	crop := image.NewRGBA(image.Rect(0, 0, face.Size, face.Size))
	box := func(landmarks [5]face.Point) face.Box { return face.Box{Landmarks: landmarks} }
	tests := []struct {
		name string
		box  face.Box
		want float64
	}{
		{"straight", box([5]face.Point{{X: 0, Y: 0}, {X: 1000, Y: 0}, {X: 500, Y: 600}}), 0},
		{"tilted", box([5]face.Point{{X: 0, Y: 0}, {X: 600, Y: 800}, {X: 300 - 480, Y: 400 + 360}}), 0},
		{"turned", box([5]face.Point{{X: 0, Y: 0}, {X: 1000, Y: 0}, {X: 1000, Y: 600}}), 0.5},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := face.Measure(crop, tt.box).Turn; math.Abs(got-tt.want) > 1e-9 {
				t.Errorf("Turn = %v, want %v", got, tt.want)
			}
		})
	}
}

// besides puts two pictures next to each other.
func besides(a, b image.Image) image.Image {
	w, h := a.Bounds().Dx(), a.Bounds().Dy()
	out := image.NewRGBA(image.Rect(0, 0, w+b.Bounds().Dx(), h))
	draw.Draw(out, a.Bounds(), a, image.Point{}, draw.Src)
	draw.Draw(out, b.Bounds().Add(image.Pt(w, 0)), b, image.Point{}, draw.Src)
	return out
}

// shrunk puts a picture at 1/f of its size on a grey ground of its old size.
func shrunk(img image.Image, f int) image.Image {
	small := face.NewPicture(img).Region(img.Bounds(), f)
	out := image.NewRGBA(img.Bounds())
	draw.Draw(out, out.Rect, image.NewUniform(color.Gray{128}), image.Point{}, draw.Src)
	draw.Draw(out, small.Rect.Add(image.Pt(200, 200)), small, image.Point{}, draw.Src)
	return out
}

// levels multiplies and lifts every channel.
func levels(img image.Image, factor, lift float64) image.Image {
	return mapped(img, func(x, y int) color.RGBA {
		r, g, b, _ := img.At(x, y).RGBA()
		f := func(v uint32) uint8 { return uint8(min(255, float64(v>>8)*factor+lift)) }
		return color.RGBA{f(r), f(g), f(b), 255}
	})
}

// blurred takes the mean over squares of 2r+1 pixels, twice.
func blurred(img image.Image, r int) image.Image {
	for range 2 {
		from := img
		img = mapped(from, func(x, y int) color.RGBA {
			var sum [3]int
			n := 0
			for dy := -r; dy <= r; dy += 2 {
				for dx := -r; dx <= r; dx += 2 {
					p := image.Pt(x+dx, y+dy)
					if !p.In(from.Bounds()) {
						continue
					}
					cr, cg, cb, _ := from.At(p.X, p.Y).RGBA()
					sum[0] += int(cr >> 8)
					sum[1] += int(cg >> 8)
					sum[2] += int(cb >> 8)
					n++
				}
			}
			return color.RGBA{uint8(sum[0] / n), uint8(sum[1] / n), uint8(sum[2] / n), 255}
		})
	}
	return img
}

func mapped(img image.Image, at func(x, y int) color.RGBA) image.Image {
	out := image.NewRGBA(img.Bounds())
	for y := range out.Rect.Dy() {
		for x := range out.Rect.Dx() {
			out.SetRGBA(x, y, at(x, y))
		}
	}
	return out
}

// wild is a detector that answers as it is told: at each cell the same values,
// and nothing where it looks at fewer pixels than from.
type wild struct {
	score, size, shift float32
	from               int64
}

func (n wild) Run(_ []float32, shape ...int64) ([][]float32, error) {
	var out [][]float32
	for _, width := range []int{1, 1, 4, 10} {
		for _, stride := range []int64{8, 16, 32} {
			values := make([]float32, shape[2]/stride*(shape[3]/stride)*int64(width))
			for i := range values {
				switch {
				case width == 1 && shape[3] >= n.from:
					values[i] = n.score
				case width == 4 && i%4 >= 2:
					values[i] = n.size
				case width > 1:
					values[i] = n.shift * float32(1+i%width)
				}
			}
			out = append(out, values)
		}
	}
	return out, nil
}

// TestReadSurvivesWildDetections has a picture for which the detector sees a face
// in each of 33,600 places, none near another, and others whose places are
// nowhere.
func TestReadSurvivesWildDetections(t *testing.T) {
	photo := encodeJPEG(t, image.NewGray(image.Rect(0, 0, 1280, 1280)))
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	for name, network := range map[string]wild{
		"everywhere":       {score: 1, size: -9, from: 1280},
		"points together":  {score: 1},
		"larger than all":  {score: 1, size: 80, shift: 1e9},
		"without end":      {score: 1, size: inf, shift: inf},
		"before the start": {score: 1, size: -inf, shift: -inf},
		"no numbers":       {score: 1, size: nan, shift: nan},
		"no score":         {score: nan},
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			started := time.Now()
			if _, err := (&face.Reader{Detector: network}).Read(photo); reason.Of(err) == reason.Internal {
				t.Errorf("Read = %v", err)
			}
			took := time.Since(started)
			runtime.ReadMemStats(&after)
			if used := after.TotalAlloc - before.TotalAlloc; took > hangs || used > 100<<20 {
				t.Errorf("Read took %v and %d MB", took, used>>20)
			}
		})
	}
}
