package dataset_test

import (
	"encoding/csv"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/agequote/agequote/training/dataset"
)

// lay writes files, by path, into a new folder.
func lay(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// parse reads a configuration that must be right.
func parse(t *testing.T, yaml string) *dataset.Config {
	t.Helper()
	c, err := dataset.Parse([]byte(yaml))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestRead reads data sets with parts of their own, in miniature.
func TestRead(t *testing.T) {
	const use = ", use: research}]"
	tests := []struct {
		name, config string
		files        map[string]string
		want         []dataset.Sample
	}{
		{
			"utkface", "sources: [{kind: utkface, dir: utk, file: folds.tsv, train: [7], validate: [8]" + use,
			map[string]string{"folds.tsv": "file\tgroup\tfold\tnote\n" +
				"30_0_0_2017.jpg.chip.jpg\tg4\t7\t\n" +
				"42_1_3_2017.jpg.chip.jpg\tg1\t8\t\n" +
				"5_0_0_2017.jpg.chip.jpg\tg5\t6\t\n" +
				"7_0_2017.jpg.chip.jpg\tg2\t8\tage-conflict\n" + // stays in measuring, and lacks the race
				"9_0_0_2017.jpg.chip.jpg\tg3\t8\tunusable\n" + // left out everywhere
				"x.jpg\tg6\t7\t\n"},
			[]dataset.Sample{
				{File: "utk/30_0_0_2017.jpg.chip.jpg", Age: 30, Sex: "male", Race: "white", Person: "utkface-g4", Photo: "utkface-g4", Part: "7", Side: dataset.Train},
				{File: "utk/42_1_3_2017.jpg.chip.jpg", Age: 42, Sex: "female", Race: "indian", Person: "utkface-g1", Photo: "utkface-g1", Part: "8", Side: dataset.Validation},
				{File: "utk/5_0_0_2017.jpg.chip.jpg", Age: 5, Sex: "male", Race: "white", Person: "utkface-g5", Photo: "utkface-g5", Part: "6", Drop: dataset.NotUsed},
				{File: "utk/7_0_2017.jpg.chip.jpg", Age: 7, Sex: "male", Person: "utkface-g2", Photo: "utkface-g2", Part: "8", Side: dataset.Validation},
				{File: "utk/9_0_0_2017.jpg.chip.jpg", Age: 9, Sex: "male", Race: "white", Person: "utkface-g3", Photo: "utkface-g3", Part: "8", Drop: dataset.Unusable},
				{File: "utk/x.jpg", Person: "utkface-g6", Photo: "utkface-g6", Part: "7", Drop: dataset.BadName},
			},
		},
		{
			"fgnet", "sources: [{kind: fgnet, dir: fg, train: [others], validate: [kept_apart]" + use,
			map[string]string{"fg/001A02.JPG": "", "fg/003A35.JPG": "", "fg/007A11b.JPG": "", "fg/notes.txt": "", "fg/odd.jpg": ""},
			[]dataset.Sample{
				{File: "fg/001A02.JPG", Age: 2, Person: "fgnet-001", Part: "kept_apart", Side: dataset.Validation},
				{File: "fg/003A35.JPG", Age: 35, Person: "fgnet-003", Part: "others", Side: dataset.Train},
				{File: "fg/007A11b.JPG", Age: 11, Person: "fgnet-007", Part: "kept_apart", Side: dataset.Validation},
				{File: "fg/odd.jpg", Person: "fgnet-fg/odd.jpg", Part: "others", Drop: dataset.BadName},
			},
		},
		{
			"appa-real, apparent age of the plain files", "sources: [{kind: appa-real, dir: appa, train: [train], validate: [valid], age: apparent, weight: 0.5" + use,
			map[string]string{
				"appa/gt_avg_train.csv": "file_name,num_ratings,apparent_age_avg,apparent_age_std,real_age\n000000.jpg,36,5.0277,2.1,4\n000001.jpg,1,,,19\n",
				"appa/gt_avg_valid.csv": "file_name,num_ratings,apparent_age_avg,apparent_age_std,real_age\n004113.jpg,40,30.5,3,33\n",
				// The part test is not there, and not used.
			},
			[]dataset.Sample{
				{File: "appa/train/000000.jpg", Age: 5.0277, Person: "appa-real-train/000000.jpg", Part: "train", Side: dataset.Train, Weight: 0.5},
				{File: "appa/train/000001.jpg", Person: "appa-real-train/000001.jpg", Part: "train", Drop: dataset.BadAge, Weight: 0.5},
				{File: "appa/valid/004113.jpg", Age: 30.5, Person: "appa-real-valid/004113.jpg", Part: "valid", Side: dataset.Validation, Weight: 0.5},
			},
		},
		{
			"appa-real, real age of the faces", "sources: [{kind: appa-real, name: appa, validate: [test], age: real, faces: true" + use,
			map[string]string{"gt_test.csv": "real_age,file_name,apparent_age_avg\n61,5613.jpg,58.2\n"},
			[]dataset.Sample{
				{File: "test/5613.jpg_face.jpg", Age: 61, Dataset: "appa", Person: "appa-test/5613.jpg", Part: "test", Side: dataset.Validation},
			},
		},
		{
			"labels", "sources: [{kind: labels, name: own, dir: p, file: labels.tsv, salt: s, train: [0,1,2,3,4,5,6,7,8,9]" + use,
			map[string]string{"labels.tsv": "age\tfile\tperson\tsex\tdataset\tsame_photo\n" +
				"41.5\ta.jpg\tann\tfemale\tbranch\tk1\n" +
				"130\tb.jpg\tbob\t\t\t\n" +
				"forty\tc.jpg\tbob\t\t\t\n" +
				"40\t../../d.jpg\tdan\t\t\t\n"},
			[]dataset.Sample{
				{File: "../d.jpg", Age: 40, Dataset: "own", Person: "own-dan", Drop: dataset.BadName},
				{File: "p/a.jpg", Age: 41.5, Dataset: "branch", Sex: "female", Person: "own-ann", Photo: "own-k1", Side: dataset.Train},
				{File: "p/b.jpg", Age: 130, Dataset: "own", Person: "own-bob", Drop: dataset.BadAge},
				{File: "p/c.jpg", Dataset: "own", Person: "own-bob", Drop: dataset.BadAge},
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := parse(t, tt.config)
			got, err := dataset.Read(c, lay(t, tt.files))
			if err != nil {
				t.Fatal(err)
			}
			for i := range got {
				if got[i].Drop == dataset.BadAge && got[i].Age != 130 {
					got[i].Age = 0 // NaN
				}
				if c.Sources[0].Kind == dataset.Labels {
					got[i].Part = "" // TestHashedParts
				}
			}
			for i := range tt.want {
				w := &tt.want[i]
				if w.Weight == 0 {
					w.Weight = 1
				}
				if w.Dataset == "" {
					w.Dataset = string(c.Sources[0].Kind)
				}
			}
			if diff := cmp.Diff(tt.want, got, cmpopts.IgnoreUnexported(dataset.Sample{})); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// TestReadIMDBWIKI compares with what testdata/imdb.py expects, by Python's
// calendar.
func TestReadIMDBWIKI(t *testing.T) {
	f, err := os.Open("testdata/expected.tsv")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r := csv.NewReader(f)
	r.Comma = '\t'
	expected, err := r.ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"imdb", "wiki"} {
		c := parse(t, "sources: [{kind: "+kind+", dir: crop, file: "+kind+".mat, salt: s, train: [0,1,2,3,4,5,6,7,8,9], use: research}]")
		got, err := dataset.Read(c, "testdata")
		if err != nil {
			t.Fatal(err)
		}
		byFile := map[string]dataset.Sample{}
		for _, p := range got {
			byFile[p.File] = p
		}
		if len(byFile) != len(expected)-1 {
			t.Errorf("%s: %d photos, want %d", kind, len(byFile), len(expected)-1)
		}
		for _, want := range expected[1:] {
			file, years, sex, celebrity, why := "crop/"+want[0], want[1], want[2], want[3], dataset.Reason(want[4])
			p := byFile[file]
			person := kind + "-" + celebrity
			if kind == "wiki" {
				person = kind + "-" + file
			}
			if p.Drop != why || p.Sex != sex || p.Person != person || why == "" && strconv.FormatFloat(p.Age, 'f', -1, 64) != years {
				t.Errorf("%s = %+v, want %q of %s", file, p, want, person)
			}
		}
	}
}

// TestHashedParts holds the split of people to what was chosen: were it to
// change, photos that figures stand on would train.
func TestHashedParts(t *testing.T) {
	var labels strings.Builder
	labels.WriteString("file\tage\tperson\n")
	for i := range 2000 {
		n := strconv.Itoa(i)
		labels.WriteString(n + ".jpg\t30\tp" + strconv.Itoa(i/2) + "\n")
	}
	dir := lay(t, map[string]string{"labels.tsv": labels.String()})
	read := func(salt string) map[string]string {
		c := parse(t, "sources: [{kind: labels, file: labels.tsv, salt: "+salt+", train: [0], use: research}]")
		samples, err := dataset.Read(c, dir)
		if err != nil {
			t.Fatal(err)
		}
		parts := map[string]string{}
		for _, p := range samples {
			if part, ok := parts[p.Person]; ok && part != p.Part {
				t.Fatalf("%s stands in parts %s and %s", p.Person, part, p.Part)
			}
			parts[p.Person] = p.Part
		}
		return parts
	}
	a, b := read("a"), read("b")
	sizes, moved := map[string]int{}, 0
	for person, part := range a {
		sizes[part]++
		if b[person] != part {
			moved++
		}
	}
	for part, n := range sizes {
		if n < 70 || n > 130 { // a tenth of 1,000 people, 3 standard deviations
			t.Errorf("part %s has %d people", part, n)
		}
	}
	if len(sizes) != 10 || moved < 850 {
		t.Errorf("%d parts; another salt moved %d of 1000 people", len(sizes), moved)
	}
	if got := []string{a["labels-p0"], a["labels-p1"], a["labels-p2"]}; !slices.Equal(got, []string{"9", "2", "4"}) {
		t.Errorf("the first people fall into %q: the hash has changed", got)
	}
}

func TestReadRefuses(t *testing.T) {
	const labels = "sources: [{kind: labels, file: l, salt: s, train: [0], use: research}]"
	tests := map[string]struct {
		config, file string
		want         []string
	}{
		"misspelt column":  {labels, "file\tage\tpersn\n", []string{`unknown column "persn"`}},
		"two problems":     {labels, "file\tyears\n", []string{`unknown column "years"`, `no column "age"`}},
		"column twice":     {labels, "file\tage\tage\n", []string{`column "age" twice`}},
		"too many fields":  {labels, "file\tage\na\t4\textra\n", []string{"line 2"}},
		"empty":            {labels, "", []string{"header"}},
		"folds of another": {"sources: [{kind: utkface, file: l, train: [0], use: research}]", "file\tfold\n", []string{"columns"}},
		"not a MAT-file":   {"sources: [{kind: imdb, file: l, salt: s, train: [0], use: research}]", strings.Repeat("x", 200), []string{"MAT-file"}},
		"no such part":     {"sources: [{kind: appa-real, age: real, train: [train], use: research}]", "", []string{"part train"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := dataset.Read(parse(t, tt.config), lay(t, map[string]string{"l": tt.file}))
			for _, want := range tt.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("Read = %v, want %q in it", err, want)
				}
			}
		})
	}
}

func FuzzReadLabels(f *testing.F) {
	f.Add("file\tage\tperson\tsame_photo\na.jpg\t41\tann\tk\n../b\tNaN\t\t\n")
	f.Add("age\tfile\n1e9\t\"a\tb\"\n")
	f.Fuzz(func(t *testing.T, labels string) {
		c := parse(t, "sources: [{kind: labels, dir: d, file: labels.tsv, salt: s, train: [0,1,2,3,4], validate: [5,6,7,8,9], use: research}]")
		samples, err := dataset.Read(c, lay(t, map[string]string{"labels.tsv": labels}))
		if err != nil {
			return
		}
		for _, p := range samples {
			if (p.Side == "") == (p.Drop == "") {
				t.Errorf("%+v is on a side and left out, or neither", p)
			}
			if p.Side != "" && (!filepath.IsLocal(p.File) || !(p.Age >= 0 && p.Age <= 120)) {
				t.Errorf("%+v is used", p)
			}
		}
	})
}

// TestLimit takes a fixed few of a data set: the same ones when others join.
func TestLimit(t *testing.T) {
	chosen := func(names []string, limit int) []string {
		t.Helper()
		images := t.TempDir()
		var labels strings.Builder
		labels.WriteString("file\tage\n")
		for _, name := range names {
			labels.WriteString(name + "\t30\n")
		}
		if err := os.WriteFile(filepath.Join(images, "labels.tsv"), []byte(labels.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		c := &dataset.Config{Sources: []dataset.Source{{
			Kind: dataset.Labels, File: "labels.tsv", Salt: "x", Limit: limit, Use: "research",
			Train: []string{"0", "1", "2", "3", "4", "5", "6", "7"}, Validate: []string{"8", "9"},
		}}}
		read, err := dataset.Read(c, images)
		if err != nil {
			t.Fatal(err)
		}
		sides := map[dataset.Side]int{}
		var files []string
		for _, s := range read {
			if s.Side == "" && s.Drop != dataset.BeyondLimit {
				t.Errorf("%s is left out for %q", s.File, s.Drop)
			}
			if s.Side != "" {
				sides[s.Side]++
				files = append(files, s.File)
			}
		}
		if limit > 0 && (sides[dataset.Train] != limit || sides[dataset.Validation] != limit) {
			t.Errorf("%v, want %d each", sides, limit)
		}
		return files
	}
	var names []string
	for i := range 100 {
		names = append(names, strconv.Itoa(i)+".jpg")
	}
	if all := chosen(names, 0); len(all) != 100 {
		t.Errorf("without a limit %d of 100 are used", len(all))
	}
	few := chosen(names, 5)
	if again := chosen(few, 5); !slices.Equal(again, few) {
		t.Errorf("of those %q are taken, want %q", again, few)
	}
	others := slices.DeleteFunc(names, func(name string) bool { return slices.Contains(few[:3], name) })
	if again := chosen(others, 5); slices.ContainsFunc(few[3:], func(name string) bool { return !slices.Contains(again, name) }) {
		t.Errorf("without three of them %q are taken, want %q among them", again, few[3:])
	}
}
