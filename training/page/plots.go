package page

import (
	"bytes"
	"fmt"
	"html/template"
	"image/color"
	"math"
	"slices"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	vgdraw "gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"

	"github.com/agequote/agequote/internal/evaluation"
	"github.com/agequote/agequote/internal/reason"
)

// Colours that stay apart in grey and for the colour-blind.
var (
	ink    = color.RGBA{0x1d, 0x27, 0x33, 0xff}
	muted  = color.RGBA{0x9a, 0xa8, 0xb5, 0xff}
	blue   = color.RGBA{0x1f, 0x6f, 0xb4, 0xff}
	orange = color.RGBA{0xd5, 0x5e, 0x00, 0xff}
	grid   = color.RGBA{0xe6, 0xeb, 0xf0, 0xff}
)

const (
	width  = 15 * vg.Centimeter
	height = 10 * vg.Centimeter
	// rowHeight is what a group takes in a plot that lists groups downwards.
	rowHeight = 0.62 * vg.Centimeter
)

// leastDrawn is how many photos a group needs to be drawn; the table has all.
const leastDrawn = 20

// draw returns the page's plots in their order.
func draw(d evaluation.Document, rows []evaluation.Row) ([]figure, error) {
	var figures []figure
	for _, f := range []struct {
		id, title, caption string
		height             vg.Length
		make               func() (*plot.Plot, error)
	}{
		{"scatter", "Estimated age against true age", "Squares of two years, darker for more photos; the line is where both agree.", width * 0.8,
			func() (*plot.Plot, error) { return scatter(rows) }},
		{"levels", "Calibration", "Coverage that was asked for, and what came of it. On the line, the promise is kept to the letter; above it, more than kept.", width * 0.8,
			func() (*plot.Plot, error) { return levels(d.Levels) }},
		{"error", "Error by age", "Mean absolute error and bias of each band of true ages.", height,
			func() (*plot.Plot, error) { return errorByAge(d.Report) }},
		{"premium", "Premium error by age", "Median size of the error of a premium, of the premium at the true age, by band of true ages.", height,
			func() (*plot.Plot, error) { return premiumByAge(d.Premium) }},
		{"coverage", "Coverage by group", fmt.Sprintf("Share of people whose age the interval holds; the line is what was asked for. Groups of %d photos or more.", leastDrawn), tall(d.Report),
			func() (*plot.Plot, error) {
				return byGroup(d.Report, "coverage, %", 100, []float64{checkedLevel(d.Report)}, pickCoverage)
			}},
		{"width", "Interval width by group", "Mean width in years of the same groups.", tall(d.Report),
			func() (*plot.Plot, error) { return byGroup(d.Report, "width, years", 1, nil, pickWidth) }},
		{"refused", "Refusals by group", "Share of photos that are refused with a code, such as blurred, instead of an age.", tall(d.Report),
			func() (*plot.Plot, error) { return byGroup(d.Report, "refused, %", 100, nil, pickRefused) }},
	} {
		if f.id == "levels" && len(d.Levels) == 0 {
			continue
		}
		p, err := f.make()
		if err != nil {
			return nil, fmt.Errorf("plot %s: %w", f.id, err)
		}
		svg, err := render(p, f.height)
		if err != nil {
			return nil, fmt.Errorf("plot %s: %w", f.id, err)
		}
		figures = append(figures, figure{f.id, f.title, f.caption, svg})
	}
	return figures, nil
}

// render returns a plot as an SVG element, without the XML declaration that may
// not stand in a page.
func render(p *plot.Plot, height vg.Length) (template.HTML, error) {
	c := vgsvg.New(width, height)
	// A label in the corner reaches past the axis.
	p.Draw(vgdraw.Crop(vgdraw.New(c), 0, -vg.Points(14), 0, -vg.Points(6)))
	var b bytes.Buffer
	if _, err := c.WriteTo(&b); err != nil {
		return "", err
	}
	_, element, found := strings.Cut(b.String(), "<svg")
	if !found {
		return "", fmt.Errorf("no svg element")
	}
	return template.HTML("<svg" + element), nil
}

// newPlot has the page's looks.
func newPlot(x, y string) *plot.Plot {
	p := plot.New()
	p.X.Label.Text, p.Y.Label.Text = x, y
	for _, axis := range []*plot.Axis{&p.X, &p.Y} {
		axis.LineStyle.Color, axis.Tick.LineStyle.Color = muted, muted
		axis.Padding = 0
		axis.Label.Padding = vg.Points(4)
		for _, style := range []*text.Style{&axis.Label.TextStyle, &axis.Tick.Label} {
			sans(style, 10)
		}
	}
	sans(&p.Legend.TextStyle, 10)
	p.Legend.Top = true
	p.Legend.Padding = vg.Points(3)
	return p
}

