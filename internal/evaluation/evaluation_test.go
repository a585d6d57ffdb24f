package evaluation_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/agequote/agequote/internal/age"
	"github.com/agequote/agequote/internal/evaluation"
	"github.com/agequote/agequote/internal/reason"
)

func row(years, estimate, low, high float64, sex string) evaluation.Row {
	return evaluation.Row{Age: years, Code: reason.OK, Groups: map[string]string{"sex": sex},
		Estimate: age.Estimate{Age: &estimate, Low: &low, High: &high}}
}

// TestMeasure compares with figures worked out by hand.
func TestMeasure(t *testing.T) {
	r := evaluation.Measure("sha256:model", []evaluation.Row{
		row(20, 23, 15, 30, "female"), // error 3, held
		row(40, 34, 30, 39, "male"),   // error -6, not held
		row(75, 75, 75, 95, "female"), // error 0, held at its edge
		{Age: 5, Code: reason.NoFace, Groups: map[string]string{"sex": "male"}},
	})
	f := func(v float64) *float64 { return &v }
	want := evaluation.Figures{
		N: 4, Rejected: evaluation.Rejected{N: 1, Share: 0.25, Codes: map[reason.Code]int{reason.NoFace: 1}},
		MAE: f(3), RMSE: f(3.873), CS5: f(0.6667), Bias: f(-1), Coverage: f(0.6667), Width: f(14.6667),
	}
	if diff := cmp.Diff(want, r.Figures); diff != "" {
		t.Errorf("all (-want +got)\n%s", diff)
	}
	if got := r.Groups["sex=female"]; got.N != 2 || *got.MAE != 1.5 || *got.Coverage != 1 {
		t.Errorf("women: %+v", got)
	}
	if got := r.Groups["adults=18-75"]; got.N != 3 {
		t.Errorf("adults: %d, want 3", got.N)
	}
	if got := r.Groups["age=0-17"]; got.N != 1 || got.MAE != nil || got.Rejected.Share != 1 {
		t.Errorf("children, all refused: %+v", got)
	}
	for _, band := range []string{"18-29", "30-39", "40-49", "50-59", "60-69", "70-79", "80+"} {
		if _, ok := r.Groups["age="+band]; !ok {
			t.Errorf("no group age=%s", band)
		}
	}
}

func TestReadLabels(t *testing.T) {
	got, err := evaluation.ReadLabels(strings.NewReader("sex\tfile\tage\tperson\nmale\ta.jpg\t42\tp1\n\tb.jpg\t7\t\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := []evaluation.Label{
		{File: "a.jpg", Age: 42, Person: "p1", Groups: map[string]string{"sex": "male"}},
		{File: "b.jpg", Age: 7, Person: "b.jpg", Groups: map[string]string{}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestReadLabelsRefuses(t *testing.T) {
	for labels, want := range map[string]string{
		"":                              "header",
		"file\tsex\n":                   "columns file and age",
		"file\tage\na\t4\nb\tforty\n":   "line 3",
		"file\tage\na\t-1\n":            "line 2",
		"file\tage\na\tNaN\n":           "line 2",
		"file\tage\na\t4\textra\n":      "line 2",
		"file\tage\nphoto.jpg\t999\n\n": "line 2",
	} {
		if _, err := evaluation.ReadLabels(strings.NewReader(labels)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ReadLabels(%q) = %v, want %q in it", labels, err, want)
		}
	}
}

func TestPhotos(t *testing.T) {
	dir := t.TempDir()
	var labels []evaluation.Label
	for _, name := range []string{"c", "a", "b"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("photo "+name), 0o600); err != nil {
			t.Fatal(err)
		}
		labels = append(labels, evaluation.Label{File: name})
	}
	read := func(_ evaluation.Label, photo []byte) (string, error) { return string(photo), nil }
	got, err := evaluation.Photos(t.Context(), dir, labels, 3, read, func() {})
	if diff := cmp.Diff([]string{"photo c", "photo a", "photo b"}, got); err != nil || diff != "" {
		t.Errorf("Photos: %v (-want +got)\n%s", err, diff)
	}

	if err := os.WriteFile(filepath.Join(filepath.Dir(dir), "secret"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	outside := []evaluation.Label{{File: "../secret"}}
	if _, err := evaluation.Photos(t.Context(), dir, outside, 1, read, func() {}); err == nil {
		t.Error("Photos read a file outside its folder")
	}
	broken := errors.New("broken")
	fail := func(evaluation.Label, []byte) (string, error) { return "", broken }
	if _, err := evaluation.Photos(t.Context(), dir, labels, 1, fail, func() {}); !errors.Is(err, broken) {
		t.Errorf("Photos = %v, want the reader's error", err)
	}
}
