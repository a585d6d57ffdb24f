package premium_test

import (
	"bytes"
	"io/fs"
	"strings"
	"sync"
	"testing"

	"github.com/agequote/agequote/internal/premium"
	"github.com/agequote/agequote/rules"
)

// parsed holds the tables that a test has read already: they never change.
var parsed sync.Map

// mustTable parses one of the project's tables.
func mustTable(tb testing.TB, number string) *premium.Table {
	tb.Helper()
	if table, ok := parsed.Load(number); ok {
		return table.(*premium.Table)
	}
	table, err := premium.ParseXTbML(bytes.NewReader(mustRead(tb, "tables/t"+number+".xml")))
	if err != nil {
		tb.Fatal(err)
	}
	parsed.Store(number, table)
	return table
}

func mustRead(tb testing.TB, name string) []byte {
	tb.Helper()
	b, err := fs.ReadFile(rules.FS, name)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func tableNames(tb testing.TB) []string {
	tb.Helper()
	names, err := fs.Glob(rules.FS, "tables/t*.xml")
	if err != nil || len(names) == 0 {
		tb.Fatalf("no tables: %v", err)
	}
	return names
}

func TestParseXTbMLReadsEveryTable(t *testing.T) {
	for _, name := range tableNames(t) {
		table, err := premium.ParseXTbML(bytes.NewReader(mustRead(t, name)))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if table.AgeBasis == "" {
			t.Errorf("%s: no age basis in the name %q", name, table.Name)
		}
	}
}

// The rates are read off the files by eye: they pin the edges between select
// and ultimate.
func TestTableQ(t *testing.T) {
	male, indian := mustTable(t, "3269"), mustTable(t, "2694")
	tests := []struct {
		name     string
		table    *premium.Table
		age, dur int
		want     float64
	}{
		{"first select rate", male, 18, 1, 0.00066},
		{"last select year", male, 18, 25, 0.0014},
		{"last select row", male, 95, 1, 0.13703},
		{"issue age past the select rows", male, 96, 1, 0.23554},
		{"first ultimate year of the last row", male, 95, 26, 0.5},
		{"issue age past the select rows, second year", male, 96, 2, 0.25392},
		{"last age", male, 120, 1, 0.5},
		{"ultimate table", indian, 40, 1, 0.001803},
		{"ultimate table by attained age", indian, 40, 13, 0.006051},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := tt.table.Q(tt.age, tt.dur)
			if err != nil || got != tt.want {
				t.Errorf("Q(%d, %d) = %v, %v, want %v", tt.age, tt.dur, got, err, tt.want)
			}
		})
	}
	for _, out := range [][2]int{{17, 1}, {17, 5}, {-1, 1}, {121, 1}, {120, 2}, {95, 27}, {40, 0}} {
		if q, err := male.Q(out[0], out[1]); err == nil {
			t.Errorf("Q(%d, %d) = %v, want an error", out[0], out[1], q)
		}
	}
}

func TestParseXTbMLRefuses(t *testing.T) {
	real := string(mustRead(t, "tables/t3269.xml"))
	indian := string(mustRead(t, "tables/t2694.xml"))
	tests := []struct {
		name, file, old, new string
		want                 string // part of the message
	}{
		{"empty", "", "", "", "EOF"},
		{"truncated", real[:len(real)/2], "", "", "line "},
		{"other XML", "<a/>", "", "", "line 1"},
		{"scaling", real, "<ScalingFactor>0<", "<ScalingFactor>3<", "ScalingFactor"},
		{"not a number", real, ">0.00066<", ">zero<", "line 40: rate"},
		{"NaN", real, ">0.00066<", ">NaN<", "line 40: rate"},
		{"over 1", real, ">0.00066<", ">1.00001<", "line 40: rate"},
		{"below 0", real, ">0.00066<", ">-0.1<", "line 40: rate"},
		{"two numbers that would be read as one", real, ">0.00066<", ">0.0<Z/>0066<", "line 40: rate"},
		{"more than rates", real, `<Y t="2">`, `<Z/><Y t="2">`, "25 rates"},
		{"blank", real, ">0.00066<", "><", "line 40: rate"},
		{"missing duration", real, `<Y t="2">0.00069</Y>`, "", "24 rates"},
		{"repeated duration", real, `<Y t="2">`, `<Y t="1">`, "line 41"},
		{"missing age", real, `<Axis t="19">`, `<Axis t="20">`, "age 19"},
		{"wrong axis", real, "<AxisName>Duration<", "<AxisName>Year<", "Duration is wanted"},
		{"half steps", indian, "<Increment>1<", "<Increment>0.5<", "increment"},
		{"huge axis", indian, "<MaxScaleValue>115<", "<MaxScaleValue>2000000000<", "limits"},
		{"gap in the ultimate rates", indian, `<Y t="50">0.004946</Y>`, "", "115 rates"},
		{"two documents", indian, "</XTbML>", "</XTbML><XTbML/>", "second document"},
		{"no number", indian, ">2694<", "><", "TableIdentity"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			file := strings.Replace(tt.file, tt.old, tt.new, 1)
			_, err := premium.ParseXTbML(strings.NewReader(file))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("ParseXTbML = %v, want an error with %q", err, tt.want)
			}
		})
	}
	if _, err := premium.ParseXTbML(strings.NewReader(real + strings.Repeat(" ", 1<<20))); err == nil {
		t.Error("ParseXTbML read more than 1 MiB")
	}
}

