package intake_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/agequote/agequote/internal/batch"
	"github.com/agequote/agequote/internal/casefile"
	"github.com/agequote/agequote/internal/cases"
	"github.com/agequote/agequote/internal/consent"
	"github.com/agequote/agequote/internal/digest"
	"github.com/agequote/agequote/internal/intake"
	"github.com/agequote/agequote/internal/store"
)

var started = time.Date(2026, 11, 25, 4, 0, 0, 0, time.UTC)

// pictures are the photos beside a manifest.
type pictures map[string]string

func (p pictures) Check(photo string) batch.Code {
	if _, ok := p[photo]; !ok {
		return batch.PhotoMissing
	}
	return ""
}

func (p pictures) GetVersion(_ context.Context, photo, _ string, _ int64) ([]byte, error) {
	return []byte(p[photo]), nil
}

type world struct {
	*intake.Intake
	cases, uploads *store.Memory
	mu             sync.Mutex
	told           []string
}

func newWorld() *world {
	w := &world{cases: new(store.Memory), uploads: new(store.Memory)}
	w.Intake = &intake.Intake{
		Cases: w.cases, Uploads: w.uploads, UploadsBucket: "uploads",
		Images:  pictures{"1.jpg": "one", "2.jpg": "two"},
		Version: "sha256:code", Now: func() time.Time { return started },
		Brought: func(code batch.Code) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.told = append(w.told, string(code))
		},
	}
	return w
}

func line(id, photo, sum string) string {
	terms, err := consent.Current(30)
	if err != nil {
		panic(err)
	}
	return fmt.Sprintf("%s,%s,41,female,170,65,never,%s,20,US,%s,2026-11-25T03:00:00Z\n", id, photo, sum, terms.Version)
}

const header = "case,photo,age,sex,height_cm,weight_kg,tobacco,sum,term,market,consent_version,consent_time\n"

func about(text string) batch.About {
	return batch.About{Schema: 1, ID: "renewals", Manifest: digest.Of([]byte(text)), Listed: strings.Count(text, "\n") - 1, Started: started}
}

