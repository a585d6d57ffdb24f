package page

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"image/color"
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	vgdraw "gonum.org/v1/plot/vg/draw"

	"github.com/agequote/agequote/internal/evaluation"
	"github.com/agequote/agequote/training/crosscheck"
)

//go:embed crosscheck.html.tmpl
var crosscheckSource string

// Plot is a plot of its own: an SVG element.
type Plot struct {
	Name, Title, Caption string
	SVG                  template.HTML // made by package plot from numbers and group names
}

// curve is a line with marks over one axis.
type curve struct {
	name string
	list []point
}

// looks of the curves of one plot, in their order.
var looks = []struct {
	color color.Color
	shape vgdraw.GlyphDrawer
}{
	{blue, vgdraw.CircleGlyph{}},
	{orange, vgdraw.BoxGlyph{}},
	{color.RGBA{0x00, 0x7a, 0x5a, 0xff}, vgdraw.TriangleGlyph{}},
	{color.RGBA{0x8e, 0x4a, 0x9e, 0xff}, vgdraw.RingGlyph{}},
}

// CrosscheckPlots draws what the photo is good for. A document without levels
// gives no plots.
func CrosscheckPlots(d crosscheck.Document) ([]Plot, error) {
	if len(d.Levels) == 0 {
		return nil, nil
	}
	var plots []Plot
	for _, p := range []struct {
		name, title, caption string
		height               vg.Length
		make                 func() (*plot.Plot, error)
	}{
		{"quoted", "Honest applicants", "Share quoted without a person, and what sends the others to one; causes overlap. No slack.", height,
			func() (*plot.Plot, error) { return overLevels(d, "of honest applicants, %", 100, false, honest(d)...) }},
		{"false-alarm", "False alarms by slack", "Honest applicants whose age lies outside the interval, widened at each end by the slack.", height,
			func() (*plot.Plot, error) {
				return overLevels(d, "of honest applicants, %", 0, false, bySlack(d, func(r crosscheck.Rule) crosscheck.Share { return r.FalseAlarm })...)
			}},
		{"caught-younger", "Ages made younger that are caught", "Outside the interval, by the years that the age is misstated. No slack.", height,
			func() (*plot.Plot, error) {
				return overLevels(d, "caught, %", 100, false, byYears(d, func(r crosscheck.Rule) []crosscheck.Caught { return r.Younger })...)
			}},
		{"caught-older", "Ages made older that are caught", "The same for ages declared too old, which raises the premium.", height,
			func() (*plot.Plot, error) {
				return overLevels(d, "caught, %", 100, false, byYears(d, func(r crosscheck.Rule) []crosscheck.Caught { return r.Older })...)
			}},
		{"trade-off", "False alarms against catches", "Ten years younger; each mark is a level, from 95 % at the left to 50 % at the right.", height,
			func() (*plot.Plot, error) { return tradeOff(d) }},
		{"high-low", "Premium at the high end to that at the low end", "Median, and the tenth and ninetieth percentile of the applicants. The scale is logarithmic.", height,
			func() (*plot.Plot, error) { return overLevels(d, "ratio", 0, true, highLow(d)...) }},
		{"charged", "Premium by the photo alone against the true one", "Sum of what is charged over the sum of the premiums at the true ages, of those quoted without a person. The scale is logarithmic.", height,
			func() (*plot.Plot, error) { return overLevels(d, "charged / true", 0, true, charged(d)...) }},
		{"groups", "False alarms by group", fmt.Sprintf("The product as it stands. Groups of %d people or more; the line is all.", leastDrawn), vg.Length(len(d.Groups)+1)*rowHeight + 1.5*vg.Centimeter,
			func() (*plot.Plot, error) { return alarmsByGroup(d) }},
	} {
		drawing, err := p.make()
		if err != nil {
			return nil, fmt.Errorf("plot %s: %w", p.name, err)
		}
		svg, err := render(drawing, p.height)
		if err != nil {
			return nil, fmt.Errorf("plot %s: %w", p.name, err)
		}
		plots = append(plots, Plot{Name: p.name, Title: p.title, Caption: p.caption, SVG: svg})
	}
	return plots, nil
}

