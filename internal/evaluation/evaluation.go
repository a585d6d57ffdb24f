// Package evaluation measures estimates against known ages: errors, interval
// coverage and refusals, over all photos and by group. It reads labelled photos
// from a folder, but not the faces on them.
package evaluation

import (
	"fmt"
	"math"

	"github.com/agequote/agequote/internal/age"
	"github.com/agequote/agequote/internal/reason"
)

// Row is one photo of a person whose age is known.
type Row struct {
	Age      float64           // true age in whole years
	Groups   map[string]string // column -> value: sex, race ...
	Code     reason.Code
	Estimate age.Estimate // where Code is ok
}

// Report is what was measured. Numbers that no accepted photo gives are null.
type Report struct {
	Schema int    `json:"schema"`
	Model  string `json:"model"` // hash of the package
	Figures
	Groups map[string]Figures `json:"groups"`
}

// Figures are the measurements over one set of photos. Errors are estimate
// minus age, in years, on the printed values and over accepted photos.
type Figures struct {
	N        int      `json:"n"` // photos, refused ones included
	Rejected Rejected `json:"rejected"`
	MAE      *float64 `json:"mae"`      // mean absolute error
	RMSE     *float64 `json:"rmse"`     // root mean square error
	CS5      *float64 `json:"cs5"`      // share with an error of at most 5 years
	Bias     *float64 `json:"bias"`     // mean error
	Coverage *float64 `json:"coverage"` // share with low <= age <= high
	Width    *float64 `json:"width"`    // mean of high - low
}

// Rejected counts refused photos by code.
type Rejected struct {
	N     int                 `json:"n"`
	Share float64             `json:"share"`
	Codes map[reason.Code]int `json:"codes"`
}

// band is a range of true ages, both ends included.
type band struct {
	name      string
	low, high float64
}

// bands are always among the groups. Adults of 18 to 75 are who buys.
var bands = []band{
	{"age=0-17", 0, 17}, {"age=18-29", 18, 29}, {"age=30-39", 30, 39}, {"age=40-49", 40, 49},
	{"age=50-59", 50, 59}, {"age=60-69", 60, 69}, {"age=70-79", 70, 79}, {"age=80+", 80, math.Inf(1)},
	{"adults=18-75", 18, 75},
}

// Measure computes the report of a model's rows.
func Measure(model string, rows []Row) Report {
	all := new(sums)
	groups := map[string]*sums{}
	for _, b := range bands {
		groups[b.name] = new(sums)
	}
	for _, r := range rows {
		all.add(r)
		for _, b := range bands {
			if b.low <= r.Age && r.Age <= b.high {
				groups[b.name].add(r)
			}
		}
		for column, value := range r.Groups {
			name := fmt.Sprintf("%s=%s", column, value)
			if groups[name] == nil {
				groups[name] = new(sums)
			}
			groups[name].add(r)
		}
	}

	report := Report{Schema: 1, Model: model, Figures: all.figures(), Groups: map[string]Figures{}}
	for name, s := range groups {
		report.Groups[name] = s.figures()
	}
	return report
}

// sums accumulates one group.
type sums struct {
	n, accepted, close5, covered int
	codes                        map[reason.Code]int
	abs, square, signed, width   float64
}

func (s *sums) add(r Row) {
	s.n++
	if r.Code != reason.OK {
		if s.codes == nil {
			s.codes = map[reason.Code]int{}
		}
		s.codes[r.Code]++
		return
	}
	s.accepted++
	e := *r.Estimate.Age - r.Age
	s.abs += math.Abs(e)
	s.square += e * e
	s.signed += e
	if math.Abs(e) <= 5 {
		s.close5++
	}
	low, high := *r.Estimate.Low, *r.Estimate.High
	s.width += high - low
	if low <= r.Age && r.Age <= high {
		s.covered++
	}
}

func (s *sums) figures() Figures {
	f := Figures{N: s.n, Rejected: Rejected{N: s.n - s.accepted, Codes: s.codes}}
	if f.Rejected.Codes == nil {
		f.Rejected.Codes = map[reason.Code]int{}
	}
	if s.n > 0 {
		f.Rejected.Share = round(float64(f.Rejected.N) / float64(s.n))
	}
	if s.accepted == 0 {
		return f
	}
	per := func(sum float64) *float64 {
		v := round(sum / float64(s.accepted))
		return &v
	}
	rmse := round(math.Sqrt(s.square / float64(s.accepted)))
	f.MAE, f.RMSE, f.Bias, f.Width = per(s.abs), &rmse, per(s.signed), per(s.width)
	f.CS5, f.Coverage = per(float64(s.close5)), per(float64(s.covered))
	return f
}

// round keeps four decimals: more would be noise.
func round(v float64) float64 { return math.Round(v*1e4) / 1e4 }
