package dataset

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/agequote/agequote/internal/evaluation"
	"github.com/agequote/agequote/internal/model"
	"github.com/agequote/agequote/internal/reason"
)

// Report counts what became of the photos, over all and by data set, sex, race
// and age as stated.
type Report struct {
	Schema int       `json:"schema"`
	Use    model.Use `json:"use"` // what a model trained on them may be used for
	Counts
	Groups map[string]Counts `json:"groups"` // "sex=male", "age=18-29" ...
}

// Counts are those of one group. Read is the sum of Train, Validation and all
// of Dropped.
type Counts struct {
	Read       int              `json:"read"`
	Train      int              `json:"train"`
	Validation int              `json:"validation"`
	Dropped    map[Reason]int   `json:"dropped"`
	Refused    map[Side]Refused `json:"refused"` // by the side before refusals were dropped
}

// Refused counts the photos that serving would refuse, of those that it was
// asked about.
type Refused struct {
	Asked int                 `json:"asked"`
	N     int                 `json:"n"`
	Share float64             `json:"share"`
	Codes map[reason.Code]int `json:"codes"`
}

// Report counts the photos after Split.
func (c *Config) Report(samples []Sample) Report {
	r := Report{Schema: 1, Use: c.Use(), Groups: map[string]Counts{}}
	for i := range samples {
		p := &samples[i]
		r.add(p)
		for _, name := range p.groups() {
			g := r.Groups[name]
			g.add(p)
			r.Groups[name] = g
		}
	}
	return r
}

// groups names what the photo's data set says of the person. There is no age to
// go by where it could not be read.
func (p *Sample) groups() []string {
	names := []string{"dataset=" + p.Dataset}
	if p.Sex != "" {
		names = append(names, "sex="+p.Sex)
	}
	if p.Race != "" {
		names = append(names, "race="+p.Race)
	}
	if p.Drop != BadName && p.Drop != BadAge {
		names = append(names, evaluation.AgeGroups(p.Age)...)
	}
	return names
}

func (c *Counts) add(p *Sample) {
	if c.Dropped == nil {
		c.Dropped, c.Refused = map[Reason]int{}, map[Side]Refused{}
	}
	c.Read++
	side := p.Side
	switch side {
	case Train:
		c.Train++
	case Validation:
		c.Validation++
	default:
		c.Dropped[p.Drop]++
		side = Train // of those left out, only training photos were asked about
	}
	if p.Code == "" {
		return
	}
	r := c.Refused[side]
	r.Asked++
	if p.Code != reason.OK {
		if r.Codes == nil {
			r.Codes = map[reason.Code]int{}
		}
		r.N++
		r.Codes[p.Code]++
	}
	r.Share = math.Round(float64(r.N)/float64(r.Asked)*1e4) / 1e4
	c.Refused[side] = r
}

// Print writes the report as a table: one line a group, one column a reason,
// and the share that serving would refuse on each side.
func (r Report) Print(w io.Writer) error {
	reasons := slices.SortedFunc(maps.Keys(r.Dropped), func(a, b Reason) int {
		return cmp.Or(cmp.Compare(r.Dropped[b], r.Dropped[a]), cmp.Compare(a, b)) // the most frequent first
	})
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(t, "group\tread\ttrain\tvalidation\t")
	for _, why := range reasons {
		fmt.Fprintf(t, "%s\t", why)
	}
	fmt.Fprint(t, "refused train\trefused validation\t\n")
	line := func(name string, c Counts) {
		fmt.Fprintf(t, "%s\t%d\t%d\t%d\t", name, c.Read, c.Train, c.Validation)
		for _, why := range reasons {
			fmt.Fprintf(t, "%s\t", count(c.Dropped[why]))
		}
		fmt.Fprintf(t, "%s\t%s\t\n", c.Refused[Train].percent(), c.Refused[Validation].percent())
	}
	line("all", r.Counts)
	for _, name := range slices.SortedFunc(maps.Keys(r.Groups), compareGroups) {
		line(name, r.Groups[name])
	}
	return t.Flush()
}

// compareGroups sorts groups of one kind together, data sets first and ages
// last.
func compareGroups(a, b string) int {
	order := []string{"dataset", "sex", "race", "age", "adults"}
	kind := func(name string) int {
		column, _, _ := strings.Cut(name, "=")
		return slices.Index(order, column)
	}
	return cmp.Or(cmp.Compare(kind(a), kind(b)), cmp.Compare(a, b))
}

func count(n int) string {
	if n == 0 {
		return "."
	}
	return fmt.Sprint(n)
}

func (r Refused) percent() string {
	if r.Asked == 0 {
		return "."
	}
	return fmt.Sprintf("%.1f%%", 100*r.Share)
}
