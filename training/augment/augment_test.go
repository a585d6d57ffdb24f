package augment

import (
	"bytes"
	"image"
	"image/draw"
	_ "image/jpeg" // of the selfie
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/agequote/agequote/internal/face"
)

// picture is a sample selfie with points where a face could have its own.
func picture(t *testing.T) (*face.Picture, [5]face.Point) {
	t.Helper()
	f, err := os.Open("../../events/selfies/grace_hopper.jpg")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	m, _, err := image.Decode(f)
	if err != nil {
		t.Fatal(err)
	}
	rgba := image.NewRGBA(m.Bounds())
	draw.Draw(rgba, m.Bounds(), m, m.Bounds().Min, draw.Src)
	w, h := m.Bounds().Dx(), m.Bounds().Dy()
	at := func(x, y int) face.Point { return face.Point{X: w * x / 100, Y: h * y / 100} }
	return face.NewPicture(rgba), [5]face.Point{at(40, 30), at(60, 31), at(50, 42), at(42, 52), at(58, 53)}
}

// everything is a variation of all kinds, always.
var everything = Settings{Mirror: 0.5, Turn: 6, Scale: 0.1, Shift: 0.05, Light: 0.2, Contrast: 0.2, Tint: 0.1, Grey: 0.5, Blur: 1, JPEG: 1}

func TestCrop(t *testing.T) {
	pic, points := picture(t)
	rng := func(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0)) }
	plain := face.Align(pic, points)
	if got := (Settings{}).Crop(pic, points, rng(1)); !bytes.Equal(got.Pix, plain.Pix) {
		t.Error("no settings change the crop that serving makes")
	}
	one, same, other := everything.Crop(pic, points, rng(1)), everything.Crop(pic, points, rng(1)), everything.Crop(pic, points, rng(2))
	if !bytes.Equal(one.Pix, same.Pix) {
		t.Error("the same chance gives another crop")
	}
	if bytes.Equal(one.Pix, other.Pix) {
		t.Error("another chance gives the same crop")
	}
	for i := 3; i < len(one.Pix); i += 4 {
		if one.Pix[i] != 255 {
			t.Fatal("a varied crop is transparent")
		}
	}

	// Each kind of variation by itself changes something.
	for name, s := range map[string]Settings{
		"mirror": {Mirror: 1}, "turn": {Turn: 10}, "scale": {Scale: 0.2}, "shift": {Shift: 0.2}, "light": {Light: 0.2},
		"contrast": {Contrast: 0.2}, "tint": {Tint: 0.2}, "grey": {Grey: 1}, "blur": {Blur: 1}, "jpeg": {JPEG: 1},
	} {
		if got := s.Crop(pic, points, rng(3)); bytes.Equal(got.Pix, plain.Pix) {
			t.Errorf("%s changes nothing", name)
		}
	}
	grey := Settings{Grey: 1}.Crop(pic, points, rng(1))
	for i := 0; i < len(grey.Pix); i += 4 {
		if grey.Pix[i] != grey.Pix[i+1] || grey.Pix[i] != grey.Pix[i+2] {
			t.Fatal("a grey crop has colour")
		}
	}
}

func TestMirror(t *testing.T) {
	for _, width := range []int{4, 5} {
		m := image.NewRGBA(image.Rect(0, 0, width, 2))
		for i := range m.Pix {
			m.Pix[i] = uint8(i)
		}
		before := bytes.Clone(m.Pix)
		Mirror(m)
		for i, got := range m.Pix {
			row, x, c := i/m.Stride, i%m.Stride/4, i%4
			if want := before[row*m.Stride+4*(width-1-x)+c]; got != want {
				t.Fatalf("width %d: column %d is %d, want %d of the other side", width, x, got, want)
			}
		}
		Mirror(m)
		if !bytes.Equal(m.Pix, before) {
			t.Errorf("width %d: mirrored twice is not as it was", width)
		}
	}
}

func TestCheck(t *testing.T) {
	if err := everything.Check(); err != nil {
		t.Error(err)
	}
	for want, s := range map[string]Settings{"jpeg": {JPEG: 1.1}, "mirror": {Mirror: -0.1}, "turn": {Turn: 91}, "light": {Light: -1}} {
		if err := s.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Check(%+v) = %v, want %q", s, err, want)
		}
	}
}
