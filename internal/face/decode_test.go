package face_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
	"image/png"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/agequote/agequote/internal/face"
	"github.com/agequote/agequote/internal/face/hostile"
	"github.com/agequote/agequote/internal/reason"
)

// selfies is where the public-domain sample photos lie.
const selfies = "../../events/selfies"

func readSelfie(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(selfies, name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func encodePNG(t testing.TB, img image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func encodeJPEG(t testing.TB, img image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: 95}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// jpegHeader is a JPEG of this size and frame type up to its first scan, whose
// data is missing.
func jpegHeader(sof byte, w, h, scans int) []byte {
	b := []byte{0xff, 0xd8, 0xff, sof, 0, 17, 8}
	b = binary.BigEndian.AppendUint16(b, uint16(h))
	b = binary.BigEndian.AppendUint16(b, uint16(w))
	b = append(b, 3, 1, 0x22, 0, 2, 0x11, 0, 3, 0x11, 0)
	for range scans {
		b = append(b, 0xff, 0xda, 0, 8, 1, 1, 0, 0, 63, 0, 0x55)
	}
	return b
}

// pngHeader is a PNG with a true header and no data.
func pngHeader(w, h int) []byte {
	ihdr := binary.BigEndian.AppendUint32([]byte("IHDR"), uint32(w))
	ihdr = binary.BigEndian.AppendUint32(ihdr, uint32(h))
	ihdr = append(ihdr, 8, 2, 0, 0, 0)
	b := append([]byte("\x89PNG\r\n\x1a\n"), 0, 0, 0, 13)
	b = append(b, ihdr...)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(ihdr))
}

func TestDecodeRefuses(t *testing.T) {
	photo := readSelfie(t, "grace_hopper.jpg")
	flat := image.NewGray(image.Rect(0, 0, 100, 400))
	tests := []struct {
		name string
		file []byte
		want reason.Code
	}{
		{"empty", nil, reason.NotImage},
		{"text named .jpg", []byte("this is no picture"), reason.NotImage},
		{"JPEG cut in half", photo[:len(photo)/2], reason.NotImage},
		{"JPEG cut in its header", photo[:100], reason.NotImage},
		{"PNG without data", pngHeader(400, 400), reason.NotImage},
		{"PNG of no size", pngHeader(0, 400), reason.NotImage},
		{"more bytes than allowed", make([]byte, face.DefaultLimits.Bytes+1), reason.TooLarge},
		{"JPEG of 100 megapixels", jpegHeader(0xc0, 10000, 10000, 1), reason.TooLarge},
		{"PNG of 100 megapixels", pngHeader(10000, 10000), reason.TooLarge},
		{"PNG of sides that overflow", pngHeader(1<<31-1, 1<<31-1), reason.TooLarge},
		{"progressive JPEG of thousands of scans", jpegHeader(0xc2, 3000, 3000, 5000), reason.TooLarge},
		{"progressive JPEG whose coefficients fill the memory", jpegHeader(0xc2, 6000, 6000, 10), reason.TooLarge},
		{"arithmetic JPEG", jpegHeader(0xc9, 400, 400, 1), reason.Unsupported},
		{"JPEG with two frames", append(jpegHeader(0xc0, 400, 400, 0), jpegHeader(0xc0, 300, 300, 1)[2:]...), reason.NotImage},
		{"JPEG without a scan", jpegHeader(0xc0, 400, 400, 0), reason.NotImage},
		{"HEIC", []byte("\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic"), reason.Unsupported},
		{"GIF", []byte("GIF89a\x10\x00\x10\x00"), reason.Unsupported},
		{"PDF", []byte("%PDF-1.7\n"), reason.Unsupported},
		{"animated WebP", []byte("RIFF\x20\x00\x00\x00WEBPVP8X\x0a\x00\x00\x00\x02\x00\x00\x00\xff\x00\x00\xff\x00\x00"), reason.Unsupported},
		{"WebP cut short", []byte("RIFF\x20\x00\x00\x00WEBPVP8 \x0a\x00\x00\x00"), reason.NotImage},
		{"small", encodePNG(t, flat), reason.TooSmall},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			started := time.Now()
			_, err := face.Decode(tt.file, face.DefaultLimits)
			took := time.Since(started)
			runtime.ReadMemStats(&after)

			if got := reason.Of(err); got != tt.want {
				t.Errorf("Decode = %q (%v), want %q", got, err, tt.want)
			}
			if took > hangs {
				t.Errorf("Decode took %v", took)
			}
			if used := after.TotalAlloc - before.TotalAlloc; used > 300<<20 {
				t.Errorf("Decode allocated %d MB", used>>20)
			}
		})
	}
}

