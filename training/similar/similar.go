// Package similar finds the faces whose features point the same way, by exact
// search, and measures how often they are faces of the same person. It is for
// research: what serves neither imports it nor keeps features (docs/similar.md).
// It knows no pictures and no networks; an index lives in memory alone.
package similar

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
)

// Photo is what is known of an indexed photo.
type Photo struct {
	File   string
	Person string
	Age    float64 // in years
}

// Index holds photos and the directions of their features, a row each.
type Index struct {
	Photos []Photo
	width  int
	rows   []float32 // [photo][width], of length 1
}

// Neighbour is a photo of an index and its cosine similarity, from -1 to 1.
type Neighbour struct {
	Photo      int // its place in the index
	Similarity float64
}

// NewIndex copies the features of the photos, of which all have the same width.
// It refuses features that have no direction.
func NewIndex(photos []Photo, features [][]float32) (*Index, error) {
	if len(photos) == 0 || len(photos) != len(features) {
		return nil, fmt.Errorf("index %d photos: features of %d", len(photos), len(features))
	}
	x := &Index{Photos: photos, width: len(features[0])}
	for i, f := range features {
		row, err := x.direction(f)
		if err != nil {
			return nil, fmt.Errorf("index %s: %w", photos[i].File, err)
		}
		x.rows = append(x.rows, row...)
	}
	return x, nil
}

// Width is the number of values of a photo's features.
func (x *Index) Width() int { return x.width }

// direction is a feature vector at length 1.
func (x *Index) direction(feature []float32) ([]float32, error) {
	if len(feature) != x.width {
		return nil, fmt.Errorf("features of width %d, want %d", len(feature), x.width)
	}
	norm := math.Sqrt(dot(feature, feature))
	if !(norm > 0) || math.IsInf(norm, 1) {
		return nil, errors.New("features without a direction")
	}
	row := make([]float32, len(feature))
	for i, v := range feature {
		row[i] = float32(float64(v) / norm)
	}
	return row, nil
}

func dot(a, b []float32) float64 {
	var sum float64
	for i, v := range a {
		sum += float64(v) * float64(b[i])
	}
	return sum
}

// Search compares the feature with every photo of the index and returns the k
// most similar, the most similar first; of equally similar ones, the one that
// comes first in the index.
func (x *Index) Search(feature []float32, k int) ([]Neighbour, error) {
	direction, err := x.direction(feature)
	if err != nil {
		return nil, fmt.Errorf("search: %w", err)
	}
	ranked := x.rank(direction, func(int) bool { return true })
	return ranked[:min(max(k, 0), len(ranked))], nil
}

// rank orders the photos that keep accepts.
func (x *Index) rank(direction []float32, keep func(photo int) bool) []Neighbour {
	var ranked []Neighbour
	for i := range x.Photos {
		if keep(i) {
			// A row's length is 1 but for rounding.
			s := dot(direction, x.row(i))
			ranked = append(ranked, Neighbour{i, max(-1, min(s, 1))})
		}
	}
	slices.SortStableFunc(ranked, func(a, b Neighbour) int { return cmp.Compare(b.Similarity, a.Similarity) })
	return ranked
}

func (x *Index) row(i int) []float32 { return x.rows[i*x.width : (i+1)*x.width] }