// File returns the plot as a file, with what a page would give it: a background,
// and the font that it was measured with.
func (p Plot) File() []byte {
	const looks = `><style>text { font-family: "Liberation Sans", Arial, Helvetica, sans-serif !important; }</style><rect width="100%" height="100%" fill="white"/>`
	svg := bytes.Replace([]byte(p.SVG), []byte(">"), []byte(looks), 1)
	return append([]byte(`<?xml version="1.0"?>`+"\n"), svg...)
}

// overLevels draws curves over the level. Without a top the axis ends above the
// highest mark; logarithmic ones hold ratios.
func overLevels(d crosscheck.Document, axis string, top float64, log bool, curves ...curve) (*plot.Plot, error) {
	p := newPlot("level of the interval, %", axis)
	p.Add(gridLines(true, false))
	low, high := math.Inf(1), math.Inf(-1)
	for i, c := range curves {
		if err := addCurve(p, c, i); err != nil {
			return nil, err
		}
		for _, o := range c.list {
			low, high = min(low, end(o.value, o.ci, 0)), max(high, end(o.value, o.ci, 1))
		}
	}
	p.X.Min, p.X.Max, p.X.Tick.Marker = d.Levels[0].Asked*100-2, d.Levels[len(d.Levels)-1].Asked*100+2, every(5)
	switch {
	case log:
		p.Y.Scale, p.Y.Tick.Marker = plot.LogScale{}, ratios{}
		p.Y.Min, p.Y.Max = min(low*0.95, 0.9), high*1.2
		p.Legend.Left = true
		p.Add(line(p.X.Min, 1, p.X.Max, 1, muted, true))
	case top > 0:
		p.Y.Min, p.Y.Max = 0, top
		p.Y.Tick.Marker = nice(0, top)
	default:
		p.Y.Min, p.Y.Max = 0, high*1.1
		p.Y.Tick.Marker = nice(0, p.Y.Max)
	}
	return p, nil
}

// ratios are the marks of a logarithmic axis.
type ratios struct{}

// Ticks implements plot.Ticker.
func (ratios) Ticks(low, high float64) []plot.Tick {
	var ticks []plot.Tick
	for _, v := range []float64{0.25, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10, 20, 50, 100} {
		if low <= v && v <= high {
			ticks = append(ticks, plot.Tick{Value: v, Label: fmt.Sprintf("%g", v)})
		}
	}
	return ticks
}

func addCurve(p *plot.Plot, c curve, i int) error {
	if len(c.list) == 0 {
		return nil
	}
	look := looks[i%len(looks)]
	pts := points{list: c.list}
	l, err := plotter.NewLine(pts)
	if err != nil {
		return err
	}
	l.Color, l.Width = look.color, vg.Points(1.2)
	p.Add(l)
	marks, err := add(p, pts, look.color, look.shape)
	if err != nil {
		return err
	}
	p.Legend.Add(c.name, l, marks)
	return nil
}

func percentPoint(at float64, s crosscheck.Share) point {
	o := point{at: at, value: s.Value * 100}
	if s.CI != nil {
		o.ci = &evaluation.Interval{s.CI[0] * 100, s.CI[1] * 100}
	}
	return o
}

func honest(d crosscheck.Document) []curve {
	curves := []curve{{name: "quoted"}, {name: "age outside the interval"}, {name: "interval touches 18"}, {name: "interval too wide"}}
	for _, l := range d.Levels {
		r := l.Rules[0]
		for i, s := range []crosscheck.Share{r.Quoted, r.FalseAlarm, r.Touches18, r.TooWide} {
			curves[i].list = append(curves[i].list, percentPoint(l.Asked*100, s))
		}
	}
	return curves
}

func bySlack(d crosscheck.Document, figure func(crosscheck.Rule) crosscheck.Share) []curve {
	var curves []curve
	for i, r := range d.Levels[0].Rules {
		c := curve{name: fmt.Sprintf("slack of %g years", r.Slack)}
		for _, l := range d.Levels {
			c.list = append(c.list, percentPoint(l.Asked*100, figure(l.Rules[i])))
		}
		curves = append(curves, c)
	}
	return curves
}

func byYears(d crosscheck.Document, side func(crosscheck.Rule) []crosscheck.Caught) []curve {
	var curves []curve
	for i, first := range side(d.Levels[0].Rules[0]) {
		c := curve{name: fmt.Sprintf("%d years", first.Years)}
		for _, l := range d.Levels {
			c.list = append(c.list, percentPoint(l.Asked*100, side(l.Rules[0])[i].Caught))
		}
		curves = append([]curve{c}, curves...) // the highest first, as they lie
	}
	return curves
}

