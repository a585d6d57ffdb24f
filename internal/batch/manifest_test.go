package batch_test

import (
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/agequote/agequote/internal/batch"
	"github.com/agequote/agequote/internal/casefile"
	"github.com/agequote/agequote/internal/consent"
	"github.com/agequote/agequote/internal/underwriting"
)

const header = "case,photo,age,sex,height_cm,weight_kg,tobacco,sum,term,market,consent_version,consent_time"

// readAll reads a manifest of this header and these lines.
func readAll(t testing.TB, text string) []batch.Item {
	t.Helper()
	r, err := batch.NewReader(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	var items []batch.Item
	for {
		item, err := r.Next()
		if errors.Is(err, io.EOF) {
			return items
		}
		if err != nil {
			t.Fatal(err)
		}
		items = append(items, item)
	}
}

func TestReader(t *testing.T) {
	versions, err := consent.Versions()
	if err != nil {
		t.Fatal(err)
	}
	terms, err := consent.Find(versions[0], 60)
	if err != nil {
		t.Fatal(err)
	}
	// In another order, with a byte order mark, CRLF, quotes, and a group.
	text := "\xef\xbb\xbfphoto,race,case,sum,term,market,age,answers,consent_days,consent_time,consent_version\r\n" +
		"\"a, b/1.jpg\",asian,customer0,250000.50,20,US,42.5,\"stroke=no; diabetes=yes\",60,2026-11-25T09:30:00+01:00," + terms.Version + "\r\n" +
		"\r\n" +
		"2.jpg,,customer1,100,10,US,,,,2026-11-25T09:30:00Z,1999-01-01"
	age := 42.5
	want := []batch.Item{{
		Row: 2, Case: "customer0", N: 1, Photo: "a, b/1.jpg",
		Facts:   underwriting.Facts{Age: &age, SumCents: 25000050, TermYears: 20, Market: "US", Answers: map[string]bool{"stroke": false, "diabetes": true}},
		Consent: terms.Record(time.Date(2026, 11, 25, 8, 30, 0, 0, time.UTC)),
		Groups:  []string{"race=asian"},
		Fields:  []string{"a, b/1.jpg", "asian", "customer0", "250000.50", "20", "US", "42.5", "stroke=no; diabetes=yes", "60", "2026-11-25T09:30:00+01:00", terms.Version},
	}, {
		Row: 4, Case: "customer1", N: 1, Photo: "2.jpg",
		Facts:   underwriting.Facts{SumCents: 10000, TermYears: 10, Market: "US"},
		Consent: nil, // the text is not known
		Fields:  []string{"2.jpg", "", "customer1", "100", "10", "US", "", "", "", "2026-11-25T09:30:00Z", "1999-01-01"},
	}}
	if diff := cmp.Diff(want, readAll(t, text)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestReaderProblems has a bad line between good ones, which stay.
func TestReaderProblems(t *testing.T) {
	const good = "customer1,1.jpg,40,male,180,80,never,1000,10,US,,"
	tests := []struct {
		name, line string
		want       batch.Code
	}{
		{"quote left open", `customer2,"1.jpg,40,male,180,80,never,1000,10,US,,`, batch.BadRow},
		{"quote inside", `customer2,1".jpg,40,male,180,80,never,1000,10,US,,`, batch.BadRow},
		{"too few fields", "customer2,1.jpg", batch.BadRow},
		{"too many fields", good + ",,", batch.BadRow},
		{"no UTF-8", "customer2,\xff.jpg,40,male,180,80,never,1000,10,US,,", batch.BadRow},
		{"zero byte", "customer2,\x00.jpg,40,male,180,80,never,1000,10,US,,", batch.BadRow},
		{"long line", "customer2," + strings.Repeat("x", 3*batch.MaxLine) + ",40,male,180,80,never,1000,10,US,,", batch.BadRow},
		{"same case", good, batch.DuplicateCase},
		{"path for a case", strings.Replace(good, "customer1", "../customer", 1), batch.BadRow},
		{"short case", strings.Replace(good, "customer1", "c", 1), batch.BadRow},
		{"photo outside", strings.Replace(good, "customer1,1.jpg", "customer2,../1.jpg", 1), batch.BadRow},
		{"photo outside by a detour", strings.Replace(good, "customer1,1.jpg", "customer2,a/../../1.jpg", 1), batch.BadRow},
		{"absolute photo", strings.Replace(good, "customer1,1.jpg", "customer2,/etc/passwd", 1), batch.BadRow},
		{"photo with a control character", strings.Replace(good, "customer1,1.jpg", "customer2,\x1b[2J.jpg", 1), batch.BadRow},
		{"no photo", strings.Replace(good, "customer1,1.jpg", "customer2,", 1), batch.BadRow},
		{"age in words", strings.Replace(good, "customer1,1.jpg,40", "customer2,1.jpg,forty", 1), batch.BadRow},
		{"age without end", strings.Replace(good, "customer1,1.jpg,40", "customer2,1.jpg,Inf", 1), batch.BadRow},
		{"sum with a comma", strings.Replace(good, "customer1,1.jpg,40,male,180,80,never,1000", `customer2,1.jpg,40,male,180,80,never,"1,000"`, 1), batch.BadRow},
		{"consent at no time", strings.Replace(good, "customer1", "customer2", 1) + "yesterday", batch.BadRow},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			line := tt.line
			if strings.HasSuffix(line, "yesterday") { // a time counts with a version
				line = strings.Replace(line, "US,,", "US,2026-11-25,", 1)
			}
			items := readAll(t, header+"\n"+good+"\n"+line+"\n"+strings.Replace(good, "customer1", "customer3", 1)+"\n")
			if len(items) != 3 || items[0].Problem != nil || items[2].Problem != nil || items[2].Row != 4 {
				t.Fatalf("read %d items, want 3, the first and the last of them good: %+v", len(items), items)
			}
			p := items[1].Problem
			if p == nil || p.Code != tt.want {
				t.Fatalf("problem %+v, want %s", p, tt.want)
			}
			if p.Sentence == "" || strings.Contains(p.Sentence, "forty") || strings.Contains(p.Sentence, "customer") {
				t.Errorf("sentence %q", p.Sentence)
			}
		})
	}
}

// letters is a line that does not end.
type letters struct{}

func (letters) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = 'x'
	}
	return len(b), nil
}

