package batch

import (
	"cmp"
	"errors"
	"fmt"
	"hash/fnv"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/agequote/agequote/internal/underwriting"
)

// SummarySchema is the version of Summary.
const SummarySchema = 1

// About is what a batch was asked for. It is written once, before the first
// item; a run that finds another one standing is not the same batch.
type About struct {
	Schema        int       `json:"schema"`
	ID            string    `json:"id"`
	Manifest      string    `json:"manifest"` // hash of the file
	Listed        int       `json:"listed"`   // lines of the manifest but the header and empty ones
	Model         string    `json:"model"`    // hash
	ModelUse      string    `json:"model_use"`
	Rules         string    `json:"rules"` // hash of all rule files
	Code          string    `json:"code"`  // version
	ValuationDate string    `json:"valuation_date"`
	Started       time.Time `json:"started"`
}

// Differs names what of the other batch is not the same, "" where all is.
func (a About) Differs(other About) string {
	for _, f := range []struct{ name, a, b string }{
		{"manifest", a.Manifest, other.Manifest},
		{"model", a.Model, other.Model},
		{"rules", a.Rules, other.Rules},
		{"code", a.Code, other.Code},
		{"valuation date", a.ValuationDate, other.ValuationDate},
	} {
		if f.a != f.b {
			return fmt.Sprintf("%s %s instead of %s", f.name, f.b, f.a)
		}
	}
	return ""
}

// Books say what became of every item that was listed.
type Books struct {
	Listed    int `json:"listed"`
	Quoted    int `json:"quoted"`
	Referred  int `json:"referred"`
	Postponed int `json:"postponed"`
	Declined  int `json:"declined"`
	Refused   int `json:"refused"`
	Failed    int `json:"failed"`
}

// ErrUnbalanced says that items are listed of which nothing came, or the
// converse.
var ErrUnbalanced = errors.New("the books do not balance")

// Check returns ErrUnbalanced where the outcomes are not as many as the items.
func (b Books) Check() error {
	if sum := b.Quoted + b.Referred + b.Postponed + b.Declined + b.Refused + b.Failed; sum != b.Listed {
		return fmt.Errorf("%w: %d items are listed, %d have an outcome", ErrUnbalanced, b.Listed, sum)
	}
	return nil
}

func (b *Books) of(o Outcome) *int {
	switch o {
	case Quoted:
		return &b.Quoted
	case Referred:
		return &b.Referred
	case Postponed:
		return &b.Postponed
	case Declined:
		return &b.Declined
	case Refused:
		return &b.Refused
	default:
		return &b.Failed
	}
}

// Count is the number of items of an outcome.
func (b Books) Count(o Outcome) int { return *b.of(o) }

// Summary is what came of a batch. All but Times is the same for a run that was
// broken off and taken up again.
type Summary struct {
	Schema  int            `json:"schema"`
	Batch   About          `json:"batch"`
	Books   Books          `json:"books"`
	Codes   map[string]int `json:"codes"`   // of refused photos and failures
	Reasons map[string]int `json:"reasons"` // of decisions; a case can have several
	// NotQuoted are the reasons of cases that are not quoted, but for those that
	// change the price alone.
	NotQuoted map[string]int `json:"reasons_not_quoted"`
	Premiums  []Premiums     `json:"premiums"` // by currency
	Ages      AgeFigures     `json:"ages"`
	Groups    []Group        `json:"groups"`
	// Dropped are the manifest's columns with too many values to be groups.
	Dropped []string `json:"dropped_columns,omitempty"`
	Times   *Times   `json:"times,omitempty"`
}

// Premiums are those of one currency: gross a year, of cases that are quoted or
// referred with a premium.
type Premiums struct {
	Currency    string `json:"currency"`
	N           int    `json:"n"`
	GrossCents  int64  `json:"gross_annual_cents"` // added up
	MedianCents int64  `json:"median_cents"`       // to within 5 %
	LowCents    int64  `json:"p10_cents"`
	HighCents   int64  `json:"p90_cents"`
}

