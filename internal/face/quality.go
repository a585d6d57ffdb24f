package face

import (
	"fmt"
	"image"
	"math"

	"github.com/agequote/agequote/internal/reason"
)

// Quality says how well a face can be read.
type Quality struct {
	EyeDistance float64 `json:"eye_distance"` // between the eyes, in pixels of the photo
	Turn        float64 `json:"turn"`         // sideways offset of the nose from the eyes' middle, in eye distances; 0 looks straight ahead
	Light       float64 `json:"light"`        // mean luma of the face, 0 to 255
	Contrast    float64 `json:"contrast"`     // standard deviation of the face's luma
	Sharpness   float64 `json:"sharpness"`    // see Measure
}

// Bounds are the limits of quality. docs/decisions.md has the shares of the
// calibration photos that each refuses.
type Bounds struct {
	EyeDistance float64 // least, in pixels
	Turn        float64 // largest
	Dark        float64 // least mean luma
	Bright      float64 // largest mean luma
	Sharpness   float64 // least
	SecondScore float64 // a further face counts from this detector score ...
	SecondArea  float64 // ... and this share of the largest face's area
}

// DefaultBounds refuse what the age model was not calibrated on.
var DefaultBounds = Bounds{
	EyeDistance: 24,
	Turn:        0.45,
	Dark:        38,
	Bright:      225,
	Sharpness:   0.012,
	SecondScore: 0.8,
	SecondArea:  0.25,
}

// check refuses a face outside the bounds, with the code of the first limit
// that it meets.
func (b Bounds) check(q Quality) error {
	switch {
	case q.EyeDistance < b.EyeDistance:
		return reason.New(reason.TooSmall, fmt.Errorf("eyes %.0f px apart", q.EyeDistance))
	case q.Turn > b.Turn:
		return reason.New(reason.Turned, fmt.Errorf("turn %.2f", q.Turn))
	case q.Light < b.Dark:
		return reason.New(reason.TooDark, fmt.Errorf("light %.0f", q.Light))
	case q.Light > b.Bright:
		return reason.New(reason.TooBright, fmt.Errorf("light %.0f", q.Light))
	case q.Sharpness < b.Sharpness:
		return reason.New(reason.Blurred, fmt.Errorf("sharpness %.3f", q.Sharpness))
	}
	return nil
}

// faceArea is the part of the crop that skin fills, whatever the hair.
var faceArea = image.Rect(Size/4, Size/5, Size-Size/4, Size-Size/5)

// Measure takes the quality of an aligned crop and its box.
//
// Sharpness is the variance of the Laplacian (Pech-Pacheco et al. 2000) at half
// size, where a chip of 200 pixels still has detail, over the variance of the
// luma: a ratio, so that it does not fall with the light.
func Measure(crop *image.RGBA, box Box) Quality {
	left, right, nose := box.Landmarks[0], box.Landmarks[1], box.Landmarks[2]
	ex, ey := float64(right.X-left.X), float64(right.Y-left.Y)
	eyes := max(math.Hypot(ex, ey), 1)
	nx := float64(nose.X) - float64(left.X+right.X)/2
	ny := float64(nose.Y) - float64(left.Y+right.Y)/2
	q := Quality{
		EyeDistance: eyes / subpixel,
		Turn:        math.Abs(nx*ex+ny*ey) / (eyes * eyes), // along the line of the eyes, so that a tilted head is not turned
	}

	luma := halfLuma(crop)
	const stride = Size / 2
	var n, sum, sum2, lap, lap2 float64
	for y := faceArea.Min.Y / 2; y < faceArea.Max.Y/2; y++ {
		for x := faceArea.Min.X / 2; x < faceArea.Max.X/2; x++ {
			i := y*stride + x
			v := luma[i]
			l := 4*v - luma[i-1] - luma[i+1] - luma[i-stride] - luma[i+stride]
			n++
			sum += v
			sum2 += v * v
			lap += l
			lap2 += l * l
		}
	}
	q.Light = sum / n
	variance := max(sum2/n-q.Light*q.Light, 0)
	q.Contrast = math.Sqrt(variance)
	q.Sharpness = max(lap2/n-(lap/n)*(lap/n), 0) / max(variance, 1)
	return q
}

// halfLuma returns the crop's luma (ITU-R BT.601) at half size.
func halfLuma(crop *image.RGBA) []float64 {
	const half = Size / 2
	luma := make([]float64, half*half)
	for y := range half {
		for x := range half {
			var sum float64
			for _, o := range [4]int{0, 4, crop.Stride, crop.Stride + 4} {
				p := crop.Pix[2*y*crop.Stride+8*x+o:]
				sum += 0.299*float64(p[0]) + 0.587*float64(p[1]) + 0.114*float64(p[2])
			}
			luma[y*half+x] = sum / 4
		}
	}
	return luma
}
