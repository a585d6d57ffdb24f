package registry_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/agequote/agequote/internal/digest"
	"github.com/agequote/agequote/internal/registry"
	"github.com/agequote/agequote/internal/store"
)

var sample = registry.Package{
	Manifest:  []byte(`{"name":"sample"}`),
	Files:     map[string][]byte{"age.onnx": []byte("network"), "card.md": []byte("card")},
	Published: registry.Published{Name: "sample", Use: "research", Author: "Ada", Time: time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)},
}

var sampleHash = digest.Of(sample.Manifest)

// breaking fails the writes after so many.
type breaking struct {
	*store.Memory
	left int
}

func (b *breaking) PutIfAbsent(ctx context.Context, key string, body []byte) error {
	if b.left--; b.left < 0 {
		return errors.New("connection reset")
	}
	return b.Memory.PutIfAbsent(ctx, key, body)
}

// TestUploadBrokenOff breaks an upload off after each write: the model is there
// only after the last, and a second upload always finishes it.
func TestUploadBrokenOff(t *testing.T) {
	const writes = 4
	for left := range writes + 1 {
		s := &breaking{new(store.Memory), left}
		r := &registry.Registry{Objects: s}
		if _, err := r.Upload(t.Context(), sample); (err == nil) != (left == writes) {
			t.Fatalf("Upload with %d writes: %v", left, err)
		}
		models, err := r.Models(t.Context())
		if whole := left == writes; err != nil || (len(models) == 1) != whole {
			t.Errorf("after %d writes models are %q, %v", left, models, err)
		}
		s.left = writes
		if _, err := r.Upload(t.Context(), sample); err != nil {
			t.Errorf("second upload after %d writes: %v", left, err)
		}
		if models, err := r.Models(t.Context()); err != nil || cmp.Diff([]string{sampleHash}, models) != "" {
			t.Errorf("models after the second upload: %q, %v", models, err)
		}
	}
}

// TestUploadAgain keeps what stands, and who published it first.
func TestUploadAgain(t *testing.T) {
	r := &registry.Registry{Objects: new(store.Memory)}
	again := sample
	again.Author = "Bob"
	for _, p := range []registry.Package{sample, again} {
		got, err := r.Upload(t.Context(), p)
		if err != nil || got.Author != "Ada" || got.Model != sampleHash {
			t.Errorf("Upload by %s = %+v, %v", p.Author, got, err)
		}
	}
}

// blind is a store that may be written and not read.
type blind struct{ *store.Memory }

func (blind) Get(context.Context, string, int64) ([]byte, error) { return nil, store.ErrDenied }

// TestUploadBlind uploads without leave to read: once it works, but what stands
// is not taken for the same.
func TestUploadBlind(t *testing.T) {
	r := &registry.Registry{Objects: blind{new(store.Memory)}}
	if _, err := r.Upload(t.Context(), sample); err != nil {
		t.Errorf("first upload: %v", err)
	}
	if _, err := r.Upload(t.Context(), sample); !errors.Is(err, store.ErrDenied) {
		t.Errorf("second upload: %v, want ErrDenied", err)
	}
}

func TestUploadRefuses(t *testing.T) {
	tests := map[string]struct {
		standing string // of age.onnx
		file     string
		size     int
		want     error
	}{
		"changed":               {standing: "another network", want: registry.ErrChanged},
		"changed, same length":  {standing: "NETWORK", want: registry.ErrChanged},
		"too large":             {file: "large.onnx", size: 200<<20 + 1, want: store.ErrTooLarge},
		"the registry's record": {file: "published.json"},
		"the manifest":          {file: "manifest.json"},
		"another folder":        {file: "../live/000001.json"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := new(store.Memory)
			r := &registry.Registry{Objects: s}
			if tt.standing != "" {
				key := "models/" + strings.TrimPrefix(sampleHash, "sha256:") + "/age.onnx"
				if err := s.PutIfAbsent(t.Context(), key, []byte(tt.standing)); err != nil {
					t.Fatal(err)
				}
			}
			p := sample
			if tt.file != "" {
				p.Files = map[string][]byte{tt.file: make([]byte, tt.size)}
			}
			_, err := r.Upload(t.Context(), p)
			if err == nil || tt.want != nil && !errors.Is(err, tt.want) {
				t.Errorf("Upload = %v, want %v", err, tt.want)
			}
			if models, _ := r.Models(t.Context()); len(models) != 0 {
				t.Error("what was refused is a model")
			}
		})
	}
}