// AgeFigures are those of photos that were read. Gap is estimated less declared
// age, where one was declared.
type AgeFigures struct {
	Read     int      `json:"read"`
	Declared int      `json:"declared"` // read, and an age was declared
	MeanGap  *float64 `json:"mean_gap"`
	MeanAbs  *float64 `json:"mean_absolute_gap"`
	Width    *float64 `json:"mean_width"`
	Within   *float64 `json:"declared_within"` // share of declared ages within the interval
}

// Group is one group of applicants.
type Group struct {
	Name  string     `json:"name"` // "sex=female", "age=30-39", "race=asian"
	Books Books      `json:"books"`
	Ages  AgeFigures `json:"ages"`
	// MedianCents is the median premium of the batch's first currency, null
	// where there is none.
	MedianCents *int64 `json:"median_cents"`
}

// Times are this run's alone; a run that finds items finished takes less.
type Times struct {
	Run            time.Time `json:"run"`
	Workers        int       `json:"workers"` // photos read at a time
	Read           int       `json:"photos_read"`
	Before         int       `json:"finished_before"`
	PredictSeconds float64   `json:"predict_seconds"`
	QuoteSeconds   float64   `json:"quote_seconds"` // with the search for duplicates
	ReportSeconds  float64   `json:"report_seconds"`
	PhotosPerS     float64   `json:"photos_per_second"` // of reading, quoting and the report together
	// NetworksShare is the share of the workers' time in which a network ran, of
	// reading, quoting and the report together; the two after it are its parts.
	NetworksShare float64 `json:"networks_share"`
	DetectorShare float64 `json:"detector_share"`
	AgeShare      float64 `json:"age_network_share"`
	CPUSeconds    float64 `json:"cpu_seconds"` // of all processors, user and system
	PeakMB        float64 `json:"peak_memory_mb"`
}

// Collector adds rows up. What it holds does not grow with their number.
type Collector struct {
	total      group
	codes      map[string]int
	reasons    map[string]int
	notQuoted  map[string]int
	currencies map[string]*histogram
	gross      map[string]int64
	groups     map[string]map[string]*group // by column and value
	points     []point                      // a sample
	slowest    []Row
	unhappy    []Row // refused and failed
	widths     [maxWidth]int
	spreads    [maxSpread * 4]int // premium at the high end over that at the low one, in quarters from 1
}

type group struct {
	books           Books
	read, declared  int
	gap, abs, width float64
	within          int
	premiums        *histogram
	agePremiums     [len(bandStarts)]*histogram
}

// point is one photo in the plot of ages.
type point struct {
	order              uint64
	declared, estimate float64
	outcome            Outcome
}

// priceOnly are the reasons that change a price and keep nobody from a quote.
var priceOnly = []underwriting.Code{underwriting.ClassBuild, underwriting.RatedBuild, underwriting.TobaccoRates, underwriting.ClassTobacco,
	underwriting.RatedTobacco, underwriting.ClassAnswer, underwriting.RatedAnswer, underwriting.FlatExtra}

// What the report shows of many.
const (
	maxPoints  = 1500
	maxSlowest = 10
	maxUnhappy = 100
	maxValues  = 40 // of a column that is a group
	maxWidth   = 60 // years; wider intervals count there
	maxSpread  = 9  // times from 1; what is more counts there
)

// bandStarts are the first ages of the age bands.
var bandStarts = [...]int{0, 18, 30, 40, 50, 60, 70, 80}

// Band names the age band of an age in years: 0-17, 18-29, 30-39 ... 80+.
func Band(age float64) string {
	i := bandOf(age)
	if i == len(bandStarts)-1 {
		return fmt.Sprintf("%d+", bandStarts[i])
	}
	return fmt.Sprintf("%d-%d", bandStarts[i], bandStarts[i+1]-1)
}

