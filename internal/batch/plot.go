package batch

import (
	"fmt"
	"html"
	"html/template"
	"math"
	"strings"
)

// colours of outcomes, told apart by people who do not see red and green alike;
// the text beside them says the same.
var colours = map[Outcome]string{
	Quoted: "#1b7f79", Referred: "#e3a008", Postponed: "#8e6bbf", Declined: "#c2452d", Refused: "#7b8794", Failed: "#22272e",
}

// plot is an SVG picture that is being drawn.
type plot struct {
	text          strings.Builder
	width, height int
}

func newPlot(width, height int, label string) *plot {
	p := &plot{width: width, height: height}
	fmt.Fprintf(&p.text, `<svg viewBox="0 0 %d %d" role="img" aria-label="%s">`, width, height, html.EscapeString(label))
	return p
}

// done returns the picture. All that came from outside is escaped where it was
// written.
func (p *plot) done() template.HTML {
	p.text.WriteString("</svg>")
	return template.HTML(p.text.String())
}

func (p *plot) rect(x, y, w, h float64, colour, title string) {
	fmt.Fprintf(&p.text, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="%s"><title>%s</title></rect>`,
		x, y, math.Max(w, 0), math.Max(h, 0), colour, html.EscapeString(title))
}

func (p *plot) line(x1, y1, x2, y2 float64, class string) {
	fmt.Fprintf(&p.text, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" class="%s"/>`, x1, y1, x2, y2, class)
}

// write writes a text; anchor is start, middle or end.
func (p *plot) write(x, y float64, anchor, s string) {
	fmt.Fprintf(&p.text, `<text x="%.1f" y="%.1f" text-anchor="%s">%s</text>`, x, y, anchor, html.EscapeString(s))
}

// axes are a plot's scales: values to pixels.
type axes struct {
	left, right, top, bottom float64 // pixels
	xMax, yMax               float64
}

func (a axes) x(v float64) float64 { return a.left + v/a.xMax*(a.right-a.left) }
func (a axes) y(v float64) float64 { return a.bottom - v/a.yMax*(a.bottom-a.top) }

// ticks are about so many round values from 0 to max.
func ticks(most float64, about int) []float64 {
	if most <= 0 {
		return []float64{0}
	}
	step := math.Pow(10, math.Floor(math.Log10(most/float64(about))))
	for _, f := range []float64{1, 2, 5, 10} {
		if most/(step*f) <= float64(about) {
			step *= f
			break
		}
	}
	var out []float64
	for v := 0.0; v <= most*1.0001; v += step {
		out = append(out, v)
	}
	return out
}

// number writes a number for people: 12,500 or 0.5.
func number(v float64) string {
	if v != math.Trunc(v) {
		return fmt.Sprintf("%g", v)
	}
	s := fmt.Sprintf("%.0f", math.Abs(v))
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	if v < 0 {
		return "-" + s
	}
	return s
}

// scatter plots estimated over declared ages.
func (c *Collector) scatter() template.HTML {
	c.trim()
	p := newPlot(460, 430, "Estimated age over declared age, one dot a photo")
	a := axes{50, 450, 10, 385, 100, 100}
	for v := 0.0; v <= 100; v += 20 {
		p.line(a.x(v), a.top, a.x(v), a.bottom, "grid")
		p.line(a.left, a.y(v), a.right, a.y(v), "grid")
		p.write(a.x(v), a.bottom+18, "middle", number(v))
		p.write(a.left-6, a.y(v)+4, "end", number(v))
	}
	for _, d := range c.points {
		fmt.Fprintf(&p.text, `<circle cx="%.1f" cy="%.1f" r="2.2" fill="%s" fill-opacity=".55"/>`,
			a.x(math.Min(d.declared, 100)), a.y(math.Min(d.estimate, 100)), colours[d.outcome])
	}
	p.line(a.x(0), a.y(0), a.x(100), a.y(100), "equal")
	p.write((a.left+a.right)/2, a.bottom+38, "middle", "declared age, years")
	fmt.Fprintf(&p.text, `<text transform="translate(13 %.0f) rotate(-90)" text-anchor="middle">estimated age, years</text>`, (a.top+a.bottom)/2)
	return p.done()
}

// widthPlot plots how wide the intervals are.
func (c *Collector) widthPlot() template.HTML {
	return bars("Widths of the age intervals", c.widths[:], scale{from: 0, step: 1, tick: 10, unit: "years"}, "upper less lower end, years", "photos")
}

// spreadPlot plots how much more the premium is at the high end of the interval
// than at the low one. It is empty where no case has both.
func (c *Collector) spreadPlot() template.HTML {
	for _, n := range c.spreads {
		if n > 0 {
			return bars("Premium at the high end over that at the low end", c.spreads[:], scale{from: 1, step: .25, tick: 1, unit: "times"},
				"premium at the high end over that at the low end", "cases")
		}
	}
	return ""
}

// scale is that of the bars: each is a step wide, and every tick is written.
type scale struct {
	from, step, tick float64
	unit             string
}

