package fit

import (
	"bufio"
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/plotutil"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// line is what plots read of the metrics.
type line struct {
	Kind       string  `json:"kind"`
	Stage      string  `json:"stage"`
	Step       float64 `json:"step"`
	Loss       float64 `json:"loss"`
	Smooth     float64 `json:"smooth"`
	Rate       float64 `json:"rate"`
	Epoch      int     `json:"epoch"`
	Validation *Scores `json:"validation"`
}

// readMetrics returns the lines with steps counted over all stages.
func readMetrics(path string) ([]line, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read metrics: %w", err)
	}
	var lines []line
	var stage string
	base, last := 0.0, 0.0
	for s := bufio.NewScanner(bytes.NewReader(b)); s.Scan(); {
		var l line
		if err := json.Unmarshal(s.Bytes(), &l); err != nil {
			return nil, fmt.Errorf("read metrics: %w", err)
		}
		if l.Stage != stage {
			stage, base = l.Stage, last
		}
		l.Step += base
		last = l.Step
		lines = append(lines, l)
	}
	return lines, nil
}

// Losses are the running means of the loss at the first and the last step that
// the metrics of the run in dir hold.
func Losses(dir string) (first, last float64, err error) {
	lines, err := readMetrics(filepath.Join(dir, "metrics.jsonl"))
	if err != nil {
		return 0, 0, err
	}
	steps := slices.DeleteFunc(lines, func(l line) bool { return l.Kind != "step" })
	if len(steps) == 0 {
		return 0, 0, errors.New("read metrics: no step in them")
	}
	return steps[0].Smooth, steps[len(steps)-1].Smooth, nil
}

// plot writes loss.svg and loss.html of the run so far.
func (r *Run) plot() error {
	lines, err := readMetrics(filepath.Join(r.Dir, "metrics.jsonl"))
	if err != nil || len(lines) == 0 {
		return err
	}
	var raw, smooth plotter.XYs
	points := map[string]plotter.XYs{}
	for _, l := range lines {
		if l.Kind == "step" {
			raw = append(raw, plotter.XY{X: l.Step, Y: l.Loss})
			smooth = append(smooth, plotter.XY{X: l.Step, Y: l.Smooth})
		}
		if l.Validation != nil {
			for name, mae := range l.Validation.MAE {
				points[name] = append(points[name], plotter.XY{X: l.Step, Y: mae})
			}
		}
	}
	loss := newPlot("Loss", "step", "loss")
	if err := plotutil.AddLines(loss, "each step", raw, "running mean", smooth); err != nil {
		return fmt.Errorf("plot loss: %w", err)
	}
	errors := newPlot("Mean absolute error on validation", "step", "years")
	var series []any
	for _, name := range slices.Sorted(maps.Keys(points)) {
		series = append(series, name, points[name])
	}
	if err := plotutil.AddLinePoints(errors, series...); err != nil {
		return fmt.Errorf("plot errors: %w", err)
	}
	lossSVG, err := svg(loss)
	if err != nil {
		return err
	}
	errorsSVG, err := svg(errors)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(r.Dir, "loss.svg"), lossSVG, 0o644); err != nil {
		return fmt.Errorf("write plot: %w", err)
	}
	var page bytes.Buffer
	if err := lossPage.Execute(&page, map[string]any{
		"Now": lines[len(lines)-1].Stage, "Best": r.state.Best, "Step": lines[len(lines)-1].Step,
		"Plots": []template.HTML{template.HTML(lossSVG), template.HTML(errorsSVG)},
	}); err != nil {
		return fmt.Errorf("write page: %w", err)
	}
	if err := os.WriteFile(filepath.Join(r.Dir, "loss.html"), page.Bytes(), 0o644); err != nil {
		return fmt.Errorf("write page: %w", err)
	}
	return nil
}

//go:embed loss.html.tmpl
var lossPageText string

var lossPage = template.Must(template.New("loss").Parse(lossPageText))

func newPlot(title, x, y string) *plot.Plot {
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = title, x, y
	p.Legend.Top = true
	p.Add(plotter.NewGrid())
	return p
}

// svg draws a plot. The XML header is cut off, so that a page can hold it.
func svg(p *plot.Plot) ([]byte, error) {
	c := vgsvg.New(18*vg.Centimeter, 9*vg.Centimeter)
	p.Draw(draw.New(c))
	var b bytes.Buffer
	if _, err := c.WriteTo(&b); err != nil {
		return nil, fmt.Errorf("draw plot: %w", err)
	}
	at := max(bytes.Index(b.Bytes(), []byte("<svg")), 0)
	return b.Bytes()[at:], nil
}
