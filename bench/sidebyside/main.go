// Command sidebyside sends the same photos to agequote and to what one would
// deploy instead: a Python handler on ONNX Runtime with the same networks, and
// the article's ResNet34 in PyTorch. It takes turns with them in one run, and
// writes times, ratios with their spread, memory, sizes and prices into
// docs/benchmarks.md, and the figures into bench/results.json, from which a
// test computes docs/cost.md. `make bench-side-by-side` runs it.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"time"

	"github.com/agequote/agequote/bench/prices"
	"github.com/agequote/agequote/bench/report"
)

func main() {
	if len(os.Args) == 3 && os.Args[1] == "serve" { // this bench's own contender
		if err := serve(os.Args[2], os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, "sidebyside serve:", err)
			os.Exit(1)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "sidebyside:", err)
		os.Exit(1)
	}
}

type options struct {
	root, onnxPython, torchPython string
	rounds, warm                  int
}

func run(ctx context.Context, args []string, stdout io.Writer) (err error) {
	var o options
	fs := flag.NewFlagSet("sidebyside", flag.ContinueOnError)
	fs.StringVar(&o.root, "root", ".", "`DIR` of the project, with its functions built")
	fs.StringVar(&o.onnxPython, "onnx", "", "`PYTHON` that has bench/python/requirements-onnx.txt")
	fs.StringVar(&o.torchPython, "torch", "", "`PYTHON` that has bench/python/requirements-torch.txt")
	fs.IntVar(&o.rounds, "rounds", 7, "turns of each")
	fs.IntVar(&o.warm, "warm", 5, "answers for each photo in a turn, after a first one that is not counted")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if o.root, err = filepath.Abs(o.root); err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "agequote-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()

	photos, err := report.MakePhotos(filepath.Join(o.root, "events", "selfies", "grace_hopper.jpg"), work)
	if err != nil {
		return err
	}
	contenders, lambda, err := start(ctx, o, work)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lambda.Close()) }()

	for round := range o.rounds {
		for _, c := range contenders {
			if err := c.turn(ctx, photos, o.warm); err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
		}
		fmt.Fprintf(stdout, "round %d of %d\n", round+1, o.rounds)
	}

	list, err := prices.Read(filepath.Join(o.root, "bench", "prices.yaml"))
	if err != nil {
		return err
	}
	results := report.Results{
		Date:    time.Now().UTC().Format(time.DateOnly),
		Machine: report.Machine(),
		Rounds:  o.rounds,
		Predict: lambda.predict.usage(report.Page),
		Quote:   lambda.quote.usage(report.Page),
		Torch:   contenders[len(contenders)-1].alwaysOn(),
		Photo:   len(photos[0].Bytes),
	}
	for _, c := range contenders {
		if err := c.weigh(list); err != nil {
			return err
		}
	}
	text := tables(contenders, photos, list, results)
	fmt.Fprint(stdout, "\n", text)
	if err := results.Write(filepath.Join(o.root, "bench", "results.json")); err != nil {
		return err
	}
	if err := report.Replace(filepath.Join(o.root, "README.md"), "side-by-side", summary(contenders, list, results)); err != nil {
		return err
	}
	return report.Replace(filepath.Join(o.root, "docs", "benchmarks.md"), "side-by-side", text)
}

// contender is one way from a photo to an age, and what was measured of it.
type contender struct {
	name string
	app  app
	size func() (size, error) // nil: it is deployed nowhere
	note string

	cold []float64              // ms from the start of the process to the first answer
	warm map[string][][]float64 // photo -> turn -> ms
	cpu  []float64              // ms of a processor for each answer, all photos alike; one a turn
	peak int64                  // bytes

	weight      size
	gbSeconds   float64 // a photo of the page's size, on Lambda
	millionCost float64 // of these, in USD
}

// alwaysOn is the contender as a service.
func (c *contender) alwaysOn() report.Warm {
	return report.Warm{MS: report.Median(medians(c.warm[report.Page])), PeakMB: int(c.peak >> 20)}
}

// weigh takes what does not depend on a turn: the size, and what a million
// photos cost.
func (c *contender) weigh(list prices.List) (err error) {
	if c.size == nil {
		return nil
	}
	if c.weight, err = c.size(); err != nil {
		return fmt.Errorf("size of %s: %w", c.name, err)
	}
	memory := max(lambdaCore, int(c.peak>>20))
	c.gbSeconds = float64(memory) / 1024 * report.Median(medians(c.warm[report.Page])) / 1e3
	c.millionCost = 1e6 * (c.gbSeconds*list.Lambda.GBSecond + list.Lambda.Request)
	return nil
}

// app is a process that answers photos.
type app interface {
	// Start starts a process anew.
	Start(ctx context.Context) error
	// Prepare makes ready, untimed, what the next answer needs.
	Prepare(ctx context.Context, photo report.Photo) error
	Answer(ctx context.Context, photo report.Photo) error
	// Processor and Peak are the time and the most memory that the process has
	// taken; ok is false where the process is gone.
	Processor() (ms float64, ok bool)
	Peak() int64
	Stop() error
}