// bars plots counts in steps; the last holds what is beyond.
func bars(label string, counts []int, s scale, xName, yName string) template.HTML {
	p := newPlot(460, 430, label)
	most := 0
	for _, n := range counts {
		most = max(most, n)
	}
	a := axes{60, 450, 10, 385, float64(len(counts)), math.Max(1, float64(most)*1.05)}
	for _, v := range ticks(a.yMax, 5) {
		p.line(a.left, a.y(v), a.right, a.y(v), "grid")
		p.write(a.left-6, a.y(v)+4, "end", number(v))
	}
	for i, n := range counts {
		from, to := a.x(float64(i)), a.x(float64(i+1))
		title := fmt.Sprintf("%.4g to %.4g %s: %d %s", s.from+float64(i)*s.step, s.from+float64(i+1)*s.step, s.unit, n, yName)
		p.rect(from+.3, a.y(float64(n)), to-from-.6, a.bottom-a.y(float64(n)), "#3b6ea5", title)
	}
	end := s.from + float64(len(counts))*s.step
	for v := s.from; v < end-s.tick/2; v += s.tick {
		p.write(a.x((v-s.from)/s.step), a.bottom+18, "middle", number(v))
	}
	p.write(a.right, a.bottom+18, "end", fmt.Sprintf("%.0f+", end))
	p.write((a.left+a.right)/2, a.bottom+38, "middle", xName)
	fmt.Fprintf(&p.text, `<text transform="translate(13 %.0f) rotate(-90)" text-anchor="middle">%s</text>`, (a.top+a.bottom)/2, html.EscapeString(yName))
	return p.done()
}

// sexColours are those of the premium plot.
var sexColours = []struct{ sex, colour, name string }{
	{"female", "#a2478d", "female"}, {"male", "#3b6ea5", "male"}, {"not_stated", "#7b8794", "sex not stated"},
}

// premiumPlot plots the median premium by age band and sex. It is empty where
// there is no premium, or more than one currency.
func (c *Collector) premiumPlot() template.HTML {
	if len(c.currencies) != 1 {
		return ""
	}
	most := 0.0
	medians := map[string][len(bandStarts)]float64{}
	for _, s := range sexColours {
		g := c.groups["sex"][s.sex]
		if g == nil {
			continue
		}
		var m [len(bandStarts)]float64
		for i, h := range g.agePremiums {
			if h != nil {
				m[i] = float64(h.quantile(.5)) / 100
				most = math.Max(most, m[i])
			}
		}
		medians[s.sex] = m
	}
	if most == 0 {
		return ""
	}
	p := newPlot(460, 430, "Median premium by declared age and sex")
	a := axes{60, 450, 30, 385, float64(len(bandStarts)), most * 1.05}
	for _, v := range ticks(a.yMax, 5) {
		p.line(a.left, a.y(v), a.right, a.y(v), "grid")
		p.write(a.left-6, a.y(v)+4, "end", number(v))
	}
	for i, from := range bandStarts {
		p.write(a.x(float64(i)+.5), a.bottom+18, "middle", Band(float64(from)))
	}
	bar, legend := .84/float64(len(medians)), 0.0
	drawn := 0
	for _, s := range sexColours {
		m, ok := medians[s.sex]
		if !ok {
			continue
		}
		for i, v := range m {
			from := a.x(float64(i) + .08 + bar*float64(drawn))
			if v > 0 {
				p.rect(from, a.y(v), a.x(bar)-a.x(0)-1, a.bottom-a.y(v), s.colour, fmt.Sprintf("%s, %s: %s", s.name, Band(float64(bandStarts[i])), number(math.Round(v))))
			}
		}
		p.rect(a.left+legend, 4, 12, 12, s.colour, s.name)
		p.write(a.left+legend+17, 15, "start", s.name)
		legend += 110
		drawn++
	}
	p.write((a.left+a.right)/2, a.bottom+38, "middle", "declared age, years")
	return p.done()
}

// outcomePlot plots the shares of outcomes in groups, one line each.
func outcomePlot(groups []Group) template.HTML {
	const row, left, right, width = 26, 150, 800, 920
	p := newPlot(width, row*len(groups)+30, "Outcomes by group")
	for i, g := range groups {
		y := float64(i*row + 4)
		p.write(left-8, y+14, "end", words(g.Name))
		x := float64(left)
		for _, o := range Outcomes {
			n := g.Books.Count(o)
			w := float64(n) / float64(max(1, g.Books.Listed)) * (right - left)
			if n > 0 {
				p.rect(x, y, w, row-7, colours[o], fmt.Sprintf("%s: %d %s (%.1f %%)", words(g.Name), n, o, share(n, g.Books.Listed)))
			}
			x += w
		}
		p.write(right+10, y+14, "start", number(float64(g.Books.Listed))+" items")
	}
	bottom := float64(row*len(groups) + 22)
	for v := 0; v <= 100; v += 25 {
		p.write(left+float64(v)/100*(right-left), bottom, "middle", fmt.Sprintf("%d %%", v))
	}
	return p.done()
}

// countPlot plots counts, the largest first.
func countPlot(label string, counts []count, total int) template.HTML {
	const row, left, right, width = 24, 190, 360, 460
	p := newPlot(width, row*max(1, len(counts))+6, label)
	most := 1
	for _, c := range counts {
		most = max(most, c.N)
	}
	for i, c := range counts {
		y := float64(i*row + 3)
		p.write(left-8, y+14, "end", words(c.Name))
		p.rect(left, y, float64(c.N)/float64(most)*(right-left), row-7, c.colour, c.Sentence)
		p.write(left+float64(c.N)/float64(most)*(right-left)+6, y+14, "start", fmt.Sprintf("%s (%.1f %%)", number(float64(c.N)), share(c.N, total)))
	}
	return p.done()
}

func share(n, of int) float64 { return 100 * float64(n) / float64(max(1, of)) }

// words is a code or a group's name as people read it.
func words(name string) string {
	name = strings.Replace(name, "=", " ", 1)
	return strings.ReplaceAll(name, "_", " ")
}