// TestReaderLongLine has a line of two gigabytes between good ones, in little
// memory.
func TestReaderLongLine(t *testing.T) {
	const good = "customer1,1.jpg,40,male,180,80,never,1000,10,US,,\n"
	r, err := batch.NewReader(io.MultiReader(strings.NewReader(header+"\n"+good), io.LimitReader(letters{}, 2<<30),
		strings.NewReader("\n"+strings.Replace(good, "customer1", "customer2", 1))))
	if err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for i, bad := range []bool{false, true, false} {
		item, err := r.Next()
		if err != nil || (item.Problem != nil) != bad {
			t.Fatalf("item %d: %+v, %v", i, item.Problem, err)
		}
	}
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; used > 1<<20 {
		t.Errorf("reading took %d KB", used>>10)
	}
}

func TestReaderHeader(t *testing.T) {
	for name, text := range map[string]string{
		"nothing":         "",
		"a column twice":  "case,photo,sum,term,market,case\n",
		"no name":         "case,photo,sum,term,market,\n",
		"semicolons":      "case;photo;sum;term;market\n",
		"a formula":       "case,photo,sum,term,market,=cmd|' /C calc'!A0\n",
		"a column misses": "case,photo,sum,term\n",
		"too long":        "case,photo,sum,term,market," + strings.Repeat("x", batch.MaxLine) + "\n",
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := batch.NewReader(strings.NewReader(text)); err == nil {
				t.Error("was taken")
			}
		})
	}
}

// FuzzReader looks for manifests that crash, lose a line, or let a photo or a
// case out of its folder.
func FuzzReader(f *testing.F) {
	f.Add("customer0,1.jpg,40,male,180,80,never,1000,10,US,2026-11-25,2026-11-25T09:30:00Z\n")
	f.Add("customer0,\"a\nb\",../x\r\n\n,,,,,\"\"\"")
	f.Add("\xef\xbb\xbf\x00")
	f.Fuzz(func(t *testing.T, lines string) {
		r, err := batch.NewReader(strings.NewReader(header + "\n" + lines))
		if err != nil {
			t.Fatal(err)
		}
		listed, seen := 0, map[string]bool{}
		for {
			item, err := r.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			listed++
			if item.Problem != nil {
				continue
			}
			if !casefile.ValidID(item.Case) || seen[item.Case] || strings.Contains(item.Photo, "..") && escapes(item.Photo) {
				t.Errorf("took %+v", item)
			}
			seen[item.Case] = true
		}
		want := 0
		for line := range strings.SplitSeq(lines, "\n") {
			if strings.TrimSuffix(line, "\r") != "" {
				want++
			}
		}
		if listed != want {
			t.Errorf("%d items of %d lines", listed, want)
		}
	})
}

// escapes is the slow, plain way to see that a path leaves its folder.
func escapes(p string) bool {
	depth := 0
	for part := range strings.SplitSeq(p, "/") {
		if part == ".." {
			if depth--; depth < 0 {
				return true
			}
		} else {
			depth++
		}
	}
	return false
}
