// Package cost computes what a million photos cost on AWS, part by part, from
// the figures of a side-by-side run (bench/results.json) and list prices
// (bench/prices.yaml). It measures nothing and knows no price of its own.
package cost

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"strings"

	"github.com/agequote/agequote/bench/prices"
	"github.com/agequote/agequote/bench/report"
)

// Million is what is priced.
const Million = 1_000_000

// Line is one part of the price, in US dollars for a million photos.
type Line struct {
	Part string
	How  string // the figures that it comes of
	USD  float64
}

// Read returns the results of the last side-by-side run.
func Read(file string) (report.Results, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return report.Results{}, err
	}
	var r report.Results
	if err := json.Unmarshal(b, &r); err != nil {
		return report.Results{}, fmt.Errorf("decode %s: %w", file, err)
	}
	return r, nil
}

// Onboarding is one customer's way through the HTTP API: to apply, to ask for a
// form, and to ask three times how it stands. Lists and Gets are what the API's
// function asks of S3 meanwhile; a test counts them. It writes the application,
// which is counted as such.
var Onboarding = struct{ Requests, Lists, Gets float64 }{5, 5, 12}

// objects are what a case keeps of one photo: the upload, the application, the
// estimate and the quote, each written by a request of its own.
const objects = 4

// aim is what a million photos should cost at most, in US dollars.
const aim = 15.0

// computing are the parts for which one pays to have photos read and priced.
func computing(r report.Results, p prices.List) []Line {
	function := func(name string, u report.Usage) []Line {
		gb := float64(u.MemoryMB) / 1024 * u.WarmMS / 1e3
		return []Line{
			{name + ", duration", fmt.Sprintf("%.1f ms at %d MB", u.WarmMS, u.MemoryMB), Million * gb * p.Lambda.GBSecond},
			{name + ", requests", "1 each", Million * p.Lambda.Request},
		}
	}
	return append(function("predict", r.Predict), function("quote", r.Quote)...)
}

// around are the parts that storing, asking and logging cost beside it.
func around(r report.Results, p prices.List) []Line {
	both := func(f func(report.Usage) float64) float64 { return f(r.Predict) + f(r.Quote) }
	puts := both(func(u report.Usage) float64 { return u.Puts })
	lists := both(func(u report.Usage) float64 { return u.Lists })
	gets := both(func(u report.Usage) float64 { return u.Gets })
	stored := both(func(u report.Usage) float64 { return u.Stored })
	printed := both(func(u report.Usage) float64 { return u.Printed })
	photo := float64(r.Photo)
	const upload, application = 1.0, 1.0
	const photoDays, monthDays = 30.0, 365 / 12.0 // RetentionDays in template.yaml, as it comes
	return []Line{
		{"S3 writes", fmt.Sprintf("%.1f of the functions, the upload and the application", puts), Million * (puts + upload + application) * p.S3.Put},
		{"S3 listings", fmt.Sprintf("%.1f of the functions, priced as writes", lists), Million * lists * p.S3.Put},
		{"S3 reads", fmt.Sprintf("%.1f", gets), Million * gets * p.S3.Get},
		{"S3 storage, a year", fmt.Sprintf("%.1f KB of estimate and quote", stored/1e3), Million * stored / 1e9 * p.S3.GBMonth * 12},
		{"S3 storage of photos", fmt.Sprintf("%.0f KB for %.0f days", photo/1e3, photoDays), Million * photo / 1e9 * p.S3.GBMonth * photoDays / monthDays},
		{"customers' API", fmt.Sprintf("%.0f requests, each to a function", Onboarding.Requests), Million * Onboarding.Requests * (p.API.Request + p.Lambda.Request)},
		{"customers' API, S3", fmt.Sprintf("%.0f listings and %.0f reads", Onboarding.Lists, Onboarding.Gets), Million * (Onboarding.Lists*p.S3.Put + Onboarding.Gets*p.S3.Get)},
		{"logs", fmt.Sprintf("%.1f KB taken in", printed/1e3), Million * printed / 1e9 * p.Logs.GB},
	}
}