func sans(s *text.Style, size vg.Length) {
	s.Font.Variant, s.Font.Size, s.Color = "Sans", vg.Points(float64(size)), ink
}

// years is an axis of ages.
func years(a *plot.Axis, to float64) {
	a.Min, a.Max = 0, to
	a.Tick.Marker = every(10)
}

// every is a tick marker with a label at each multiple of a step.
type every float64

// Ticks implements plot.Ticker.
func (e every) Ticks(low, high float64) []plot.Tick {
	var ticks []plot.Tick
	for v := math.Ceil(low/float64(e)) * float64(e); v <= high+1e-9; v += float64(e) {
		ticks = append(ticks, plot.Tick{Value: v, Label: fmt.Sprintf("%g", math.Round(v*1e6)/1e6)})
	}
	return ticks
}

// steps of an axis, of which nice takes the least that gives few ticks.
var steps = []float64{0.5, 1, 2, 5, 10, 20, 25, 50, 100, 200, 500}

func nice(low, high float64) every {
	for _, s := range steps {
		if (high-low)/s <= 8 {
			return every(s)
		}
	}
	return every((high - low) / 8)
}

func gridLines(horizontal, vertical bool) *plotter.Grid {
	g := plotter.NewGrid()
	g.Horizontal.Color, g.Vertical.Color = nil, nil
	if horizontal {
		g.Horizontal.Color = grid
	}
	if vertical {
		g.Vertical.Color = grid
	}
	return g
}

// line is straight from one point to another.
func line(x1, y1, x2, y2 float64, c color.Color, dashed bool) *plotter.Line {
	l, _ := plotter.NewLine(plotter.XYs{{X: x1, Y: y1}, {X: x2, Y: y2}}) // its points are numbers
	l.Color, l.Width = c, vg.Points(1.2)
	if dashed {
		l.Dashes = []vg.Length{vg.Points(4), vg.Points(3)}
	}
	return l
}

// cell of the scatter plot, in years.
const cell = 2

// density counts photos in cells of true and estimated age. It implements
// plotter.GridXYZ; empty cells are not drawn.
type density struct {
	side   int
	counts []float64
}

func (g density) Dims() (columns, rows int) { return g.side, g.side }
func (g density) X(c int) float64           { return cell*float64(c) + cell/2 }
func (g density) Y(r int) float64           { return cell*float64(r) + cell/2 }
func (g density) Z(c, r int) float64 {
	n := g.counts[r*g.side+c]
	if n == 0 {
		return math.NaN()
	}
	return math.Log(n + 1) // a few children's cells hold most photos
}

func scatter(rows []evaluation.Row) (*plot.Plot, error) {
	const oldest = 100
	g := density{side: oldest / cell, counts: make([]float64, oldest/cell*oldest/cell)}
	most := 1.0
	for _, r := range rows {
		if r.Code != reason.OK {
			continue
		}
		c := min(int(r.Age/cell), g.side-1)
		i := min(int(*r.Estimate.Age/cell), g.side-1)*g.side + c
		g.counts[i]++
		most = max(most, g.counts[i])
	}
	p := newPlot("true age, years", "estimated age, years")
	h := plotter.NewHeatMap(g, blues{})
	h.Min, h.Max = 0, math.Log(most+1)
	p.Add(gridLines(true, true), h, line(0, 0, oldest, oldest, orange, true))
	years(&p.X, oldest)
	years(&p.Y, oldest)
	return p, nil
}

// blues are shades from pale to dark.
type blues struct{}

// Colors implements palette.Palette.
func (blues) Colors() []color.Color {
	const n = 32
	var colors []color.Color
	mix := func(a, b uint8, t float64) uint8 { return uint8(float64(a) + t*(float64(b)-float64(a))) }
	for i := range n {
		t := float64(i) / (n - 1)
		colors = append(colors, color.RGBA{mix(0xc9, 0x08, t), mix(0xdf, 0x2f, t), mix(0xf2, 0x6b, t), 0xff})
	}
	return colors
}

// point is a figure with its interval, at a place of the other axis.
type point struct {
	at, value float64
	ci        *evaluation.Interval
}