// TestDecodeLargest decodes the worst that the limits let through, so that they
// are known to bound time and memory.
func TestDecodeLargest(t *testing.T) {
	if testing.Short() {
		t.Skip("decodes 40 megapixels")
	}
	photo := encodeJPEG(t, image.NewYCbCr(image.Rect(0, 0, 6300, 6300), image.YCbCrSubsampleRatio420))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := face.Decode(photo, face.DefaultLimits); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; used > 300<<20 {
		t.Errorf("Decode allocated %d MB", used>>20)
	}
}

// hangs is how long nothing takes here, whatever else the machine does. Times
// are measured by the benches.
const hangs = 20 * time.Second

// TestDecodeHostile has a tenth of the limits attacked from all sides; `make
// bench-hostile` does that with the limits themselves, and measures.
func TestDecodeHostile(t *testing.T) {
	limits := face.DefaultLimits
	for _, l := range []*int{&limits.Bytes, &limits.Pixels, &limits.DecodedBytes, &limits.ScanPixels, &limits.Chunks} {
		*l /= 10
	}
	for _, p := range hostile.Pictures(limits, readSelfie(t, "grace_hopper.jpg")) {
		t.Run(p.Name, func(t *testing.T) {
			file := p.Make()
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			started := time.Now()
			pic, err := face.Decode(file, limits)
			took := time.Since(started)
			runtime.ReadMemStats(&after)
			if got := reason.Of(err); err != nil && got != p.Want || err == nil && p.Want != "" {
				t.Errorf("Decode = %v, want %q", err, p.Want)
			}
			if used := after.TotalAlloc - before.TotalAlloc; used > 50<<20 {
				t.Errorf("Decode allocated %d MB", used>>20)
			}
			if took > hangs {
				t.Errorf("Decode took %v", took)
			}
			if err != nil {
				return
			}
			w, h := pic.Size()
			started = time.Now()
			pic.Region(image.Rect(0, 0, w, h), max(1, max(w, h)/320))
			if took := time.Since(started); took > hangs {
				t.Errorf("Region took %v", took)
			}
		})
	}
}

// TestRegionIsTheSameForEachKind compares the short ways of the decoders' own
// kinds of pictures with what any picture goes through.
func TestRegionIsTheSameForEachKind(t *testing.T) {
	r := image.Rect(0, 0, 37, 29)
	palette := color.Palette{color.NRGBA{1, 2, 3, 4}, color.NRGBA{200, 100, 50, 255}, color.NRGBA{9, 9, 9, 0}, color.White}
	kinds := map[string]draw.Image{
		"RGBA": image.NewRGBA(r), "NRGBA": image.NewNRGBA(r), "RGBA64": image.NewRGBA64(r), "NRGBA64": image.NewNRGBA64(r),
		"Gray16": image.NewGray16(r), "CMYK": image.NewCMYK(r), "Paletted": image.NewPaletted(r, palette),
	}
	random := rand.New(rand.NewPCG(1, 2))
	any8 := func() uint8 { return [...]uint8{0, 255, uint8(random.Uint32())}[random.IntN(3)] } // clear, opaque and between
	check := func(name string, img image.Image) {
		t.Run(name, func(t *testing.T) {
			for _, f := range []int{1, 3, 10} {
				got := face.NewPicture(img).Region(r, f)
				want := face.NewPicture(struct{ image.Image }{img}).Region(r, f)
				if !bytes.Equal(got.Pix, want.Pix) {
					t.Errorf("reduced by %d, the pixels differ", f)
				}
			}
		})
	}
	for name, img := range kinds {
		for y := range r.Dy() {
			for x := range r.Dx() {
				img.Set(x, y, color.NRGBA{any8(), any8(), any8(), any8()})
			}
		}
		check(name, img)
	}
	alpha := image.NewNYCbCrA(r, image.YCbCrSubsampleRatio420)
	for _, plane := range [][]uint8{alpha.Y, alpha.Cb, alpha.Cr, alpha.A} {
		for i := range plane {
			plane[i] = any8()
		}
	}
	check("NYCbCrA", alpha)
}