// alwaysOn compares with a service that is paid for whether photos come or not:
// the article's network in a container of one processor and 2 GB, the smallest
// with a whole one. More run where one could not keep up, all day evenly.
func alwaysOn(r report.Results, p prices.List) string {
	const hours, vcpu, gb = 730.0, 1.0, 2.0
	task := hours * (vcpu*p.Fargate.VCPUHour + gb*p.Fargate.GBHour)
	each := sum(computing(r, p)) / Million
	var t strings.Builder
	fmt.Fprintf(&t, `
## Beside a service that is always on
The article's ResNet34 in PyTorch takes %.0f ms a photo and %d MB. As a container on AWS Fargate, %.0f processor and %.0f GB for %.0f hours, it costs
%.2f USD a month, load balancer and all that stores apart, whether photos come or not; more tasks where one cannot keep up.

| photos a month | agequote, USD | PyTorch, USD | times |
|---|---|---|---|
`, r.Torch.MS, r.Torch.PeakMB, vcpu, gb, hours, task)
	for photos := 1_000.0; photos <= 100_000_000; photos *= 10 {
		tasks := math.Ceil(photos * r.Torch.MS / 1e3 / (hours * 3600))
		fmt.Fprintf(&t, "| %.0f | %s | %.2f | %s |\n", photos, rounded(photos*each), tasks*task, rounded(tasks*task/(photos*each)))
	}
	fmt.Fprintf(&t, "\nBoth cost the same at %.0f million photos a month, where that one container would be busy for %.0f %% of the time.\n",
		task/each/1e6, 100*task/each*r.Torch.MS/1e3/(hours*3600))
	return t.String()
}

// rounded prints a number with three digits or more.
func rounded(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 1:
		return fmt.Sprintf("%.2f", v)
	}
	return fmt.Sprintf("%.4f", v)
}

func sum(lines []Line) (total float64) {
	for _, l := range lines {
		total += l.USD
	}
	return total
}

// holds says whether the aim is met.
func holds(usd float64) string {
	if usd <= aim {
		return "holds"
	}
	return "does not hold"
}

// Doc writes docs/cost.md.
func Doc(r report.Results, p prices.List) string {
	var t strings.Builder
	fmt.Fprintf(&t, `# What a million photos cost

Computed by `+"`go test ./bench/cost -update`"+` from the last `+"`make bench-side-by-side`"+` (%s, %s) and list prices
(`+"`bench/prices.yaml`"+`: %s, read %s, without free tiers and discounts). A test fails when this page is not what they give. Durations are this
machine's, on one processor, as Lambda gives one at 1,769 MB; Lambda's own were not measured.

## Reading and pricing
`, r.Date, r.Machine, p.Region, p.Read)
	table := func(lines []Line) {
		fmt.Fprint(&t, "| part | of | USD |\n|---|---|---|\n")
		for _, l := range lines {
			fmt.Fprintf(&t, "| %s | %s | %.2f |\n", l.Part, l.How, l.USD)
		}
		fmt.Fprintf(&t, "| **all** | | **%.2f** |\n", sum(lines))
	}
	inner, outer := computing(r, p), around(r, p)
	table(inner)
	face := Million * p.FaceAPI.Image
	fmt.Fprintf(&t, "\nA face API asks %.0f USD for a million images (%s), %.0f times as much, and gives a range of ages without a stated coverage.\n",
		face, p.FaceAPI.Name, face/sum(inner))
	fmt.Fprint(&t, alwaysOn(r, p))
	fmt.Fprint(&t, "\n## Storing, asking and logging\n")
	table(outer)
	fmt.Fprintf(&t, "\nTogether %.2f USD. What is stored costs more than what is computed: each object is written once by a request of its own, and a listing\ncosts as much as a write.\n", sum(inner)+sum(outer))
	floor := objects * Million * p.S3.Put
	fmt.Fprintf(&t, "\nThe time of the API's function is not measured, and not in it. In a batch nobody asks the API.\n\n"+
		"The floor is %d objects a photo, upload, application, estimate and quote, each written once by a request of its own: %.2f USD at the list\n"+
		"price, whatever reads and prices them. So the aim of at most %g USD for a million photos %s for reading and pricing (%.2f USD), and\n"+
		"%s for keeping records in S3.\n", objects, floor, aim, holds(sum(inner)), sum(inner), holds(floor))
	cold := float64(r.Predict.MemoryMB) / 1024 * r.Predict.ColdMS / 1e3 * p.Lambda.GBSecond
	fmt.Fprintf(&t, "\nA cold start of predict takes %.0f ms, the photo included: %.2f USD for a million of them.\n", r.Predict.ColdMS, Million*cold)
	fmt.Fprintf(&t, "\nA batch adds Step Functions: `docs/batch-aws.md` has the formula; at %g USD a transition, %d photos in a child and six\ntransitions a child, %.2f USD for a million.\n",
		p.Steps.Transition, 20, float64(Million)/20*6*p.Steps.Transition)
	return t.String()
}