// points implement what plotter asks for points and error bars on either axis.
type points struct {
	list []point
	flat bool // values lie along x
}

func (p points) Len() int { return len(p.list) }

func (p points) XY(i int) (x, y float64) {
	if p.flat {
		return p.list[i].value, p.list[i].at
	}
	return p.list[i].at, p.list[i].value
}

// XError implements plotter.XErrorer.
func (p points) XError(i int) (low, high float64) { return p.YError(i) }

// YError implements plotter.YErrorer: distances from the value.
func (p points) YError(i int) (low, high float64) {
	v := p.list[i]
	if v.ci == nil {
		return 0, 0
	}
	// A percentile interval need not hold the figure itself, and a distance has
	// no sign.
	return max(0, v.value-v.ci[0]), max(0, v.ci[1]-v.value)
}

// add draws points with their error bars, and returns the marks for a legend.
func add(p *plot.Plot, pts points, c color.Color, shape vgdraw.GlyphDrawer) (*plotter.Scatter, error) {
	marks, err := plotter.NewScatter(pts)
	if err != nil {
		return nil, err
	}
	marks.GlyphStyle = vgdraw.GlyphStyle{Color: c, Radius: vg.Points(3), Shape: shape}
	if pts.flat {
		bars, err := plotter.NewXErrorBars(pts)
		if err != nil {
			return nil, err
		}
		bars.Color, bars.Width = c, vg.Points(1)
		p.Add(bars, marks)
		return marks, nil
	}
	bars, err := plotter.NewYErrorBars(pts)
	if err != nil {
		return nil, err
	}
	bars.Color, bars.Width = c, vg.Points(1)
	p.Add(bars, marks)
	return marks, nil
}

// nominal is an axis of names at 0, 1, 2 ...
func nominal(a *plot.Axis, names []string) {
	a.Min, a.Max = -0.6, float64(len(names))-0.4
	ticks := make(plot.ConstantTicks, len(names))
	for i, name := range names {
		ticks[i] = plot.Tick{Value: float64(i), Label: name}
	}
	a.Tick.Marker = ticks
	a.Tick.Length = vg.Points(3)
	a.Tick.LineStyle.Width = 0
}

// bandNames are the age bands' names without their column.
func bandNames() []string {
	var names []string
	for _, b := range evaluation.Bands() {
		names = append(names, strings.TrimPrefix(b, "age="))
	}
	return names
}

func errorByAge(r evaluation.Report) (*plot.Plot, error) {
	p := newPlot("true age, years", "years")
	var mae, bias points
	low, high := 0.0, 1.0
	for i, b := range evaluation.Bands() {
		f := r.Groups[b]
		if f.MAE == nil || f.Bias == nil {
			continue
		}
		mae.list = append(mae.list, point{float64(i) - 0.1, *f.MAE, f.CI.MAE})
		bias.list = append(bias.list, point{float64(i) + 0.1, *f.Bias, f.CI.Bias})
		high = max(high, end(*f.MAE, f.CI.MAE, 1), end(*f.Bias, f.CI.Bias, 1))
		low = min(low, end(*f.Bias, f.CI.Bias, 0))
	}
	p.Add(gridLines(true, false), line(-0.6, 0, 7.6, 0, muted, false))
	a, err := add(p, mae, blue, vgdraw.CircleGlyph{})
	if err != nil {
		return nil, err
	}
	b, err := add(p, bias, orange, vgdraw.BoxGlyph{})
	if err != nil {
		return nil, err
	}
	p.Legend.Add("mean absolute error", a)
	p.Legend.Add("bias: estimate less age", b)
	p.Legend.Left = true
	nominal(&p.X, bandNames())
	p.Y.Min, p.Y.Max = math.Floor(low-0.5), math.Ceil(high*1.25)
	p.Y.Tick.Marker = nice(p.Y.Min, p.Y.Max)
	return p, nil
}

// end is the interval's end, or the value where there is none.
func end(value float64, ci *evaluation.Interval, i int) float64 {
	if ci == nil {
		return value
	}
	return ci[i]
}

// drawn are the groups of a plot that lists them downwards: those with photos
// enough to say something.
func drawn(r evaluation.Report) []string {
	return slices.DeleteFunc(groupNames(r), func(g string) bool { return r.Groups[g].N < leastDrawn })
}

func tall(r evaluation.Report) vg.Length {
	return vg.Length(len(drawn(r))+1)*rowHeight + 1.5*vg.Centimeter
}

func checkedLevel(r evaluation.Report) float64 { return r.CoverageCheck.Level * 100 }