// TestFiles reads a package, and what is not one.
func TestFiles(t *testing.T) {
	s := new(store.Memory)
	r := &registry.Registry{Objects: s}
	if _, err := r.Upload(t.Context(), sample); err != nil {
		t.Fatal(err)
	}
	if got, err := r.Files(t.Context(), sampleHash).ReadFile("age.onnx"); err != nil || string(got) != "network" {
		t.Errorf("ReadFile = %q, %v", got, err)
	}

	false1 := "sha256:" + strings.Repeat("1", 64) // a manifest that is not what its folder says
	if err := s.PutIfAbsent(t.Context(), "models/"+strings.Repeat("1", 64)+"/manifest.json", sample.Manifest); err != nil {
		t.Fatal(err)
	}
	large := "sha256:" + strings.Repeat("2", 64)
	if err := s.PutIfAbsent(t.Context(), "models/"+strings.Repeat("2", 64)+"/manifest.json", make([]byte, 1<<20+1)); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Files(t.Context(), large).ReadFile("manifest.json"); !errors.Is(err, store.ErrTooLarge) {
		t.Errorf("large manifest: %v, want ErrTooLarge", err)
	}
	for name, of := range map[string][2]string{
		"missing file":   {sampleHash, "detector.onnx"},
		"missing model":  {"sha256:" + strings.Repeat("3", 64), "manifest.json"},
		"other manifest": {false1, "manifest.json"},
		"large manifest": {large, "manifest.json"},
		"no hash":        {"../live", "000001.json"},
		"path":           {sampleHash, "../../live/000001.json"},
	} {
		if _, err := r.Files(t.Context(), of[0]).ReadFile(of[1]); !errors.Is(err, registry.ErrBroken) {
			t.Errorf("%s: %v, want ErrBroken", name, err)
		}
	}
}

// move is the n-th record, after the one with that hash.
func move(n int, previous string) registry.Live {
	return registry.Live{N: n, Model: sampleHash, Action: registry.Approved, ApprovedBy: "Bob", Why: "better", Previous: previous}
}

// TestAppendRace lets 40 move the pointer to the same place.
func TestAppendRace(t *testing.T) {
	r := &registry.Registry{Objects: new(store.Memory)}
	var wg sync.WaitGroup
	results := make([]error, 40)
	for i := range results {
		wg.Go(func() { results[i] = r.Append(context.Background(), move(1, "")) })
	}
	wg.Wait()
	won := 0
	for _, err := range results {
		switch {
		case err == nil:
			won++
		case !errors.Is(err, registry.ErrMoved):
			t.Error(err)
		}
	}
	if won != 1 {
		t.Errorf("%d won", won)
	}
}

// TestHistory makes three moves, and then changes the history.
func TestHistory(t *testing.T) {
	s := new(store.Memory)
	r := &registry.Registry{Objects: s}
	hash := ""
	for n := 1; n <= 3; n++ {
		if err := r.Append(t.Context(), move(n, hash)); err != nil {
			t.Fatal(err)
		}
		var err error
		if _, hash, err = r.Record(t.Context(), n); err != nil {
			t.Fatal(err)
		}
	}
	wrong := func() (n []int) {
		lines, err := r.History(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range lines {
			if l.Err != nil {
				n = append(n, l.N)
			}
		}
		return n
	}
	if got := wrong(); got != nil {
		t.Errorf("records %v of a good history are wrong", got)
	}

	const key = "live/000002.json"
	standing, err := s.Get(t.Context(), key, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		body []byte
		want []int
	}{
		"other approver": {bytes.Replace(standing, []byte("Bob"), []byte("Eve"), 1), []int{3}},
		"no record":      {[]byte("{"), []int{2, 3}},
		"other number":   {bytes.Replace(standing, []byte(`"n": 2`), []byte(`"n": 7`), 1), []int{2, 3}},
		"no model":       {bytes.Replace(standing, []byte(sampleHash), []byte("latest"), 1), []int{2, 3}},
		"removed":        {nil, []int{3}},
	} {
		if err := s.Delete(t.Context(), key); err != nil {
			t.Fatal(err)
		}
		if tt.body != nil {
			if err := s.PutIfAbsent(t.Context(), key, tt.body); err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff(tt.want, wrong()); diff != "" {
			t.Errorf("%s (-want +got)\n%s", name, diff)
		}
	}
}

// TestNumbers leaves alone what is no record.
func TestNumbers(t *testing.T) {
	s := new(store.Memory)
	for _, key := range []string{"live/000010.json", "live/000009.json", "live/1000000.json", "live/7.json", "live/000000.json", "live/notes.txt"} {
		if err := s.PutIfAbsent(t.Context(), key, nil); err != nil {
			t.Fatal(err)
		}
	}
	got, err := (&registry.Registry{Objects: s}).Numbers(t.Context())
	if diff := cmp.Diff([]int{9, 10, 1000000}, got); err != nil || diff != "" {
		t.Errorf("Numbers: %v (-want +got)\n%s", err, diff)
	}
}