// dump is every object with its bytes; the versions of photos too.
func (w *world) dump(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	for name, s := range map[string]*store.Memory{"cases": w.cases, "uploads": w.uploads} {
		versions, err := s.Versions(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range versions {
			body, err := s.GetVersion(t.Context(), v.Key, v.ID, 1<<20)
			if err != nil {
				t.Fatal(err)
			}
			out[name+"/"+v.Key+"?"+v.ID] = string(body)
		}
	}
	return out
}

func (w *world) uploadsOf(t *testing.T) []batch.Upload {
	t.Helper()
	body, err := w.cases.Get(t.Context(), batch.Key("renewals", batch.ItemsName), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	var out []batch.Upload
	if err := batch.ReadUploads(bytes.NewReader(body), func(_ int, u batch.Upload) error { out = append(out, u); return nil }); err != nil {
		t.Fatal(err)
	}
	return out
}

// TestManifest brings a manifest twice: good lines, and one of each kind that is
// no item. The second time changes nothing.
func TestManifest(t *testing.T) {
	w := newWorld()
	body, _ := cases.Encode(casefile.Application{Schema: 1, Case: "customer3", N: 1})
	for key, b := range map[string][]byte{casefile.ApplicationKey("customer3", 1): body, casefile.DeletedKey("customer4"): []byte("{}")} {
		if err := w.cases.PutIfAbsent(t.Context(), key, b); err != nil {
			t.Fatal(err)
		}
	}
	text := header + line("customer1", "1.jpg", "1000") + line("customer2", "2.jpg", "2000") +
		line("customer3", "1.jpg", "1000") + line("customer4", "1.jpg", "1000") + line("customer5", "3.jpg", "1000") + "torn\n"
	var before map[string]string
	for range 2 {
		n, err := w.Manifest(t.Context(), about(text), []byte(text))
		if err != nil || n != 2 {
			t.Fatalf("%d items, %v", n, err)
		}
		if before == nil {
			before = w.dump(t)
		}
	}
	if diff := cmp.Diff(before, w.dump(t)); diff != "" {
		t.Errorf("the second time changed\n%s", diff)
	}
	uploads := w.uploadsOf(t)
	if len(uploads) != 2 || uploads[0].Case != "customer1" || uploads[1].Key != "batch-uploads/customer2/0001" || uploads[1].Version == "" || uploads[1].Bucket != "uploads" {
		t.Errorf("items %+v", uploads)
	}
	var excluded batch.Excluded
	if err := json.Unmarshal([]byte(before["cases/"+batch.Key("renewals", batch.ExcludedName)+"?"+w.id(t, batch.ExcludedName)]), &excluded); err != nil {
		t.Fatal(err)
	}
	got := map[int]batch.Code{}
	for row, p := range excluded {
		if got[row] = p.Code; p.Sentence == "" {
			t.Errorf("line %d has no sentence", row)
		}
	}
	if diff := cmp.Diff(map[int]batch.Code{4: batch.CaseExists, 5: batch.Erased, 6: batch.PhotoMissing}, got); diff != "" {
		t.Errorf("excluded (-want +got)\n%s", diff)
	}
	told := slices.Sorted(slices.Values(w.told[:6]))
	if diff := cmp.Diff([]string{"", "", "bad_row", "case_exists", "erased", "photo_missing"}, told); diff != "" {
		t.Errorf("told (-want +got)\n%s", diff)
	}
	if _, err := w.Manifest(t.Context(), about(text+line("customer6", "1.jpg", "1")), nil); !errors.Is(err, intake.ErrOtherBatch) {
		t.Errorf("another manifest under the name: %v", err)
	}
	for key := range maps.Keys(before) {
		if strings.Contains(key, "customer4/application") || strings.Contains(key, "customer5/0001") {
			t.Errorf("wrote %s", key)
		}
	}
}

func (w *world) id(t *testing.T, name string) string {
	t.Helper()
	versions, err := w.cases.Versions(t.Context(), batch.Key("renewals", name))
	if err != nil || len(versions) != 1 {
		t.Fatalf("%s has %d versions, %v", name, len(versions), err)
	}
	return versions[0].ID
}

// TestMendedPhoto brings another photo for the same line: it counts where
// nothing was made of the first, and never else.
func TestMendedPhoto(t *testing.T) {
	for _, read := range []bool{false, true} {
		w := newWorld()
		text := header + line("customer1", "1.jpg", "1000")
		if _, err := w.Manifest(t.Context(), about(text), []byte(text)); err != nil {
			t.Fatal(err)
		}
		if read {
			if err := w.cases.PutIfAbsent(t.Context(), casefile.EstimateKey("customer1", 1), []byte("{}")); err != nil {
				t.Fatal(err)
			}
		}
		w.Images = pictures{"1.jpg": "mended"}
		again := about(text)
		again.ID = "renewals-again"
		if _, err := w.Manifest(t.Context(), again, []byte(text)); err != nil {
			t.Fatal(err)
		}
		got, err := w.uploads.Get(t.Context(), casefile.BatchUploadKey("customer1", 1), 100)
		want := map[bool]string{false: "mended", true: "one"}[read]
		if err != nil || string(got) != want {
			t.Errorf("read %t: the photo is %q, %v, want %q", read, got, err, want)
		}
	}
}

func TestUploads(t *testing.T) {
	s := new(store.Memory)
	for _, key := range []string{"uploads/customer2/0002", "uploads/customer1/0001", "uploads/readme.txt", "uploads/customer3/0001"} {
		if err := s.Overwrite(t.Context(), key, []byte("photo")); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Overwrite(t.Context(), "uploads/customer1/0001", []byte("again")); err != nil {
		t.Fatal(err)
	}
	if err := s.Delete(t.Context(), "uploads/customer3/0001"); err != nil {
		t.Fatal(err)
	}
	got, err := intake.Uploads(t.Context(), "b", s, "uploads/")
	if err != nil {
		t.Fatal(err)
	}
	want := []batch.Upload{
		{Case: "customer1", N: 1, Bucket: "b", Key: "uploads/customer1/0001", Version: "5"},
		{Case: "customer2", N: 2, Bucket: "b", Key: "uploads/customer2/0002", Version: "1"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
