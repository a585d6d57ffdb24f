package batch_test

import (
	"bytes"
	"encoding/csv"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/parquet-go/parquet-go"

	"github.com/agequote/agequote/internal/batch"
)

func TestTable(t *testing.T) {
	age, cents := 41.25, int64(12345)
	rows := []batch.Row{
		{Row: 2, Case: "customer0", Photo: "a, \"b\".jpg", Outcome: batch.Quoted, Code: "ok", Age: &age, GrossCents: &cents, MS: 31},
		{Row: 3, Photo: "=1+1.jpg", Outcome: batch.Failed, Code: string(batch.BadRow), Message: "The line is not UTF-8 text."},
	}
	var text, columns bytes.Buffer
	table, err := batch.NewTable(&text, &columns)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		if err := table.Write(r); err != nil {
			t.Fatal(err)
		}
	}
	if err := table.Close(); err != nil {
		t.Fatal(err)
	}

	got, err := parquet.Read[batch.Row](bytes.NewReader(columns.Bytes()), int64(columns.Len()))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(rows, got); diff != "" {
		t.Errorf("Parquet (-want +got)\n%s", diff)
	}
	records, err := csv.NewReader(&text).ReadAll()
	if err != nil || len(records) != 3 {
		t.Fatalf("CSV: %d records, %v", len(records), err)
	}
	if !slices.Contains(records[2], "'=1+1.jpg") {
		t.Errorf("CSV: %q begins with what a spreadsheet runs", records[2])
	}
	byName := map[string]string{}
	for i, name := range records[0] {
		byName[name] = records[1][i]
	}
	for name, want := range map[string]string{"case": "customer0", "photo": rows[0].Photo, "age": "41.25", "low": "", "gross_annual_cents": "12345", "outcome": "quoted"} {
		if byName[name] != want {
			t.Errorf("CSV: %s is %q, want %q", name, byName[name], want)
		}
	}
}

// failuresOf is the failures table of a manifest whose items came to these rows.
func failuresOf(t *testing.T, manifest string, came func(batch.Item) batch.Row) string {
	t.Helper()
	r, err := batch.NewReader(strings.NewReader(manifest))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	f, err := batch.NewFailures(&out, r.Header())
	if err != nil {
		t.Fatal(err)
	}
	for {
		item, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Write(item, came(item)); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// TestFailuresHoldNoFormulas has lines that a spreadsheet would run, and looks
// for what the table makes of them. A number stays one, and what is run again is
// what the manifest held.
func TestFailuresHoldNoFormulas(t *testing.T) {
	text := header + ",race\n" +
		"=cmd|' /C calc'!A0,@x.jpg,-40,male,180,80,never,1000,10,US,,,+race\n" +
		"customer2,@x.jpg,-40,male,180,80,never,1000,10,US,,,+race\n" +
		"=HYPERLINK(\"http\n"
	for range 2 {
		first, n := text, 0
		text = failuresOf(t, text, func(item batch.Item) batch.Row {
			if n++; item.Case == "customer2" && (item.Photo != "@x.jpg" || *item.Facts.Age != -40 || item.Groups[0] != "race=+race") {
				t.Errorf("read as %+v", item)
			}
			return batch.Row{Row: item.Row, Outcome: batch.Failed}
		})
		if n != 3 {
			t.Fatalf("%d items, want 3", n)
		}
		records, err := csv.NewReader(strings.NewReader(text)).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		for _, record := range records {
			for _, field := range record {
				if field != "-40" && strings.IndexAny(field, "=+-@") == 0 {
					t.Errorf("field %q of the failures of\n%s", field, first)
				}
			}
		}
	}
}

// TestFailuresIsAManifest sends a failures table through the reader again, and
// again: mended lines are items, and no column stands twice.
func TestFailuresIsAManifest(t *testing.T) {
	text := header + ",race\n" +
		"customer1,1.jpg,40,male,180,80,never,1000,10,US,,,asian\n" +
		"customer2,2.jpg,40,male,180,80,never,1000,10,US,,,black\n" +
		"customer3,\"3.jpg\n"
	for range 2 {
		text = failuresOf(t, text, func(item batch.Item) batch.Row {
			row := batch.Row{Row: item.Row, Outcome: batch.Failed, Code: "photo_missing", Stage: batch.StagePredict, Tries: 1}
			if item.Case == "customer1" {
				row.Outcome = batch.Quoted
			}
			return row
		})
	}
	items := readAll(t, text)
	if len(items) != 2 || items[0].Case != "customer2" || items[0].Problem != nil || items[1].Problem == nil {
		t.Errorf("items %+v of\n%s", items, text)
	}
	if diff := cmp.Diff([]string{"race=black"}, items[0].Groups); diff != "" {
		t.Errorf("groups (-want +got)\n%s", diff)
	}
}