// tradeOffYears is the misstatement that the trade-off is drawn for.
const tradeOffYears = 10

func tradeOff(d crosscheck.Document) (*plot.Plot, error) {
	p := newPlot("false alarms, % of honest applicants", fmt.Sprintf("caught of %d years younger, %%", tradeOffYears))
	p.Add(gridLines(true, true))
	high := 1.0
	for i, first := range d.Levels[0].Rules {
		c := curve{name: fmt.Sprintf("slack of %g years", first.Slack)}
		for _, l := range d.Levels {
			r := l.Rules[i]
			for _, y := range r.Younger {
				if y.Years == tradeOffYears {
					c.list = append(c.list, point{at: r.FalseAlarm.Value * 100, value: y.Caught.Value * 100})
					high = max(high, y.Caught.Value*100)
				}
			}
		}
		if err := addCurve(p, c, i); err != nil {
			return nil, err
		}
	}
	p.Legend.Top = false
	p.X.Min, p.Y.Min, p.Y.Max = 0, 0, min(100, high*1.1)
	p.X.Max = d.Levels[0].Rules[0].FalseAlarm.Value*105 + 1
	p.X.Tick.Marker, p.Y.Tick.Marker = nice(0, p.X.Max), nice(0, p.Y.Max)
	return p, nil
}

func highLow(d crosscheck.Document) []curve {
	curves := []curve{{name: "90th percentile"}, {name: "median"}, {name: "10th percentile"}}
	for _, l := range d.Levels {
		if l.HighToLow.N == 0 {
			continue
		}
		at := l.Asked * 100
		curves[0].list = append(curves[0].list, point{at: at, value: l.HighToLow.P90})
		curves[1].list = append(curves[1].list, point{at, l.HighToLow.Median, l.HighToLow.MedianCI})
		curves[2].list = append(curves[2].list, point{at: at, value: l.HighToLow.P10})
	}
	return curves
}

func charged(d crosscheck.Document) []curve {
	var curves []curve
	for i, first := range d.Levels[0].Charges {
		c := curve{name: first.Charge}
		for _, l := range d.Levels {
			if r := l.Charges[i].Ratio; r.N > 0 {
				c.list = append(c.list, point{l.Asked * 100, r.Pooled, r.PooledCI})
			}
		}
		curves = append([]curve{c}, curves...)
	}
	return curves
}

func alarmsByGroup(d crosscheck.Document) (*plot.Plot, error) {
	p := newPlot("false alarms, %", "")
	pts := points{flat: true}
	var names []string
	high := 1.0
	for i := range d.Groups {
		g := d.Groups[len(d.Groups)-1-i] // the axis goes upwards
		names = append(names, fmt.Sprintf("%s (%d)", label(g.Name), g.Photos))
		o := percentPoint(float64(i), g.FalseAlarm)
		pts.list = append(pts.list, o)
		high = max(high, end(o.value, o.ci, 1))
	}
	p.Add(gridLines(false, true))
	if len(names) == 0 {
		return p, nil
	}
	if len(d.Products) > 0 {
		all := d.Products[0].Rule.FalseAlarm.Value * 100
		p.Add(line(all, -0.6, all, float64(len(names))-0.4, orange, true))
	}
	if _, err := add(p, pts, blue, vgdraw.CircleGlyph{}); err != nil {
		return nil, err
	}
	nominal(&p.Y, names)
	p.X.Min, p.X.Max = 0, high*1.05
	p.X.Tick.Marker = nice(0, p.X.Max)
	return p, nil
}

// RenderCrosscheck returns the page of a document. name is the model's.
func RenderCrosscheck(d crosscheck.Document, name string) ([]byte, error) {
	plots, err := CrosscheckPlots(d)
	if err != nil {
		return nil, err
	}
	t, err := template.New("page").Funcs(template.FuncMap{"label": label}).Parse(styleSource)
	if err == nil {
		t, err = t.New("crosscheck").Parse(crosscheckSource)
	}
	if err != nil {
		return nil, fmt.Errorf("parse page template: %w", err)
	}
	var b bytes.Buffer
	if err := t.Execute(&b, map[string]any{"D": d, "Name": name, "Plots": plots, "Tables": crosscheck.Tables(d)}); err != nil {
		return nil, fmt.Errorf("write page: %w", err)
	}
	return b.Bytes(), nil
}
