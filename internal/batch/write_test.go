package batch_test

import (
	"bytes"
	"encoding/csv"
	"errors"
	"io"
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
		{Row: 3, Outcome: batch.Failed, Code: string(batch.BadRow), Message: "The line is not UTF-8 text."},
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

// TestFailuresIsAManifest sends a failures table through the reader again, and
// again: mended lines are items, and no column stands twice.
func TestFailuresIsAManifest(t *testing.T) {
	text := header + ",race\n" +
		"customer1,1.jpg,40,male,180,80,never,1000,10,US,,,asian\n" +
		"customer2,2.jpg,40,male,180,80,never,1000,10,US,,,black\n" +
		"customer3,\"3.jpg\n"
	for range 2 {
		r, err := batch.NewReader(strings.NewReader(text))
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
			row := batch.Row{Row: item.Row, Outcome: batch.Failed, Code: "photo_missing", Stage: batch.StagePredict, Tries: 1}
			if item.Case == "customer1" {
				row.Outcome = batch.Quoted
			}
			if err := f.Write(item, row); err != nil {
				t.Fatal(err)
			}
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		text = out.String()
	}
	items := readAll(t, text)
	if len(items) != 2 || items[0].Case != "customer2" || items[0].Problem != nil || items[1].Problem == nil {
		t.Errorf("items %+v of\n%s", items, text)
	}
	if diff := cmp.Diff([]string{"race=black"}, items[0].Groups); diff != "" {
		t.Errorf("groups (-want +got)\n%s", diff)
	}
}
