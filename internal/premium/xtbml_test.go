package premium_test

import (
	"bytes"
	"io/fs"
	"strings"
	"testing"

	"github.com/agequote/agequote/internal/premium"
	"github.com/agequote/agequote/rules"
)

// mustTable parses one of the project's tables.
func mustTable(tb testing.TB, number string) *premium.Table {
	tb.Helper()
	table, err := premium.ParseXTbML(bytes.NewReader(mustRead(tb, "tables/t"+number+".xml")))
	if err != nil {
		tb.Fatal(err)
	}
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

func FuzzParseXTbML(f *testing.F) {
	for _, name := range []string{"tables/t2694.xml", "tables/t3269.xml"} {
		f.Add(mustRead(f, name))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		table, err := premium.ParseXTbML(bytes.NewReader(b))
		if err != nil {
			return
		}
		// What parses must be whole: a probability at every age and duration
		// that the table claims.
		for age := table.MinAge(); age <= table.MaxAge(); age++ {
			for d := 1; age+d-1 <= table.MaxAge(); d++ {
				if q, err := table.Q(age, d); err == nil && !(q >= 0 && q <= 1) {
					t.Fatalf("Q(%d, %d) = %v", age, d, q)
				}
			}
		}
	})
}
