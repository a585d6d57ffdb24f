package similar

import (
	"math"

	"github.com/agequote/agequote/internal/evaluation"
)

// Figures tell how often the neighbours of a photo show the same person. Every
// photo that has another of the same person asks once for all the others; means
// are over those queries. Intervals draw people, with the index as it is.
type Figures struct {
	Queries    int    `json:"queries"`
	People     int    `json:"people"` // who ask
	Precision1 Figure `json:"precision_1"`
	Precision5 Figure `json:"precision_5"`
	// MeanAveragePrecision is the mean over queries of the average precision: the
	// precision at the rank of each photo sought, averaged over those photos
	// (Manning et al. 2008, Introduction to Information Retrieval, section 8.4).
	MeanAveragePrecision Figure  `json:"mean_average_precision"`
	Ceiling5             float64 `json:"ceiling_5"` // precision_5 of a perfect order: there may be fewer than five to find
	Chance               float64 `json:"chance"`    // precision_1 and precision_5 of a random order, expected
}

// Figure is a mean and its 95 % interval.
type Figure struct {
	Value float64              `json:"value"`
	CI    *evaluation.Interval `json:"ci"`
}

// Pairs tells whether two photos of one person are to find each other. Those
// that are not are neither right nor wrong: they leave the search.
type Pairs func(a, b Photo) bool

// FarYears is from when on two photos of one person are far apart in age.
const FarYears = 10

// All takes every pair.
func All(_, _ Photo) bool { return true }

// Far takes the pairs whose ages are FarYears or more apart.
func Far(a, b Photo) bool { return math.Abs(a.Age-b.Age) >= FarYears }

// Near takes the other pairs.
func Near(a, b Photo) bool { return !Far(a, b) }

// sought is what one query found.
type sought struct {
	precision1, precision5, average, ceiling5, chance float64
}

// Measure asks for every photo. It returns false if no photo has another to be
// found.
func (x *Index) Measure(pairs Pairs) (Figures, bool) {
	var (
		queries []sought
		people  [][]int // queries of each person
		number  = map[string]int{}
	)
	for i, p := range x.Photos {
		q, ok := x.query(i, pairs)
		if !ok {
			continue
		}
		k, known := number[p.Person]
		if !known {
			k = len(people)
			number[p.Person] = k
			people = append(people, nil)
		}
		people[k] = append(people[k], len(queries))
		queries = append(queries, q)
	}
	if len(queries) == 0 {
		return Figures{}, false
	}
	figure := func(of func(sought) float64) Figure {
		clusters := make([][]float64, len(people))
		for k, own := range people {
			for _, q := range own {
				clusters[k] = append(clusters[k], of(queries[q]))
			}
		}
		return Figure{mean(queries, of), evaluation.MeanInterval("people", clusters)}
	}
	return Figures{
		Queries: len(queries), People: len(people),
		Precision1:           figure(func(q sought) float64 { return q.precision1 }),
		Precision5:           figure(func(q sought) float64 { return q.precision5 }),
		MeanAveragePrecision: figure(func(q sought) float64 { return q.average }),
		Ceiling5:             mean(queries, func(q sought) float64 { return q.ceiling5 }),
		Chance:               mean(queries, func(q sought) float64 { return q.chance }),
	}, true
}

func mean(queries []sought, of func(sought) float64) float64 {
	var sum float64
	for _, q := range queries {
		sum += of(q)
	}
	return sum / float64(len(queries))
}

// query asks for the photos of the person on photo i, but for itself.
func (x *Index) query(i int, pairs Pairs) (sought, bool) {
	own := x.Photos[i]
	right := func(j int) bool { return x.Photos[j].Person == own.Person && pairs(own, x.Photos[j]) }
	ranked := x.rank(x.row(i), func(j int) bool { return j != i && (x.Photos[j].Person != own.Person || right(j)) })

	const first = 5
	var q sought
	found := 0.0
	for r, n := range ranked {
		if !right(n.Photo) {
			continue
		}
		found++
		q.average += found / float64(r+1)
		if r == 0 {
			q.precision1 = 1
		}
		if r < first {
			q.precision5 += 1.0 / first
		}
	}
	if found == 0 {
		return q, false
	}
	q.average /= found
	q.ceiling5 = min(found/first, 1)
	q.chance = found / float64(len(ranked))
	return q, true
}
