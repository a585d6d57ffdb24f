package face

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"io"

	"github.com/bep/imagemeta"
	"golang.org/x/image/webp"

	"github.com/agequote/agequote/internal/reason"
	"github.com/agequote/agequote/internal/scaledjpeg"
)

// Limits bound what is decoded. All are checked from the file's header, before
// a pixel is.
type Limits struct {
	Bytes        int // of the file
	Pixels       int // width x height
	DecodedBytes int // memory that the decoder will ask for; more is counted where it is slow
	ScanPixels   int // pixels x scans of a JPEG: what a progressive bomb multiplies
	Chunks       int // of a PNG: the decoder takes 4 KB for each
	MinSide      int // shorter side, in pixels
}

// DefaultLimits keep the work on any file under a second and 400 MB: bench/hostile tries.
var DefaultLimits = Limits{
	Bytes:        10 << 20,
	Pixels:       40_000_000,
	DecodedBytes: 200_000_000,
	ScanPixels:   300_000_000,
	Chunks:       20_000, // encoders write 4 KB and more in one
	MinSide:      160,
}

// header is what a file says of itself before it is decoded.
type header struct {
	format        string // jpeg, png, webp
	width, height int
	decodedBytes  int // upper bound of the decoder's memory
	scans         int // of a JPEG; 1 elsewhere
	chunks        int // of a PNG
}

// Decode checks and decodes a JPEG, PNG or WebP file, and reads its EXIF
// orientation. Codes: too_large, not_image, unsupported, too_small.
func Decode(b []byte, limits Limits) (*Picture, error) {
	if len(b) > limits.Bytes {
		return nil, reason.New(reason.TooLarge, fmt.Errorf("%d bytes", len(b)))
	}
	h, err := readHeader(b)
	if err != nil {
		return nil, err
	}
	switch {
	case h.width <= 0 || h.height <= 0:
		return nil, reason.New(reason.NotImage, fmt.Errorf("%s of %dx%d", h.format, h.width, h.height))
	case h.width > limits.Pixels/h.height,
		h.decodedBytes > limits.DecodedBytes,
		h.chunks > limits.Chunks,
		h.width*h.height > limits.ScanPixels/max(1, h.scans):
		return nil, reason.New(reason.TooLarge, fmt.Errorf("%s of %dx%d, %d scans", h.format, h.width, h.height, h.scans))
	case min(h.width, h.height) < limits.MinSide:
		return nil, reason.New(reason.TooSmall, fmt.Errorf("%s of %dx%d", h.format, h.width, h.height))
	}

	p := &Picture{orientation: orientation(h.format, b), width: h.width, height: h.height, scale: 1}
	if h.format == "jpeg" && p.decodeJPEG(b, firstScale(h, p.orientation)) {
		return p, nil
	}
	if p.img, err = decodeWhole(h, b); err != nil {
		return nil, err
	}
	return p, nil
}

// firstSide is the least length in pixels of the longer side at which a JPEG is
// first decoded: what two looks of the detector need.
const firstSide = 640

// firstScale returns at which part of its size a JPEG is first decoded: 1 for
// all but large ones. A turned picture must divide evenly, so that its blocks
// lie the same from each corner.
func firstScale(h header, orientation int) int {
	for _, s := range []int{8, 4, 2} {
		if max(h.width, h.height) >= s*firstSide && (orientation == 1 || h.width%s == 0 && h.height%s == 0) {
			return s
		}
	}
	return 1
}

// decodeJPEG decodes a plain JPEG with each side divided by scale, and tells
// whether it was one. A progressive, damaged or rare one is left to the standard
// library, whose word on it is the last.
func (p *Picture) decodeJPEG(b []byte, scale int) bool {
	var d *scaledjpeg.Decoder
	img, err := decodeImage(func() (img image.Image, err error) {
		if d, err = scaledjpeg.Open(b); err != nil {
			return nil, err
		}
		return d.Decode(scale)
	}, "jpeg")
	if err != nil || img.Bounds().Size() != image.Pt((p.width+scale-1)/scale, (p.height+scale-1)/scale) {
		return false
	}
	p.img, p.scale, p.finer = img, scale, d.Region
	return true
}

// decodeWhole decodes a file by the decoder of its format.
func decodeWhole(h header, b []byte) (image.Image, error) {
	img, err := decodeImage(func() (image.Image, error) {
		switch h.format {
		case "jpeg":
			return jpeg.Decode(bytes.NewReader(b))
		case "png":
			return png.Decode(bytes.NewReader(b))
		}
		return webp.Decode(bytes.NewReader(b))
	}, h.format)
	if err != nil {
		return nil, err
	}
	// The decoder's word is final: a file could state two sizes.
	if s := img.Bounds().Size(); s.X != h.width || s.Y != h.height {
		return nil, reason.New(reason.NotImage, errors.New("two sizes in one file"))
	}
	return img, nil
}

// decodeImage runs a decoder. Its panic on hostile bytes is the file's fault,
// not the photo's of the next customer.
func decodeImage(decode func() (image.Image, error), format string) (img image.Image, err error) {
	defer func() {
		if p := recover(); p != nil {
			img, err = nil, reason.New(reason.NotImage, fmt.Errorf("%s decoder: %v", format, p))
		}
	}()
	if img, err = decode(); err != nil {
		return nil, decodeError(format, err)
	}
	return img, nil
}