func bandOf(age float64) int {
	i := len(bandStarts) - 1
	for i > 0 && age < float64(bandStarts[i]) {
		i--
	}
	return i
}

// NewCollector returns an empty collector.
func NewCollector() *Collector {
	return &Collector{
		codes: map[string]int{}, reasons: map[string]int{}, notQuoted: map[string]int{}, currencies: map[string]*histogram{},
		gross: map[string]int64{}, groups: map[string]map[string]*group{},
	}
}

// Add adds an item with its row.
func (c *Collector) Add(item Item, r Row) {
	c.total.add(r)
	if r.Outcome == Refused || r.Outcome == Failed {
		c.codes[r.Code]++
		if len(c.unhappy) < maxUnhappy {
			c.unhappy = append(c.unhappy, r)
		}
	}
	for code := range strings.FieldsSeq(r.Reasons) {
		c.reasons[code]++
		if r.Outcome != Quoted && !slices.Contains(priceOnly, underwriting.Code(code)) {
			c.notQuoted[code]++
		}
	}
	if r.GrossCents != nil {
		if c.currencies[r.Currency] == nil {
			c.currencies[r.Currency] = &histogram{}
		}
		c.currencies[r.Currency].add(*r.GrossCents)
		c.gross[r.Currency] += *r.GrossCents
	}
	if r.Low != nil {
		c.widths[min(maxWidth-1, int(*r.High-*r.Low))]++
	}
	if r.GrossLowCents != nil && r.GrossHighCents != nil && *r.GrossLowCents > 0 {
		spread := float64(*r.GrossHighCents) / float64(*r.GrossLowCents)
		c.spreads[min(len(c.spreads)-1, max(0, int((spread-1)*4)))]++
	}
	if r.Age != nil && r.DeclaredAge != nil {
		c.plot(point{orderOf(r.Case), *r.DeclaredAge, *r.Age, r.Outcome})
	}
	c.slow(r)
	if item.Problem != nil && item.Problem.Code == BadRow {
		return // what could be read of it may be in the wrong column
	}
	c.group("sex", cmp.Or(r.Sex, "not_stated"), r)
	c.group("age", ageGroup(r), r)
	for _, g := range item.Groups {
		column, value, _ := strings.Cut(g, "=")
		c.group(column, value, r)
	}
}

func ageGroup(r Row) string {
	switch {
	case r.DeclaredAge != nil:
		return Band(*r.DeclaredAge)
	case r.Age != nil:
		return Band(*r.Age)
	}
	return "not_known"
}

// group adds a row to the group of a column's value. A column with many values
// is no group: its map is then nil.
func (c *Collector) group(column, value string, r Row) {
	values, known := c.groups[column]
	if !known {
		values = map[string]*group{}
		c.groups[column] = values
	}
	if values == nil {
		return
	}
	if values[value] == nil {
		if len(values) == maxValues {
			c.groups[column] = nil
			return
		}
		values[value] = &group{}
	}
	values[value].add(r)
}

func (g *group) add(r Row) {
	g.books.Listed++
	*g.books.of(r.Outcome)++
	if r.GrossCents != nil {
		if g.premiums == nil {
			g.premiums = &histogram{}
		}
		g.premiums.add(*r.GrossCents)
		if age := r.DeclaredAge; age != nil {
			b := bandOf(*age)
			if g.agePremiums[b] == nil {
				g.agePremiums[b] = &histogram{}
			}
			g.agePremiums[b].add(*r.GrossCents)
		}
	}
	if r.Age == nil || r.Low == nil {
		return
	}
	g.read++
	g.width += *r.High - *r.Low
	if r.DeclaredAge == nil {
		return
	}
	g.declared++
	g.gap += *r.Age - *r.DeclaredAge
	g.abs += math.Abs(*r.Age - *r.DeclaredAge)
	if *r.Low <= *r.DeclaredAge && *r.DeclaredAge <= *r.High {
		g.within++
	}
}