// pick takes a figure and its interval out of a group.
type pick func(evaluation.Figures) (*float64, *evaluation.Interval)

func pickCoverage(f evaluation.Figures) (*float64, *evaluation.Interval) {
	return f.Coverage, f.CI.Coverage
}
func pickWidth(f evaluation.Figures) (*float64, *evaluation.Interval) { return f.Width, f.CI.Width }
func pickRefused(f evaluation.Figures) (*float64, *evaluation.Interval) {
	return &f.Rejected.Share, f.CI.Rejected
}

// byGroup lists groups downwards with a figure of each.
func byGroup(r evaluation.Report, axis string, factor float64, marks []float64, figure pick) (*plot.Plot, error) {
	names := append([]string{"all"}, drawn(r)...)
	slices.Reverse(names) // the axis goes upwards
	p := newPlot(axis, "")
	pts := points{flat: true}
	labels := make([]string, len(names))
	low, high := math.Inf(1), math.Inf(-1)
	for i, name := range names {
		f := r.Figures
		if name != "all" {
			f = r.Groups[name]
		}
		labels[i] = fmt.Sprintf("%s (%d)", label(name), f.N)
		v, ci := figure(f)
		if v == nil {
			continue
		}
		one := point{float64(i), *v * factor, nil}
		if ci != nil {
			one.ci = &evaluation.Interval{ci[0] * factor, ci[1] * factor}
		}
		pts.list = append(pts.list, one)
		low, high = min(low, end(one.value, one.ci, 0)), max(high, end(one.value, one.ci, 1))
	}
	if len(pts.list) == 0 {
		return p, nil
	}
	p.Add(gridLines(false, true))
	top := float64(len(names)) - 0.4
	for _, m := range marks {
		p.Add(line(m, -0.6, m, top, orange, true))
		low, high = min(low, m), max(high, m)
	}
	if _, err := add(p, pts, blue, vgdraw.CircleGlyph{}); err != nil {
		return nil, err
	}
	nominal(&p.Y, labels)
	step := float64(nice(low, high))
	p.X.Min, p.X.Max = max(0, math.Floor(low/step-0.1)*step), math.Ceil(high/step+0.1)*step
	if factor == 100 {
		p.X.Max = min(p.X.Max, 100+step/4)
	}
	p.X.Tick.Marker = nice(p.X.Min, p.X.Max)
	return p, nil
}

func levels(list []evaluation.Level) (*plot.Plot, error) {
	p := newPlot("coverage asked for, %", "coverage measured, %")
	pts := points{}
	for _, l := range list {
		one := point{l.Asked * 100, l.Coverage * 100, nil}
		if l.CI != nil {
			one.ci = &evaluation.Interval{l.CI[0] * 100, l.CI[1] * 100}
		}
		pts.list = append(pts.list, one)
	}
	const least = 45
	p.Add(gridLines(true, true), line(least, least, 100, 100, orange, true))
	if _, err := add(p, pts, blue, vgdraw.CircleGlyph{}); err != nil {
		return nil, err
	}
	for _, a := range []*plot.Axis{&p.X, &p.Y} {
		a.Min, a.Max, a.Tick.Marker = least, 100, every(10)
	}
	return p, nil
}

func premiumByAge(premium evaluation.Premium) (*plot.Plot, error) {
	p := newPlot("true age, years", "error of the premium, %")
	pts := points{}
	var names []string
	high := 1.0
	for _, b := range evaluation.Bands() {
		f, ok := premium.Groups[b]
		if !ok || f.MedianRelativeError == nil {
			continue
		}
		one := point{float64(len(names)), *f.MedianRelativeError * 100, nil}
		if ci := f.CI.MedianRelativeError; ci != nil {
			one.ci = &evaluation.Interval{ci[0] * 100, ci[1] * 100}
		}
		high = max(high, end(one.value, one.ci, 1))
		pts.list = append(pts.list, one)
		name := strings.TrimPrefix(b, "age=")
		if name == "70-79" {
			name = "70-75"
		}
		names = append(names, name)
	}
	p.Add(gridLines(true, false))
	if len(names) == 0 {
		return p, nil
	}
	if _, err := add(p, pts, blue, vgdraw.CircleGlyph{}); err != nil {
		return nil, err
	}
	nominal(&p.X, names)
	p.Y.Min, p.Y.Max = 0, high*1.1
	p.Y.Tick.Marker = nice(0, p.Y.Max)
	return p, nil
}