func (c *contender) turn(ctx context.Context, photos []report.Photo, warm int) (err error) {
	if err := c.app.Prepare(ctx, photos[0]); err != nil {
		return err
	}
	began := time.Now()
	if err := c.app.Start(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.app.Stop()) }()
	if err := c.app.Answer(ctx, photos[0]); err != nil {
		return err
	}
	c.cold = append(c.cold, ms(time.Since(began)))

	var processor float64
	answers, measured := 0, true
	for _, p := range photos {
		var times []float64
		for i := range warm + 1 {
			if err := c.app.Prepare(ctx, p); err != nil {
				return err
			}
			before, ok1 := c.app.Processor()
			began := time.Now()
			if err := c.app.Answer(ctx, p); err != nil {
				return err
			}
			took := ms(time.Since(began))
			if i == 0 {
				continue
			}
			after, ok2 := c.app.Processor()
			measured = measured && ok1 && ok2
			processor += after - before
			answers++
			times = append(times, took)
		}
		c.warm[p.Name] = append(c.warm[p.Name], times)
	}
	if measured {
		c.cpu = append(c.cpu, processor/float64(answers))
	}
	c.peak = max(c.peak, c.app.Peak())
	return nil
}

func ms(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e6 }

// start lays out the contenders; agequote's function is the first, which the
// others are compared with.
func start(ctx context.Context, o options, work string) ([]*contender, *lambdaStack, error) {
	weights := filepath.Join(work, "resnet34.pt")
	python := filepath.Join(o.root, "bench", "python")
	models := filepath.Join(o.root, "models")
	if err := command(ctx, python, o.torchPython, "torch_handler.py", weights); err != nil {
		return nil, nil, fmt.Errorf("make weights for PyTorch: %w", err)
	}
	lambda, err := startLambda(ctx, o.root, filepath.Join(work, "buckets"))
	if err != nil {
		return nil, nil, err
	}
	function := filepath.Join(o.root, "build", "PredictFunction")
	estimate := filepath.Join(o.root, "bin", "agequote")
	library := filepath.Join(function, "lib")
	self, err := os.Executable()
	if err != nil {
		return nil, nil, err
	}
	contenders := []*contender{
		{name: "agequote predict", app: lambda.predict, size: sizeOf(nil, function),
			note: "The Lambda function's own bootstrap behind the Runtime API, with S3 on this machine: it asks for consent, reads the photo from S3, refuses or reads it, and stores estimate and distribution."},
		{name: "agequote estimate", app: &lines{command: []string{estimate, "estimate", "--model", models, "--json"}, once: true}, size: sizeOf(nil, estimate, library, models),
			note: "The command line. It has no warm process: each answer is a start."},
		{name: "agequote, reading alone", app: &lines{command: []string{self, "serve", models}},
			note: "What the next does, and refusals and the interval beside it, in a process that answers lines: predict without Lambda, consent and store."},
		{name: "Python, ONNX Runtime", app: &lines{command: []string{o.onnxPython, "serve.py", "onnx", models}, dir: python}, size: sizeOf(onnxLeftOut, sitePackages(o.onnxPython), filepath.Join(python, "onnx_handler.py"), models),
			note: "bench/python/onnx_handler.py with the same ONNX files, on one thread, photos from disk: no refusals, interval, consent or store."},
		{name: "PyTorch, ResNet34", app: &lines{command: []string{o.torchPython, "serve.py", "torch", weights}, dir: python}, size: sizeOf(torchLeftOut, sitePackages(o.torchPython), filepath.Join(python, "torch_handler.py"), weights),
			note: "bench/python/torch_handler.py: the article's ResNet34 at 256 px, random weights, batch norms folded, one thread, photos from disk; no search for the face."},
	}
	for _, c := range contenders {
		c.warm = map[string][][]float64{}
	}
	return contenders, lambda, nil
}

// What of site-packages is not counted: what pip itself needs, what a headless
// handler never loads, and for PyTorch all that only a GPU uses, since PyPI has
// no wheel without it for this system.
var (
	tools        = []string{"pip", "setuptools", "pkg_resources", "_distutils_hack", "distutils-precedence", "__pycache__"}
	onnxLeftOut  = append([]string{"sympy", "mpmath", "isympy"}, tools...)
	torchLeftOut = append([]string{"nvidia", "triton", "cuda", "onnx", "ml_dtypes", "google", "protobuf", "yaml", "_yaml", "pyyaml",
		"torch/lib/libtorch_cuda", "torch/lib/libc10_cuda", "torch/lib/libcaffe2_nvrtc", "torch/lib/libtorch_nvshmem", "torch/include", "torch/test"}, tools...)
)

func sitePackages(python string) string {
	found, _ := filepath.Glob(filepath.Join(filepath.Dir(filepath.Dir(python)), "lib", "python3*", "site-packages"))
	return strings.Join(found, "")
}