// exif is an EXIF block whose one tag is the orientation; next is the offset of
// the following directory, which a hostile file points at itself.
func exif(orientation uint16, next uint32) []byte {
	b := []byte("MM\x00*\x00\x00\x00\x08\x00\x01")
	b = append(b, 0x01, 0x12, 0, 3, 0, 0, 0, 1)
	b = binary.BigEndian.AppendUint16(b, orientation)
	b = append(b, 0, 0)
	return binary.BigEndian.AppendUint32(b, next)
}

// withEXIF puts an EXIF block into a JPEG, after its first marker.
func withEXIF(photo, block []byte) []byte {
	segment := append([]byte("Exif\x00\x00"), block...)
	out := append([]byte{}, photo[:2]...)
	out = append(out, 0xff, 0xe1)
	out = binary.BigEndian.AppendUint16(out, uint16(len(segment)+2))
	out = append(out, segment...)
	return append(out, photo[2:]...)
}

// stored returns the picture that a camera stores for each EXIF orientation
// (CIPA DC-008, section 4.6.5.1.6): the place of the upright picture's pixel
// (x, y) among w x h.
func stored(orientation, x, y, w, h int) (int, int) {
	switch orientation {
	case 2:
		return w - 1 - x, y
	case 3:
		return w - 1 - x, h - 1 - y
	case 4:
		return x, h - 1 - y
	case 5:
		return y, x
	case 6: // the top of the scene lies at the right
		return y, w - 1 - x
	case 7:
		return h - 1 - y, w - 1 - x
	case 8: // the top of the scene lies at the left
		return h - 1 - y, x
	}
	return x, y
}

// TestDecodeTurnsUpright takes a small photo, which is decoded whole, and a
// large one, which is decoded at half its size first.
func TestDecodeTurnsUpright(t *testing.T) {
	for _, times := range []int{1, 6} {
		for orientation := 1; orientation <= 8; orientation++ {
			t.Run(fmt.Sprintf("%d times %d", orientation, times), func(t *testing.T) { testTurnsUpright(t, orientation, times) })
		}
	}
}

func testTurnsUpright(t *testing.T, orientation, times int) {
	// A scene whose quarters differ: grey levels that JPEG keeps apart.
	w, h := 240*times, 200*times
	level := func(x, y int) uint8 { return uint8(40 + 60*(2*y/h) + 120*(2*x/w)) }
	sw, sh := w, h
	if orientation >= 5 {
		sw, sh = h, w
	}
	img := image.NewGray(image.Rect(0, 0, sw, sh))
	for y := range h {
		for x := range w {
			sx, sy := stored(orientation, x, y, w, h)
			img.SetGray(sx, sy, color.Gray{level(x, y)})
		}
	}

	p, err := face.Decode(withEXIF(encodeJPEG(t, img), exif(uint16(orientation), 0)), face.DefaultLimits)
	if err != nil {
		t.Fatal(err)
	}
	if gw, gh := p.Size(); gw != w || gh != h {
		t.Fatalf("Size = %d, %d, want %d, %d", gw, gh, w, h)
	}
	for _, f := range []int{4, 1} { // 1 needs the whole of the large photo
		// An off-centre region must come from the right corner too.
		x0, y0 := 4*times, 52*times
		region := p.Region(image.Rect(x0, y0, 222*times, 180*times), f)
		for _, at := range [][2]int{{w/2 - 8, h/2 - 8}, {w/2 + 8, h/2 - 8}, {w/2 - 8, h/2 + 8}, {w/2 + 8, h/2 + 8}} { // beside the quarters' edges
			got := region.RGBAAt((at[0]-x0)/f, (at[1]-y0)/f).R
			want := level(at[0], at[1])
			if d := int(got) - int(want); d < -20 || d > 20 {
				t.Errorf("f=%d: pixel %v = %d, want %d", f, at, got, want)
			}
		}
	}
}

