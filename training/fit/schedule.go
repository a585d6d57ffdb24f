package fit

import "math"

// OneCycle is the schedule of Smith 2018 (A disciplined approach to neural
// network hyper-parameters, section 4) with cosine legs, as fastai runs it: the
// rate climbs from Peak/Div to Peak over the share Warm of the steps and falls
// to Peak/FinalDiv; momentum goes the other way.
type OneCycle struct {
	Off      bool       `yaml:"off"`       // constant: the rate's peak and the first momentum
	Warm     float64    `yaml:"warm"`      // share of the steps; 0 means 0.25
	Div      float64    `yaml:"div"`       // 0 means 25
	FinalDiv float64    `yaml:"final_div"` // 0 means 100000
	Momentum [2]float64 `yaml:"momentum"`  // beyond the climb and at its top; zero means 0.95 and 0.85
}

// At returns the factor of the peak rate and the momentum at a step of total.
func (c OneCycle) At(step, total int) (factor, momentum float64) {
	beyond, top := c.Momentum[0], c.Momentum[1]
	if beyond == 0 && top == 0 {
		beyond, top = 0.95, 0.85
	}
	if c.Off {
		return 1, beyond
	}
	warm, div, final := orDefault(c.Warm, 0.25), orDefault(c.Div, 25), orDefault(c.FinalDiv, 1e5)
	p := float64(step) / float64(max(total-1, 1))
	if p < warm {
		f := p / warm
		return cosine(1/div, 1, f), cosine(beyond, top, f)
	}
	f := (p - warm) / (1 - warm)
	return cosine(1, 1/final, f), cosine(top, beyond, f)
}

// cosine goes from a to b as f goes from 0 to 1, flat at both ends.
func cosine(a, b, f float64) float64 { return b + (a-b)*(1+math.Cos(math.Pi*f))/2 }

func orDefault(v, d float64) float64 {
	if v == 0 {
		return d
	}
	return v
}