// tables writes the section of docs/benchmarks.md.
func tables(contenders []*contender, photos []report.Photo, list prices.List, r report.Results) string {
	first := contenders[0]
	var t strings.Builder
	fmt.Fprintf(&t, "%s, %s, %d turns of each, one after the other. Medians; in brackets the ratio to %s of the same turn, median and quartiles.\n\n", r.Date, r.Machine, r.Rounds, first.name)
	fmt.Fprint(&t, "| | start to first answer, ms |")
	for _, p := range photos {
		fmt.Fprintf(&t, " %s, ms |", p.Title)
	}
	fmt.Fprint(&t, " photos a second a core | peak memory, MB |\n|---|---|")
	fmt.Fprint(&t, strings.Repeat("---|", len(photos)), "---|---|\n")
	for _, c := range contenders {
		fmt.Fprintf(&t, "| %s | %s |", c.name, report.WithRatio(c.cold, first.cold, "%.0f"))
		for _, p := range photos {
			fmt.Fprintf(&t, " %s |", report.WithRatio(medians(c.warm[p.Name]), medians(first.warm[p.Name]), "%.0f"))
		}
		rate := "-"
		if len(c.cpu) > 0 {
			rate = report.WithRatio(rates(c.cpu), rates(first.cpu), "%.1f")
		}
		fmt.Fprintf(&t, " %s | %d |\n", rate, c.peak>>20)
	}

	fmt.Fprintf(&t, "\n| | unzipped, MB | zipped, MB | GB-seconds a photo | a million photos, USD |\n|---|---|---|---|---|\n")
	for _, c := range contenders {
		if c.size == nil {
			continue
		}
		fmt.Fprintf(&t, "| %s | %.0f | %.0f (%.1f) | %.3f | %.2f |\n", c.name, mb(c.weight.unzipped), mb(c.weight.zipped),
			float64(c.weight.zipped)/float64(first.weight.zipped), c.gbSeconds, c.millionCost)
	}
	fmt.Fprintf(&t, "| %s, list price | - | - | - | %.2f |\n", list.FaceAPI.Name, 1e6*list.FaceAPI.Image)
	fmt.Fprintf(&t, "\nGB-seconds at %d MB, which is one processor on Lambda, or the peak memory where that is more, for the photo of 1280 px; prices of\n"+
		"`bench/prices.yaml` (%s, %s, read %s), x86, requests in it, S3 not: `docs/cost.md` has the whole. The face API answers an age range as\none of its attributes; its figure is the first million images of a month.\n\n", lambdaCore, list.Region, list.Currency, list.Read)
	for _, c := range contenders {
		fmt.Fprintf(&t, "- **%s**: %s\n", c.name, c.note)
	}
	fmt.Fprintf(&t, "- Sizes: of a Python way site-packages, handler and model, without Python itself, pip, byte code and what the handler never loads; of\n"+
		"  PyTorch without all that only a GPU uses (PyPI's wheel for this system has it, and needs it to start).\n"+
		"- Photos a second a core: one by the processor time that the process took for an answer, over the %d photos alike.\n", len(photos))
	return t.String()
}

// summary writes the table of the README: those that one would deploy.
func summary(contenders []*contender, list prices.List, r report.Results) string {
	first := contenders[0]
	var t strings.Builder
	fmt.Fprintf(&t, "| | start to first answer | a photo, warm | zipped | a million photos, computing |\n|---|---|---|---|---|\n")
	for _, c := range contenders {
		if c.size == nil || len(c.cpu) == 0 {
			continue
		}
		times := func(what, of float64) string {
			if c == first {
				return ""
			}
			return fmt.Sprintf(" (%.1f times)", what/of)
		}
		cold, firstCold := report.Median(c.cold), report.Median(first.cold)
		warm, firstWarm := report.Median(medians(c.warm[report.Page])), report.Median(medians(first.warm[report.Page]))
		fmt.Fprintf(&t, "| %s | %.0f ms%s | %.0f ms%s | %.0f MB%s | %.2f USD%s |\n", c.name, cold, times(cold, firstCold), warm, times(warm, firstWarm),
			mb(c.weight.zipped), times(mb(c.weight.zipped), mb(first.weight.zipped)), c.millionCost, times(c.millionCost, first.millionCost))
	}
	face := 1e6 * list.FaceAPI.Image
	fmt.Fprintf(&t, "| %s | - | - | - | %.0f USD (%.0f times) |\n", list.FaceAPI.Name, face, face/first.millionCost)
	fmt.Fprintf(&t, "\n%s, %s, %d turns. agequote asks for consent, reads the photo from S3, refuses what cannot be read, and stores; the others read a file.\n", r.Date, r.Machine, r.Rounds)
	return t.String()
}

// lambdaCore is the memory in MB at which Lambda gives a whole processor.
const lambdaCore = 1769

func mb(bytes int64) float64 { return float64(bytes) / 1e6 }

func medians(turns [][]float64) []float64 {
	var out []float64
	for _, t := range turns {
		if len(t) > 0 {
			out = append(out, report.Median(t))
		}
	}
	return out
}

func rates(cpuMS []float64) []float64 {
	out := make([]float64, len(cpuMS))
	for i, v := range cpuMS {
		out[i] = 1e3 / cmp.Or(v, 1)
	}
	return out
}