func (g *group) ages() AgeFigures {
	f := AgeFigures{Read: g.read, Declared: g.declared}
	f.Width = mean(g.width, g.read)
	f.MeanGap, f.MeanAbs, f.Within = mean(g.gap, g.declared), mean(g.abs, g.declared), mean(float64(g.within), g.declared)
	return f
}

func mean(sum float64, n int) *float64 {
	if n == 0 {
		return nil
	}
	v := math.Round(sum/float64(n)*1e4) / 1e4
	return &v
}

// orderOf puts cases into an order that has nothing to do with their ids, the
// same in every run.
func orderOf(id string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(id)) // it returns no error
	return h.Sum64()
}

// plot keeps the first maxPoints in their order.
func (c *Collector) plot(p point) {
	c.points = append(c.points, p)
	if len(c.points) >= 2*maxPoints {
		c.trim()
	}
}

func (c *Collector) trim() {
	slices.SortStableFunc(c.points, func(a, b point) int { return cmp.Compare(a.order, b.order) })
	c.points = c.points[:min(len(c.points), maxPoints)]
}

func (c *Collector) slow(r Row) {
	if r.MS == 0 {
		return
	}
	c.slowest = append(c.slowest, r)
	slices.SortStableFunc(c.slowest, func(a, b Row) int { return cmp.Compare(b.MS, a.MS) })
	c.slowest = c.slowest[:min(len(c.slowest), maxSlowest)]
}

// Summary returns what was added up; listed is the number of items as the
// manifest was counted.
func (c *Collector) Summary(about About) Summary {
	s := Summary{Schema: SummarySchema, Batch: about, Books: c.total.books, Codes: c.codes, Reasons: c.reasons, NotQuoted: c.notQuoted, Premiums: []Premiums{}, Ages: c.total.ages(), Groups: []Group{}}
	s.Books.Listed = about.Listed
	for currency, h := range c.currencies {
		s.Premiums = append(s.Premiums, Premiums{Currency: currency, N: h.n, GrossCents: c.gross[currency],
			MedianCents: h.quantile(.5), LowCents: h.quantile(.1), HighCents: h.quantile(.9)})
	}
	slices.SortFunc(s.Premiums, func(a, b Premiums) int {
		return cmp.Or(cmp.Compare(b.N, a.N), cmp.Compare(a.Currency, b.Currency))
	})
	for column, values := range c.groups {
		if values == nil {
			s.Dropped = append(s.Dropped, column)
		}
		for value, g := range values {
			one := Group{Name: column + "=" + value, Books: g.books, Ages: g.ages()}
			if g.premiums != nil && len(c.currencies) == 1 {
				median := g.premiums.quantile(.5)
				one.MedianCents = &median
			}
			s.Groups = append(s.Groups, one)
		}
	}
	slices.Sort(s.Dropped)
	slices.SortFunc(s.Groups, func(a, b Group) int { return cmp.Compare(groupOrder(a.Name), groupOrder(b.Name)) })
	return s
}

// groupOrder puts sexes first and age bands second.
func groupOrder(name string) string {
	switch {
	case strings.HasPrefix(name, "sex="):
		return "0" + name
	case strings.HasPrefix(name, "age="):
		return "1" + name
	}
	return "2" + name
}

// histogram counts amounts in steps of 5 %.
type histogram struct {
	n      int
	counts [500]int
}

const stepOf = 1.05

func (h *histogram) add(cents int64) {
	i := 0
	if cents > 1 {
		i = int(math.Log(float64(cents)) / math.Log(stepOf))
	}
	h.counts[min(i, len(h.counts)-1)]++
	h.n++
}

// quantile returns the middle of the step in which a share of the amounts ends,
// in whole cents.
func (h *histogram) quantile(share float64) int64 {
	want, sum := share*float64(h.n), 0
	for i, n := range h.counts {
		if sum += n; n > 0 && float64(sum) >= want {
			return int64(math.Round(math.Pow(stepOf, float64(i)+.5)))
		}
	}
	return 0
}