// decodeError tells a feature that the decoder lacks from a damaged file.
func decodeError(format string, err error) error {
	var unsupportedJPEG jpeg.UnsupportedError
	var unsupportedPNG png.UnsupportedError
	if errors.As(err, &unsupportedJPEG) || errors.As(err, &unsupportedPNG) {
		return reason.New(reason.Unsupported, fmt.Errorf("decode %s: %w", format, err))
	}
	return reason.New(reason.NotImage, fmt.Errorf("decode %s: %w", format, err))
}

// readHeader sniffs the format by its magic bytes, whatever the file is called,
// and reads its dimensions.
func readHeader(b []byte) (header, error) {
	switch {
	case bytes.HasPrefix(b, []byte("\xff\xd8\xff")):
		return readJPEGHeader(b)
	case bytes.HasPrefix(b, []byte("\x89PNG\r\n\x1a\n")):
		return readPNGHeader(b)
	case len(b) >= 16 && string(b[:4]) == "RIFF" && string(b[8:12]) == "WEBP":
		return readWebPHeader(b)
	case isOtherPicture(b):
		return header{}, reason.New(reason.Unsupported, errors.New("a picture in a format that is not read"))
	}
	return header{}, reason.New(reason.NotImage, errors.New("unknown magic bytes"))
}

// isOtherPicture knows the formats that customers send and we do not read, so
// that the refusal can say what to send instead.
func isOtherPicture(b []byte) bool {
	if len(b) >= 12 && string(b[4:8]) == "ftyp" {
		switch string(b[8:12]) {
		case "heic", "heix", "heim", "heis", "hevc", "hevx", "mif1", "msf1", "avif", "avis":
			return true
		}
	}
	for _, magic := range []string{"GIF87a", "GIF89a", "BM", "II*\x00", "MM\x00*", "%PDF-",
		"\xff\x0a", "\x00\x00\x00\x0cJXL ", "\x00\x00\x00\x0cjP  "} {
		if bytes.HasPrefix(b, []byte(magic)) {
			return true
		}
	}
	return false
}

func readPNGHeader(b []byte) (header, error) {
	const ihdrEnd = 8 + 8 + 13 // signature, chunk header, chunk
	if len(b) < ihdrEnd || string(b[12:16]) != "IHDR" {
		return header{}, reason.New(reason.NotImage, errors.New("png without header"))
	}
	w, h := int(binary.BigEndian.Uint32(b[16:])), int(binary.BigEndian.Uint32(b[20:]))
	perPixel := 4
	switch depth, alpha := b[24], b[25]&4 != 0; {
	case depth == 16:
		perPixel = 12 // 8 of memory, and slow
	case alpha:
		perPixel = 6
	}
	if interlaced := b[28] != 0; interlaced {
		perPixel *= 2 // each pass is decoded into an image of its own
	}
	return header{format: "png", width: w, height: h, decodedBytes: perPixel * w * h, scans: 1, chunks: countChunks(b)}, nil
}

// countChunks walks a PNG's chunks without reading them.
func countChunks(b []byte) int {
	const signature, frame = 8, 12 // around a chunk's data: length, type, checksum
	n := 0
	for i := signature; i+frame <= len(b); n++ {
		i += frame + int(binary.BigEndian.Uint32(b[i:]))
	}
	return n
}

func readWebPHeader(b []byte) (header, error) {
	const animation = 1 << 1 // flag of the VP8X chunk
	if string(b[12:16]) == "VP8X" && len(b) > 20 && b[20]&animation != 0 {
		return header{}, reason.New(reason.Unsupported, errors.New("animated webp"))
	}
	c, err := webp.DecodeConfig(bytes.NewReader(b))
	if err != nil {
		return header{}, decodeError("webp", err)
	}
	perPixel := 12 // the lossless decoder keeps its transforms' copy beside the picture, and is slow
	switch {
	case c.ColorModel == color.NYCbCrAModel:
		perPixel = 24 // alpha is a lossless picture of its own
	case string(b[12:16]) == "VP8 ":
		perPixel = 8 // lossy
	}
	return header{format: "webp", width: c.Width, height: c.Height, decodedBytes: perPixel * c.Width * c.Height, scans: 1}, nil
}

// orientation returns the EXIF orientation, 1 to 8, and 1 where there is none
// or where the metadata cannot be read: a photo is not refused for its
// metadata, and one that then lies on its side is refused for having no face.
func orientation(format string, b []byte) (o int) {
	defer func() {
		if recover() != nil {
			o = 1
		}
	}()
	o = 1
	formats := map[string]imagemeta.ImageFormat{"jpeg": imagemeta.JPEG, "png": imagemeta.PNG, "webp": imagemeta.WebP}
	errFound := errors.New("found")
	_, err := imagemeta.Decode(imagemeta.Options{
		R:               bytes.NewReader(b),
		ImageFormat:     formats[format],
		Sources:         imagemeta.EXIF,
		LimitNumTags:    500,
		LimitTagSize:    1 << 10,
		Warnf:           func(string, ...any) {},
		ShouldHandleTag: func(t imagemeta.TagInfo) bool { return t.Tag == "Orientation" },
		HandleTag: func(t imagemeta.TagInfo) error {
			if t.Namespace != "IFD0" {
				return nil // the thumbnail has an orientation of its own
			}
			if v, ok := t.Value.(uint16); ok && v >= 1 && v <= 8 {
				o = int(v)
			}
			return errFound
		},
	})
	if err != nil && !errors.Is(err, errFound) && !errors.Is(err, io.EOF) {
		return o
	}
	return o
}