const (
	smallSelect = `<XTbML><ContentClassification><TableIdentity>1</TableIdentity><TableName>Small ALB</TableName></ContentClassification>
<Table><MetaData><ScalingFactor>0</ScalingFactor>
<AxisDef><AxisName>Age</AxisName><MinScaleValue>20</MinScaleValue><MaxScaleValue>21</MaxScaleValue><Increment>1</Increment></AxisDef>
<AxisDef><AxisName>Duration</AxisName><MinScaleValue>1</MinScaleValue><MaxScaleValue>2</MaxScaleValue><Increment>1</Increment></AxisDef></MetaData>
<Values><Axis t="20"><Axis><Y t="1">.1</Y><Y t="2">.2</Y></Axis></Axis><Axis t="21"><Axis><Y t="1">.1</Y><Y t="2">.2</Y></Axis></Axis></Values></Table>
` + smallUltimateTable + `</XTbML>`
	smallUltimate      = `<XTbML><ContentClassification><TableIdentity>2</TableIdentity></ContentClassification>` + smallUltimateTable + `</XTbML>`
	smallUltimateTable = `<Table><MetaData><ScalingFactor>0</ScalingFactor>
<AxisDef><AxisName>Age</AxisName><MinScaleValue>22</MinScaleValue><MaxScaleValue>24</MaxScaleValue><Increment>1</Increment></AxisDef></MetaData>
<Values><Axis><Y t="22">.3</Y><Y t="23">.4</Y><Y t="24">1</Y></Axis></Values></Table>`
)

// A table is refused whose last select issue ages are followed by ages that
// have neither select nor ultimate rates.
func TestParseXTbMLRefusesAgesWithoutRates(t *testing.T) {
	if _, err := premium.ParseXTbML(strings.NewReader(smallSelect)); err != nil {
		t.Fatal(err)
	}
	later := strings.NewReplacer(">22<", ">23<", `<Y t="22">.3</Y>`, "").Replace(smallSelect)
	longer := strings.NewReplacer("<MaxScaleValue>2<", "<MaxScaleValue>3<", `<Y t="2">.2</Y>`, `<Y t="2">.2</Y><Y t="3">.2</Y>`).Replace(later)
	for name, file := range map[string]string{"select period": later, "select ages": longer} {
		if _, err := premium.ParseXTbML(strings.NewReader(file)); err == nil || !strings.Contains(err.Error(), "do not follow") {
			t.Errorf("a gap after the %s: %v", name, err)
		}
	}
}

func FuzzParseXTbML(f *testing.F) {
	// Small ones, which the fuzzer can take apart; the real select tables have
	// 88 kB, and kept it at some runs a minute.
	f.Add([]byte(smallSelect))
	f.Add([]byte(smallUltimate))
	f.Add(mustRead(f, "tables/t2694.xml"))
	f.Fuzz(func(t *testing.T, b []byte) {
		table, err := premium.ParseXTbML(bytes.NewReader(b))
		if err != nil {
			return
		}
		// What parses must be whole: a probability at every issue age and in
		// every policy year that the table claims.
		for age := table.MinAge(); age <= table.MaxAge(); age++ {
			for year := 1; age+year-1 <= table.MaxAge(); year++ {
				if q, err := table.Q(age, year); err != nil || !(q >= 0 && q <= 1) {
					t.Fatalf("Q(%d, %d) = %v, %v", age, year, q, err)
				}
			}
		}
	})
}
