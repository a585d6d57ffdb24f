package cost_test

import (
	"flag"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/agequote/agequote/bench/cost"
	"github.com/agequote/agequote/bench/prices"
	"github.com/agequote/agequote/bench/report"
)

var update = flag.Bool("update", false, "write docs/cost.md")

// TestDoc holds docs/cost.md to the measured figures and the prices.
func TestDoc(t *testing.T) {
	results, err := cost.Read("../results.json")
	if err != nil {
		t.Fatal(err)
	}
	list, err := prices.Read("../prices.yaml")
	if err != nil {
		t.Fatal(err)
	}
	const file = "../../docs/cost.md"
	got := cost.Doc(results, list)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("docs/cost.md is not what the figures give; go test ./bench/cost -update (-page +figures)\n%s", diff)
	}
}

// TestDocByHand prices round figures.
func TestDocByHand(t *testing.T) {
	var list prices.List
	list.Lambda.GBSecond, list.Lambda.Request = 1e-5, 2e-7
	list.FaceAPI.Image = 1e-3
	list.S3.Put = 4e-6
	usage := report.Usage{MemoryMB: 2048, WarmMS: 50}
	text := cost.Doc(report.Results{Predict: usage, Quote: report.Usage{MemoryMB: 1024, WarmMS: 10}}, list)
	// 2 GB for .05 s, and 1 GB for .01 s, a million times at 1e-5; two requests.
	want := 1e6*(2*.05+1*.01)*1e-5 + 2*.2
	if math.Abs(want-1.5) > 1e-9 || !strings.Contains(text, "| **all** | | **1.50** |") {
		t.Errorf("want %.2f USD in\n%s", want, text)
	}
	for _, floor := range []string{": 16.00 USD at the list", "holds for reading and pricing (1.50 USD), and\ndoes not hold for keeping"} {
		if !strings.Contains(text, floor) {
			t.Errorf("want %q in\n%s", floor, text)
		}
	}
}
