package face

import (
	"cmp"
	"fmt"
	"image"
	"math"
	"slices"
)

// Point is a place in the upright photo, in sixteenths of a pixel from its
// upper left corner. Whole numbers make the alignment independent of the last
// bits of the detector's floats, which differ between processors.
type Point struct{ X, Y int }

// subpixel is the number of steps of a Point in one pixel.
const subpixel = 16

// Box is one detected face, in pixels of the upright photo.
type Box struct {
	X, Y, W, H float64
	Score      float64  // 0 to 1
	Landmarks  [5]Point // eye, eye, nose tip, mouth corner, mouth corner; left in the picture first
}

func (b Box) area() float64 { return b.W * b.H }

// Network runs a neural network on one float32 tensor.
type Network interface {
	Run(input []float32, shape ...int64) ([][]float32, error)
}

// DetectorInput and DetectorOutputs name YuNet's tensors. Input is
// [1, 3, height, width], blue green red, 0 to 255, both sides a multiple of 32;
// outputs are [1, cells, n], a cell for each stride x stride square, row by row.
const DetectorInput = "input"

// DetectorOutputs is the order in which Detect wants the outputs.
var DetectorOutputs = []string{
	"cls_8", "cls_16", "cls_32",
	"obj_8", "obj_16", "obj_32",
	"bbox_8", "bbox_16", "bbox_32",
	"kps_8", "kps_16", "kps_32",
}

const (
	minScore   = 0.6  // of a face
	maxOverlap = 0.3  // intersection over union above which two boxes are one face
	maxBoxes   = 5000 // that are compared with each other, as in OpenCV: a picture can be made for more
	padding    = 32   // sides are padded to a multiple of it
)

// detectSides are the lengths in pixels of the longer side at which the
// detector looks, one after the other until it finds a face. YuNet was trained
// on faces of 10 to 300 pixels: in a selfie the face fills the frame and is
// found in a small picture, in an old application photo it may not be.
var detectSides = []int{320, 640, 1280}

// Detect returns the faces in the picture, strongest first, by YuNet.
//
// Source of the decoding: libfacedetection.train, and OpenCV's FaceDetectorYN.
func Detect(net Network, p *Picture) ([]Box, error) {
	last := 0
	for _, side := range detectSides {
		img, f := p.small(side)
		if f == last {
			continue // the photo is no larger: the same look again
		}
		last = f
		boxes, err := detectAt(net, img, f)
		if err != nil || len(boxes) > 0 {
			return boxes, err
		}
	}
	return nil, nil
}

// detectAt looks once at a picture that was reduced by f.
func detectAt(net Network, img *image.RGBA, f int) ([]Box, error) {
	w := (img.Rect.Dx() + padding - 1) / padding * padding
	h := (img.Rect.Dy() + padding - 1) / padding * padding
	outputs, err := net.Run(bgr(img, w, h), 1, 3, int64(h), int64(w))
	if err != nil {
		return nil, fmt.Errorf("run face detector: %w", err)
	}
	if len(outputs) != len(DetectorOutputs) {
		return nil, fmt.Errorf("run face detector: %d outputs, want %d", len(outputs), len(DetectorOutputs))
	}

	var boxes []Box
	for level, stride := range []int{8, 16, 32} {
		cls, obj, bbox, kps := outputs[level], outputs[3+level], outputs[6+level], outputs[9+level]
		columns := w / stride
		cells := columns * (h / stride)
		if len(cls) != cells || len(obj) != cells || len(bbox) != 4*cells || len(kps) != 10*cells {
			return nil, fmt.Errorf("run face detector: output of stride %d has %d cells, want %d", stride, len(cls), cells)
		}
		for i := range cells {
			score := math.Sqrt(clamp01(cls[i]) * clamp01(obj[i]))
			if score < minScore || math.IsNaN(score) {
				continue
			}
			boxes = append(boxes, decodeBox(bbox[4*i:], kps[10*i:], i%columns, i/columns, stride, f, score))
		}
	}
	return suppress(boxes), nil
}

// decodeBox brings a cell's output to pixels of the photo: centres and points
// are relative to the cell's corner, sizes are logarithms, all in strides.
func decodeBox(bbox, kps []float32, column, row, stride, f int, score float64) Box {
	unit := float64(stride * f)
	cx := (float64(column) + float64(bbox[0])) * unit
	cy := (float64(row) + float64(bbox[1])) * unit
	w := math.Exp(float64(bbox[2])) * unit
	h := math.Exp(float64(bbox[3])) * unit
	b := Box{X: cx - w/2, Y: cy - h/2, W: w, H: h, Score: score}
	for k := range b.Landmarks {
		b.Landmarks[k] = Point{
			X: int(math.Round((float64(column) + float64(kps[2*k])) * unit * subpixel)),
			Y: int(math.Round((float64(row) + float64(kps[2*k+1])) * unit * subpixel)),
		}
	}
	return b
}

// suppress keeps the strongest of boxes that overlap (greedy non-maximum
// suppression), strongest first.
func suppress(boxes []Box) []Box {
	slices.SortStableFunc(boxes, func(a, b Box) int { return cmp.Compare(b.Score, a.Score) })
	var kept []Box
	for _, b := range boxes[:min(len(boxes), maxBoxes)] {
		if !slices.ContainsFunc(kept, func(k Box) bool { return overlap(k, b) > maxOverlap }) {
			kept = append(kept, b)
		}
	}
	return kept
}

// overlap is the intersection over union of two boxes.
func overlap(a, b Box) float64 {
	w := min(a.X+a.W, b.X+b.W) - max(a.X, b.X)
	h := min(a.Y+a.H, b.Y+b.H) - max(a.Y, b.Y)
	if w <= 0 || h <= 0 {
		return 0
	}
	return w * h / (a.area() + b.area() - w*h)
}

// bgr lays the picture out as YuNet wants it, padded with black to w x h.
func bgr(img *image.RGBA, w, h int) []float32 {
	planes := make([]float32, 3*w*h)
	for y := range img.Rect.Dy() {
		row := img.Pix[y*img.Stride:]
		for x := range img.Rect.Dx() {
			o := y*w + x
			planes[o] = float32(row[4*x+2])
			planes[w*h+o] = float32(row[4*x+1])
			planes[2*w*h+o] = float32(row[4*x])
		}
	}
	return planes
}

func clamp01(v float32) float64 { return min(1, max(0, float64(v))) }