func TestDecodeSurvivesHostileEXIF(t *testing.T) {
	photo := readSelfie(t, "grace_hopper.jpg")
	for name, block := range map[string][]byte{
		"directory that follows itself": exif(6, 8),
		"offset beyond the end":         exif(6, 1<<31),
		"cut short":                     exif(6, 0)[:15],
		"orientation out of range":      exif(99, 0),
		"nothing":                       nil,
	} {
		t.Run(name, func(t *testing.T) {
			started := time.Now()
			if _, err := face.Decode(withEXIF(photo, block), face.DefaultLimits); err != nil {
				t.Errorf("Decode = %v: a photo is not refused for its metadata", err)
			}
			if took := time.Since(started); took > hangs {
				t.Errorf("Decode took %v", took)
			}
		})
	}
}

// FuzzDecode looks for files that crash, or that pass and have no pixels.
func FuzzDecode(f *testing.F) {
	small := image.NewNRGBA(image.Rect(0, 0, 32, 32))
	f.Add(encodePNG(f, small))
	f.Add(encodeJPEG(f, small))
	f.Add(withEXIF(encodeJPEG(f, small), exif(6, 8)))
	f.Add(jpegHeader(0xc2, 32, 32, 3))
	f.Add([]byte("RIFF\x20\x00\x00\x00WEBPVP8X\x0a\x00\x00\x00\x00\x00\x00\x00\xff\x00\x00\xff\x00\x00"))
	limits := face.Limits{Bytes: 1 << 16, Pixels: 1 << 18, DecodedBytes: 1 << 20, ScanPixels: 1 << 21, Chunks: 100, MinSide: 1}
	for _, p := range hostile.Pictures(limits, encodeJPEG(f, image.NewGray(image.Rect(0, 0, 160, 160)))) {
		f.Add(p.Make())
	}
	limits = face.DefaultLimits
	limits.MinSide, limits.Pixels = 1, 1<<20
	f.Fuzz(func(t *testing.T, file []byte) {
		if len(file) > 1<<16 {
			return
		}
		p, err := face.Decode(file, limits)
		if err != nil {
			if reason.Of(err) == reason.Internal {
				t.Errorf("Decode: unclassified error %v", err)
			}
			return
		}
		w, h := p.Size()
		if r := p.Region(image.Rect(0, 0, w, h), 3); r.Rect.Dx() != (w+2)/3 || r.Rect.Dy() != (h+2)/3 {
			t.Errorf("Region of %dx%d by 3 = %v", w, h, r.Rect)
		}
	})
}

// FuzzOrientation looks for metadata that crashes the reader or keeps it busy.
func FuzzOrientation(f *testing.F) {
	photo := encodeJPEG(f, image.NewGray(image.Rect(0, 0, 200, 200)))
	f.Add(exif(6, 0))
	f.Add(exif(3, 8))
	f.Fuzz(func(t *testing.T, block []byte) {
		if len(block) > 1<<12 {
			return
		}
		if _, err := face.Decode(withEXIF(photo, block), face.DefaultLimits); err != nil {
			t.Errorf("Decode = %v: a photo is not refused for its metadata", err)
		}
	})
}
