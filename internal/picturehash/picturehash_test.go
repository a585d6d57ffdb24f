package picturehash_test

import (
	"bytes"
	"image"
	"image/jpeg"
	_ "image/png" // a sample is
	"os"
	"testing"

	"golang.org/x/image/draw"

	"github.com/agequote/agequote/internal/digest"
	"github.com/agequote/agequote/internal/face"
	"github.com/agequote/agequote/internal/picturehash"
)

func selfie(t testing.TB, name string) *image.RGBA {
	t.Helper()
	b, err := os.ReadFile("../../events/selfies/" + name)
	if err != nil {
		t.Fatal(err)
	}
	img, _, err := image.Decode(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	return part(img, img.Bounds())
}

func part(img image.Image, r image.Rectangle) *image.RGBA {
	out := image.NewRGBA(image.Rect(0, 0, r.Dx(), r.Dy()))
	draw.Draw(out, out.Rect, img, r.Min, draw.Src)
	return out
}

// of hashes a picture as the service does.
func of(img image.Image) picturehash.Hash {
	return picturehash.Of(face.NewPicture(img).Small())
}

func scaled(img image.Image, w, h int) *image.RGBA {
	out := image.NewRGBA(image.Rect(0, 0, w, h))
	draw.CatmullRom.Scale(out, out.Rect, img, img.Bounds(), draw.Src, nil)
	return out
}

func compressed(t testing.TB, img image.Image, quality int) image.Image {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: quality}); err != nil {
		t.Fatal(err)
	}
	out, err := jpeg.Decode(&b)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func mirrored(img *image.RGBA) *image.RGBA {
	out := image.NewRGBA(img.Rect)
	w := img.Rect.Dx()
	for y := range img.Rect.Dy() {
		for x := range w {
			out.SetRGBA(x, y, img.RGBAAt(w-1-x, y))
		}
	}
	return out
}

// TestDistance makes copies of each sample: they are the same picture, and the
// two samples are not. docs/duplicates.md has the figures for many photos.
func TestDistance(t *testing.T) {
	first, second := selfie(t, "astronaut.png"), selfie(t, "grace_hopper.jpg")
	if d := of(first).Distance(of(second)); d < 2*picturehash.Threshold {
		t.Errorf("two people are %d bits apart", d)
	}
	for _, img := range []*image.RGBA{first, second} {
		w, h := img.Rect.Dx(), img.Rect.Dy()
		for name, c := range map[string]image.Image{
			"itself":         img,
			"compressed":     compressed(t, img, 30),
			"halved":         scaled(img, w/2, h/2),
			"doubled":        scaled(img, 2*w, 2*h),
			"stretched":      scaled(img, w*11/10, h),
			"mirrored":       compressed(t, mirrored(img), 80),
			"cropped evenly": compressed(t, part(img, image.Rect(w/20, h/20, w-w/20, h-h/20)), 80),
			"cropped left":   compressed(t, part(img, image.Rect(w/11, 0, w, h)), 80),
			"mirrored crop":  compressed(t, mirrored(part(img, image.Rect(w/11, 0, w, h))), 80),
		} {
			if d := of(img).Distance(of(c)); d > picturehash.Threshold || of(c).Distance(of(img)) != d {
				t.Errorf("%s: %d bits away, %d back", name, d, of(c).Distance(of(img)))
			}
		}
	}
}

// TestGolden holds the hashes to the bit: stored ones must stay comparable. Who
// changes them raises the version, and old hashes are then compared no more.
func TestGolden(t *testing.T) {
	for name, want := range map[string]string{
		"astronaut.png":    "sha256:84b0b36867383cc3ab25ba0ffb2238c11c2bdd66bc85709284914d5239eb99ef",
		"grace_hopper.jpg": "sha256:078322baba2dc35cb92396d389e9bb330abc5bbea965b758e3a2515b58623b12",
	} {
		if got := digest.Of([]byte(of(selfie(t, name)).String())); got != want {
			t.Errorf("%s: hash %s, want %s", name, got, want)
		}
	}
}

func TestOddSizes(t *testing.T) {
	for _, size := range [][2]int{{1, 1}, {1, 320}, {320, 1}, {2, 3}, {31, 33}} {
		h := picturehash.Of(image.NewRGBA(image.Rect(0, 0, size[0], size[1])))
		if h != (picturehash.Hash{}) {
			t.Errorf("a black picture of %v has the hash %s", size, h)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("")
	f.Add("01")
	f.Add(picturehash.Hash{}.String())
	f.Add(of(image.NewGray(image.Rect(0, 0, 9, 9))).String())
	f.Fuzz(func(t *testing.T, s string) {
		h, err := picturehash.Parse(s)
		if err != nil {
			return
		}
		again, err := picturehash.Parse(h.String())
		if err != nil || again != h {
			t.Errorf("%s became %s: %v", h, again, err)
		}
	})
}
