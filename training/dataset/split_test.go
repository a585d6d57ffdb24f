package dataset_test

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/agequote/agequote/internal/evaluation"
	"github.com/agequote/agequote/internal/reason"
	"github.com/agequote/agequote/training/dataset"
)

var update = flag.Bool("update", false, "write the golden files")

const (
	tr = dataset.Train
	va = dataset.Validation
)

// TestSplit gives each photo as side or reason:person:photo:hash:age:code and
// wants its side or reason, and its weight where that is not 1.
func TestSplit(t *testing.T) {
	tests := []struct {
		name   string
		config dataset.Config
		photos []string
		want   []string
	}{
		{
			"validation wins over the person, the picture and the file", dataset.Config{},
			[]string{"validation:ann::h1:30:", "train:ann::h2:30:", "validation:bob:k:h3:30:", "train:cy:k:h4:30:", "train:dan::h1:30:", "train:eve::h5:30:"},
			[]string{"validation", "kept_apart", "validation", "kept_apart", "kept_apart", "train"},
		},
		{
			"through others: ann's photo is also dan's, whose other photo is fay's", dataset.Config{},
			[]string{"validation:ann:k1:h1:30:", "train:dan:k1:h2:30:", "train:dan::h3:30:", "train:fay::h3:30:", "train:gus::h4:30:"},
			[]string{"validation", "kept_apart", "kept_apart", "kept_apart", "train"},
		},
		{
			"what is not used stays apart too, what cannot be used does not matter", dataset.Config{},
			[]string{"not_used:ann::h1:30:", "train:ann::h2:30:", "unusable:bob::h3:30:", "train:bob::h4:30:"},
			[]string{"not_used", "kept_apart", "unusable", "train"},
		},
		{
			"files without hash or group are no copies of each other", dataset.Config{},
			[]string{"validation:ann:::30:", "train:bob:::60:"},
			[]string{"validation", "train"},
		},
		{
			"ages more than 3 years apart conflict; validation keeps its own", dataset.Config{},
			[]string{"train:a:k1:h1:30:", "train:a:k1:h2:33:", "train:b:k2:h3:30:", "train:b:k2:h4:33.5:", "train:c::h5:20:", "train:c::h5:30:", "validation:d:k3:h6:20:", "validation:d:k3:h7:40:"},
			[]string{"train", "train", "age_conflict", "age_conflict", "age_conflict", "age_conflict", "validation", "validation"},
		},
		{
			"one person's photos differ in age as they should", dataset.Config{},
			[]string{"train:a::h1:10:", "train:a::h2:60:"},
			[]string{"train", "train"},
		},
		{
			"the limit and the rule are the configuration's", dataset.Config{Conflicts: dataset.Conflicts{MaxYears: 10, Rule: dataset.WeightConflicts, Weight: 0.25}},
			[]string{"train:a:k1:h1:30:", "train:a:k1:h2:40:", "train:b:k2:h3:30:", "train:b:k2:h3:41:"},
			[]string{"train", "train", "train 0.25", "train 0.25"},
		},
		{
			"the same file trains once, and validates as often as it comes", dataset.Config{},
			[]string{"train:a::h1:30:", "train:a::h1:31:", "train:a:k:h2:30:", "train:a:k:h3:30:", "validation:b::h4:30:", "validation:b::h4:30:"},
			[]string{"train", "duplicate", "train", "train", "validation", "validation"},
		},
		{
			"refused photos do not train, and are measured", dataset.Config{},
			[]string{"train:a::h1:30:ok", "train:a::h2:30:blurred", "validation:b::h3:30:no_face"},
			[]string{"train", "blurred", "validation"},
		},
		{
			"kept refusals need a face", dataset.Config{KeepRefused: true},
			[]string{"train:a::h1:30:blurred", "train:a::h2:30:turned", "train:a::h3:30:no_face", "train:a::h4:30:too_small", "train:a::h5:30:many_faces"},
			[]string{"train", "train", "no_face", "too_small", "many_faces"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var samples []dataset.Sample
			for i, photo := range tt.photos {
				v := strings.Split(photo, ":")
				p := dataset.Sample{File: fmt.Sprint(i), Person: v[1], Photo: v[2], Hash: v[3], Code: reason.Code(v[5]), Weight: 1}
				fmt.Sscan(v[4], &p.Age)
				switch side := dataset.Side(v[0]); side {
				case tr, va:
					p.Side = side
				default:
					p.Drop = dataset.Reason(v[0])
				}
				samples = append(samples, p)
			}
			tt.config.Split(samples)
			var got []string
			for _, p := range samples {
				s := string(p.Side) + string(p.Drop)
				if p.Weight != 1 {
					s += fmt.Sprintf(" %v", p.Weight)
				}
				got = append(got, s)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// TestSplitHeedsNotes reads UTKFace pictures with a conflict that only folds.tsv states.
func TestSplitHeedsNotes(t *testing.T) {
	c := parse(t, "sources: [{kind: utkface, file: folds.tsv, train: [0], validate: [1], use: research}]")
	samples, err := dataset.Read(c, lay(t, map[string]string{"folds.tsv": "file\tgroup\tfold\tnote\n" +
		"30_0_0_1.jpg\ta\t0\tage-conflict\n31_0_0_1.jpg\tb\t1\tage-conflict\n32_0_0_1.jpg\tc\t0\t\n"}))
	if err != nil {
		t.Fatal(err)
	}
	c.Split(samples)
	for i, want := range []string{"age_conflict", "validation", "train"} {
		if got := string(samples[i].Side) + string(samples[i].Drop); got != want {
			t.Errorf("%s: %s, want %s", samples[i].File, got, want)
		}
	}
}

// TestSplitKeepsPeopleApart checks the split of random photos against a search
// of every pair, and what is named a person.
func TestSplitKeepsPeopleApart(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		samples := make([]dataset.Sample, 40)
		for i := range samples {
			samples[i] = dataset.Sample{
				Person: fmt.Sprint("p", r.IntN(30)), Photo: fmt.Sprint("k", r.IntN(60)), Hash: fmt.Sprint("h", r.IntN(60)),
				Age: 30, Weight: 1, Side: []dataset.Side{tr, tr, tr, va}[r.IntN(4)],
			}
		}
		before := append([]dataset.Sample(nil), samples...)
		new(dataset.Config).Split(samples)

		together := reach(before)
		for i, p := range samples {
			if before[i].Side == va && p.Side != va {
				t.Fatal("a photo left validation")
			}
			for j, q := range samples {
				if together[i][j] != (p.Person == q.Person) {
					t.Fatalf("%v and %v are named %s and %s", before[i], before[j], p.Person, q.Person)
				}
				if together[i][j] && before[j].Person < p.Person {
					t.Fatalf("%v is named %s", before[i], p.Person)
				}
				if together[i][j] && p.Side == tr && q.Side == va {
					t.Fatalf("%v trains, %v validates", before[i], before[j])
				}
			}
			if before[i].Side == tr && p.Drop == dataset.KeptApart {
				alone := true
				for j := range samples {
					alone = alone && !(together[i][j] && before[j].Side == va)
				}
				if alone {
					t.Fatalf("%v is kept apart from nobody", before[i])
				}
			}
		}
	}
}

// reach tells which photos belong together, by Warshall's closure.
func reach(samples []dataset.Sample) [][]bool {
	n := len(samples)
	m := make([][]bool, n)
	for i, p := range samples {
		m[i] = make([]bool, n)
		for j, q := range samples {
			m[i][j] = p.Person == q.Person || p.Photo == q.Photo || p.Hash == q.Hash
		}
	}
	for k := range n {
		for i := range n {
			for j := range n {
				m[i][j] = m[i][j] || m[i][k] && m[k][j]
			}
		}
	}
	return m
}

// reported is a set with each thing that a report counts.
func reported() []dataset.Sample {
	return []dataset.Sample{
		{File: "a.jpg", Age: 30, Dataset: "own", Sex: "female", Race: "asian", Person: "own-a", Side: tr, Weight: 1, Hash: "sha256:1", Code: reason.OK},
		{File: "b.jpg", Age: 16.5, Dataset: "own", Sex: "male", Person: "own-b", Side: tr, Weight: 0.25, Hash: "sha256:2", Code: reason.Blurred},
		{File: "c.jpg", Age: 80, Dataset: "own", Sex: "male", Person: "own-c", Drop: "no_face", Weight: 1, Hash: "sha256:3", Code: reason.NoFace},
		{File: "d.jpg", Age: 75, Dataset: "utkface", Sex: "female", Person: "utkface-d", Side: va, Weight: 1, Hash: "sha256:4", Code: reason.TooDark},
		{File: "e.jpg", Age: -1, Dataset: "utkface", Person: "utkface-e", Drop: dataset.BadAge, Weight: 1},
		{File: "f \"g\".jpg", Age: 40, Dataset: "utkface", Person: "utkface-f", Side: va, Weight: 1, Hash: "sha256:5"},
	}
}

func TestReport(t *testing.T) {
	c := parse(t, "sources: [{kind: fgnet, train: [others], use: research}]")
	r := c.Report(reported())
	want := dataset.Counts{
		Read: 6, Train: 2, Validation: 2, Dropped: map[dataset.Reason]int{"no_face": 1, dataset.BadAge: 1},
		Refused: map[dataset.Side]dataset.Refused{
			tr: {Asked: 3, N: 2, Share: 0.6667, Codes: map[reason.Code]int{reason.Blurred: 1, reason.NoFace: 1}},
			va: {Asked: 1, N: 1, Share: 1, Codes: map[reason.Code]int{reason.TooDark: 1}},
		},
	}
	if diff := cmp.Diff(want, r.Counts); diff != "" {
		t.Errorf("all (-want +got)\n%s", diff)
	}
	for name, g := range r.Groups {
		sum := g.Train + g.Validation
		for _, n := range g.Dropped {
			sum += n
		}
		if sum != g.Read {
			t.Errorf("%s: %d read, %d accounted for", name, g.Read, sum)
		}
	}

	var table bytes.Buffer
	if err := r.Print(&table); err != nil {
		t.Fatal(err)
	}
	const golden = "testdata/report.golden"
	if *update {
		if err := os.WriteFile(golden, table.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	wantTable, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(wantTable), table.String()); diff != "" {
		t.Errorf("table (-want +got)\n%s", diff)
	}
}

// TestWrite writes a run's folder and reads back what others read.
func TestWrite(t *testing.T) {
	dir := t.TempDir()
	samples := reported()
	if err := dataset.Write(dir, samples, new(dataset.Config).Report(samples), "face 1"); err != nil {
		t.Fatal(err)
	}
	train, err := dataset.ReadTrain(dir)
	wantTrain := []dataset.Weighted{
		{Label: evaluation.Label{File: "a.jpg", Age: 30, Person: "own-a", Groups: map[string]string{"dataset": "own", "sex": "female", "race": "asian"}}, Weight: 1},
		{Label: evaluation.Label{File: "b.jpg", Age: 16.5, Person: "own-b", Groups: map[string]string{"dataset": "own", "sex": "male"}}, Weight: 0.25},
	}
	if diff := cmp.Diff(wantTrain, train); err != nil || diff != "" {
		t.Errorf("train: %v (-want +got)\n%s", err, diff)
	}
	validation, err := dataset.ReadValidation(dir)
	wantValidation := []evaluation.Label{
		{File: "d.jpg", Age: 75, Person: "utkface-d", Groups: map[string]string{"dataset": "utkface", "sex": "female"}},
		{File: "f \"g\".jpg", Age: 40, Person: "utkface-f", Groups: map[string]string{"dataset": "utkface"}},
	}
	if diff := cmp.Diff(wantValidation, validation); err != nil || diff != "" {
		t.Errorf("validation: %v (-want +got)\n%s", err, diff)
	}

	codes, err := dataset.ReadCodes(dir, "face 1")
	wantCodes := map[string]reason.Code{"sha256:1": "ok", "sha256:2": "blurred", "sha256:3": "no_face", "sha256:4": "too_dark"}
	if diff := cmp.Diff(wantCodes, codes); err != nil || diff != "" {
		t.Errorf("codes: %v (-want +got)\n%s", err, diff)
	}
	for _, tt := range []struct{ dir, faces string }{{dir, "face 2"}, {t.TempDir(), "face 1"}} {
		codes, err := dataset.ReadCodes(tt.dir, tt.faces)
		if diff := cmp.Diff(map[string]reason.Code{}, codes, cmpopts.EquateEmpty()); err != nil || diff != "" {
			t.Errorf("ReadCodes(%q): %v %s", tt.faces, err, diff)
		}
	}
}
