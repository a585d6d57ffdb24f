package whatif_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"

	"github.com/agequote/agequote/internal/age"
	"github.com/agequote/agequote/internal/quote"
	"github.com/agequote/agequote/internal/rulebook"
	"github.com/agequote/agequote/internal/underwriting"
	"github.com/agequote/agequote/internal/whatif"
	"github.com/agequote/agequote/rules"
)

var million = flag.Int("cases", 2000, "number of cases of TestMillion")

var loadBook = sync.OnceValues(func() (*rulebook.Book, error) { return rulebook.Load(rules.FS) })

func mustBook(t testing.TB) *rulebook.Book {
	t.Helper()
	b, err := loadBook()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// ruleFiles are the rules with one text replaced in a file.
func ruleFiles(t testing.TB, file, from, to string) fstest.MapFS {
	t.Helper()
	files := fstest.MapFS{}
	err := fs.WalkDir(rules.FS, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		body, err := fs.ReadFile(rules.FS, name)
		if name == file {
			changed := bytes.ReplaceAll(body, []byte(from), []byte(to))
			if from != to && bytes.Equal(changed, body) {
				t.Fatalf("%s has no %q", file, from)
			}
			body = changed
		}
		files[name] = &fstest.MapFile{Data: body}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func mustDraft(t testing.TB, files fs.FS) *rulebook.Book {
	t.Helper()
	b, err := rulebook.LoadDraft(files)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// selfies are the estimates of the project's sample selfies, as stored.
var selfies = sync.OnceValues(func() ([]age.Estimate, error) {
	raw, err := os.ReadFile("testdata/estimates.jsonl")
	var out []age.Estimate
	for line := range bytes.Lines(raw) {
		var e age.Estimate
		if err := json.Unmarshal(line, &e); err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	return out, err
})

// pastCase makes the n-th case: declared facts drawn at random, and a real
// estimate moved by some years, quoted as the service does.
func pastCase(t testing.TB, book *rulebook.Book, n uint64) whatif.Case {
	t.Helper()
	r := rand.New(rand.NewPCG(n, 7))
	facts := underwriting.Facts{
		HeightCM: 150 + float64(r.IntN(45)), Tobacco: []string{"never", "never", "never", "former:2.5", "current"}[r.IntN(5)],
		TermYears: []int{10, 15, 20, 25, 30}[r.IntN(5)], Market: "US", Sex: []string{"female", "male"}[r.IntN(2)],
		SumCents: int64(5+r.IntN(200)) * 10_000_00,
	}
	facts.WeightKG = math.Round(math.Pow(facts.HeightCM/100, 2) * (18 + 20*r.Float64()))
	switch r.IntN(10) {
	case 0:
		facts.Market, facts.Sex = "EU", ""
	case 1:
		facts.Answers = map[string]bool{[]string{"cancer", "diabetes", "blood-pressure", "tests-pending"}[r.IntN(4)]: true}
	}
	all, err := selfies()
	if err != nil {
		t.Fatal(err)
	}
	e := moved(all[0], r.IntN(36))
	if facts.Market == "EU" || r.IntN(2) == 0 {
		years := *e.Age + float64(r.IntN(17)-8)
		facts.Age = &years
	}
	in := quote.Input{Facts: facts, Estimate: &e, ValuationDate: time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)}
	q, err := quote.ComputeOrRefer(book, in)
	if err != nil {
		t.Fatal(err)
	}
	return whatif.Case{Schema: 1, Case: fmt.Sprintf("case-%07d", n), Facts: facts,
		Estimate: &whatif.Estimate{Age: e.Age, Mean: e.Mean, Low: e.Low, High: e.High, Coverage: e.Coverage, Distribution: e.Distribution},
		Quote: whatif.Quote{Decision: q.Decision, GrossAnnualCents: q.GrossAnnualCents, Currency: q.Currency, ValuationDate: q.ValuationDate,
			Basis: whatif.Basis{PriceAge: q.Basis.PriceAge}}}
}

// moved is an estimate of somebody that many years older.
func moved(e age.Estimate, by int) age.Estimate {
	add := func(x *float64) *float64 { y := *x + float64(by); return &y }
	out := age.Estimate{Age: add(e.Age), Mean: add(e.Mean), Low: add(e.Low), High: add(e.High), Coverage: e.Coverage}
	out.Distribution = make([]float64, len(e.Distribution))
	copy(out.Distribution[by:], e.Distribution)
	return out
}

func pastCases(t testing.TB, n int) []whatif.Case {
	t.Helper()
	all := make([]whatif.Case, n)
	for i := range all {
		all[i] = pastCase(t, mustBook(t), uint64(i))
	}
	return all
}

func lines(t testing.TB, all []whatif.Case) []byte {
	t.Helper()
	var buf bytes.Buffer
	for _, c := range all {
		if err := json.NewEncoder(&buf).Encode(c); err != nil {
			t.Fatal(err)
		}
	}
	return buf.Bytes()
}

func mustTry(t testing.TB, trial whatif.Trial, cases []byte) whatif.Report {
	t.Helper()
	r, err := trial.Lines(t.Context(), bytes.NewReader(cases), func(line int64) { t.Errorf("line %d is no case", line) })
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestSameRules tries the rules that the cases were quoted under: nothing moves.
func TestSameRules(t *testing.T) {
	r := mustTry(t, whatif.Trial{Book: mustBook(t), Most: 5}, lines(t, pastCases(t, 400)))
	if r.Cases != 400 || r.Changed != 0 || len(r.Most) != 0 || len(r.Premiums) != 2 {
		t.Errorf("%+v", r)
	}
	decisions := 0
	for _, m := range r.Decisions {
		if m.From != m.To {
			t.Errorf("moved: %+v", m)
		}
		decisions++
	}
	if decisions < 3 {
		t.Errorf("the cases have %d decisions only: %+v", decisions, r.Decisions)
	}
	for _, p := range r.Premiums {
		if p.StoredCents != p.NowCents || p.Rose+p.Fell+p.Gained+p.Lost != 0 || p.Priced == 0 {
			t.Errorf("moved: %+v", p)
		}
	}
}

// TestOtherRules counts by hand what the trial counts, case by case.
func TestOtherRules(t *testing.T) {
	all := pastCases(t, 600)
	files := ruleFiles(t, "products/us-term.yaml", "interest: 0.03", "interest: 0.01")
	files["products/us-term.yaml"].Data = bytes.Replace(files["products/us-term.yaml"].Data, []byte("max_interval_years: 30"), []byte("max_interval_years: 20"), 1)
	book := mustDraft(t, files)
	got := mustTry(t, whatif.Trial{Book: book, Most: 3, Workers: 3}, lines(t, all))

	var changed int64
	want := map[string]whatif.Sums{}
	var changes []float64
	for _, c := range all {
		q, err := quote.ComputeOrRefer(book, quote.Input{Facts: c.Facts, Estimate: &age.Estimate{Age: c.Estimate.Age, Mean: c.Estimate.Mean,
			Low: c.Estimate.Low, High: c.Estimate.High, Coverage: c.Estimate.Coverage, Distribution: c.Estimate.Distribution},
			ValuationDate: time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)})
		if err != nil {
			t.Fatal(err)
		}
		if q.Decision != c.Quote.Decision {
			changed++
		}
		if q.GrossAnnualCents != nil && c.Quote.GrossAnnualCents != nil {
			s := want[q.Currency]
			s.Priced++
			s.StoredCents += *c.Quote.GrossAnnualCents
			s.NowCents += *q.GrossAnnualCents
			want[q.Currency] = s
			if q.Currency == "USD" {
				changes = append(changes, float64(*q.GrossAnnualCents)/float64(*c.Quote.GrossAnnualCents)-1)
			}
		}
	}
	slices.Sort(changes)
	if got.Changed != changed || changed == 0 {
		t.Errorf("%d decisions changed, want %d", got.Changed, changed)
	}
	sums := map[string]whatif.Sums{}
	for _, p := range got.Premiums {
		sums[p.Currency] = p.Sums
		if p.Currency != "USD" {
			continue
		}
		for _, q := range p.Quantiles {
			rank := max(1, int(math.Ceil(q.Share*float64(len(changes)))))
			if math.Abs(q.Change-changes[rank-1]) > 0.00005+1e-9 {
				t.Errorf("quantile %v is %v, want %v", q.Share, q.Change, changes[rank-1])
			}
		}
		if p.Rose != p.Priced {
			t.Errorf("%d of %d premiums rose at a lower interest", p.Rose, p.Priced)
		}
	}
	if diff := cmp.Diff(want, sums); diff != "" {
		t.Errorf("premiums (-want +got)\n%s", diff)
	}
	byGroup := map[string]whatif.Sums{}
	for _, g := range got.Groups {
		s := byGroup[g.Currency]
		s.Priced += g.Priced
		s.StoredCents += g.StoredCents
		s.NowCents += g.NowCents
		byGroup[g.Currency] = s
	}
	if diff := cmp.Diff(want, byGroup); diff != "" {
		t.Errorf("groups do not add up (-want +got)\n%s", diff)
	}
	if len(got.Most) != 3 || got.Most[0].Change != changes[len(changes)-1] {
		t.Errorf("moved most: %+v, want %v first", got.Most, changes[len(changes)-1])
	}
}

// TestOrder shuffles the cases and changes the number of workers.
func TestOrder(t *testing.T) {
	all := pastCases(t, 500)
	book := mustDraft(t, ruleFiles(t, "questions/health.yaml", "years: 5", "years: 3"))
	want := mustTry(t, whatif.Trial{Book: book, Most: 7, Workers: 1}, lines(t, all))
	rand.New(rand.NewPCG(1, 1)).Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	if diff := cmp.Diff(want, mustTry(t, whatif.Trial{Book: book, Most: 7, Workers: 4}, lines(t, all))); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestRulesDate tries a product that comes into force after the quotes.
func TestRulesDate(t *testing.T) {
	files := ruleFiles(t, "products/us-term.yaml", "interest: 0.03", "interest: 0.03")
	later := bytes.Replace(files["products/us-term.yaml"].Data, []byte("interest: 0.03"), []byte("interest: 0.02"), 1)
	files["products/us-term-2027.yaml"] = &fstest.MapFile{Data: bytes.Replace(later, []byte("effective_from: 2026-01-01"), []byte("effective_from: 2027-01-01"), 1)}
	book, cases := mustDraft(t, files), lines(t, pastCases(t, 40))
	usd := func(r whatif.Report) whatif.Premium { return r.Premiums[len(r.Premiums)-1] }
	if p := usd(mustTry(t, whatif.Trial{Book: book}, cases)); p.Rose == 0 {
		t.Errorf("the newest product moved nothing: %+v", p)
	}
	if p := usd(mustTry(t, whatif.Trial{Book: book, RulesDate: time.Date(2026, 12, 31, 0, 0, 0, 0, time.UTC)}, cases)); p.Rose+p.Fell != 0 {
		t.Errorf("the product of 2027 counts in 2026: %+v", p)
	}
}

// TestOtherEstimates gives one case another estimate.
func TestOtherEstimates(t *testing.T) {
	all := pastCases(t, 30)
	at := slices.IndexFunc(all, func(c whatif.Case) bool { return c.Facts.Age == nil && c.Quote.GrossAnnualCents != nil })
	older := whatif.Estimate{Age: ptr(50.0), Mean: ptr(50.0), Low: ptr(45.0), High: ptr(55.0), Coverage: ptr(0.9), Distribution: make([]float64, 101)}
	older.Distribution[50] = 1
	line, err := json.Marshal(map[string]any{"case": all[at].Case, "estimate": older})
	if err != nil {
		t.Fatal(err)
	}
	others, err := whatif.IndexEstimates(bytes.NewReader(line), int64(len(line)))
	if err != nil {
		t.Fatal(err)
	}
	r := mustTry(t, whatif.Trial{Book: mustBook(t), Estimates: others.Of, Most: 5}, lines(t, all))
	if len(r.Most) != 1 || r.Most[0].Case != all[at].Case {
		t.Errorf("moved: %+v, want %s alone", r.Most, all[at].Case)
	}
	if _, err := whatif.IndexEstimates(strings.NewReader(`{"case":"a"}`), 12); err == nil {
		t.Error("took a line without an estimate")
	}
}

func TestBadLines(t *testing.T) {
	good := lines(t, pastCases(t, 2))
	first, second, _ := bytes.Cut(good, []byte("\n"))
	file := fmt.Sprintf("%s\n{\"schema\":1}\nnonsense\n%s", first, second)
	var bad []int64
	r, err := whatif.Trial{Book: mustBook(t), Workers: 1}.Lines(t.Context(), strings.NewReader(file), func(n int64) { bad = append(bad, n) })
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]int64{2, 3}, bad); diff != "" || r.Cases != 2 || r.Unreadable != 2 {
		t.Errorf("bad lines %v, %d cases, %d unreadable", bad, r.Cases, r.Unreadable)
	}
}

func ptr[T any](v T) *T { return &v }

// FuzzProbabilities holds the fast decoder against encoding/json's.
func FuzzProbabilities(f *testing.F) {
	for _, seed := range []string{"[]", "null", "[0.000031, 0,1,1e-7]", "[0.1234567890123456789,-0.5]", "[1,\"2\"]", "{}", "[[1]]", "[true]"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var want []float64
		var got whatif.Probabilities
		wantErr, err := json.Unmarshal(b, &want), json.Unmarshal(b, &got)
		if bytes.Contains(b, []byte("null")) && string(bytes.TrimSpace(b)) != "null" {
			return // encoding/json takes null for 0, which is no probability
		}
		if (err == nil) != (wantErr == nil) || err == nil && !slices.Equal(want, got) {
			t.Errorf("%q: %v, %v, want %v, %v", b, got, err, want, wantErr)
		}
	})
}

// TestMillion makes a file of cases and times a trial of it: `make
// bench-whatif` does so with a million. The cases are those of the other tests.
// Two processors may take a minute for a million, which is counted in processor
// time: on a busy machine the clock measures the others.
func TestMillion(t *testing.T) {
	file := filepath.Join(t.TempDir(), "cases.jsonl")
	makeFile(t, file, *million)
	book := mustDraft(t, ruleFiles(t, "products/us-term.yaml", "interest: 0.03", "interest: 0.025"))
	in, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	size, err := in.Seek(0, io.SeekEnd)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := in.Seek(0, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	runtime.GC()
	var peak uint64
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			peak = max(peak, m.HeapInuse)
			select {
			case <-stop:
				return
			case <-time.After(500 * time.Millisecond):
			}
		}
	}()
	wall, cpu := time.Now(), cpuTime(t)
	r, err := whatif.Trial{Book: book, Most: 10}.Lines(t.Context(), in, func(line int64) { t.Errorf("line %d is no case", line) })
	if err != nil {
		t.Fatal(err)
	}
	took, worked := time.Since(wall), cpuTime(t)-cpu
	close(stop)
	<-stopped
	if r.Cases != int64(*million) {
		t.Errorf("%d cases, want %d", r.Cases, *million)
	}
	if limit := 2 * time.Minute; *million >= 1_000_000 && worked > limit*time.Duration(*million)/1_000_000 {
		t.Errorf("%v of processor time, want at most %v for a million cases", worked, limit)
	}
	t.Logf("%d cases, %.2f GB, in %.1f s on %d processors (%.1f s of processor time, %.1f us a case), at most %d MB of heap; %d decisions changed, premiums %+v",
		r.Cases, float64(size)/1e9, took.Seconds(), runtime.GOMAXPROCS(0), worked.Seconds(), worked.Seconds()*1e6/float64(r.Cases), peak>>20,
		r.Changed, r.Premiums[len(r.Premiums)-1].Sums)
}

// makeFile writes n cases, in parts by all processors.
func makeFile(t testing.TB, name string, n int) {
	t.Helper()
	out, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	w := bufio.NewWriterSize(out, 1<<20)
	var mu sync.Mutex
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	const part = 5000
	for from := 0; from < n; from += part {
		group.Go(func() error {
			var buf bytes.Buffer
			for i := from; i < min(from+part, n); i++ {
				if err := json.NewEncoder(&buf).Encode(pastCase(t, mustBook(t), uint64(i))); err != nil {
					return err
				}
			}
			mu.Lock()
			defer mu.Unlock()
			_, err := w.Write(buf.Bytes())
			return err
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
}
