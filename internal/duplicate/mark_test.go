package duplicate_test

import (
	"encoding/json"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/agequote/agequote/internal/casefile"
	"github.com/agequote/agequote/internal/digest"
	"github.com/agequote/agequote/internal/duplicate"
	"github.com/agequote/agequote/internal/picturehash"
	"github.com/agequote/agequote/internal/store"
)

var now = time.Date(2026, 11, 25, 9, 0, 0, 0, time.UTC)

// hash returns a hash that only its seed's is near, off by some bits.
func hash(seed uint64, off int) string {
	r := rand.New(rand.NewPCG(seed, 1))
	var h picturehash.Hash
	for w := range h {
		for k := range h[w] {
			h[w][k] = r.Uint64()
		}
	}
	for bit := range off {
		h[0][bit/64] ^= 1 << (bit % 64)
	}
	return h.String()
}

func picture(id string, n int, file string, hash string) duplicate.Picture {
	return duplicate.Picture{Case: id, N: n, Photo: digest.Of([]byte(file)), Hash: hash}
}

// pictures are a batch: b has a's file, c a's picture a little off, d a picture
// of its own, e the picture of d too far off, f is refused, and a sent its own
// file twice.
var pictures = []duplicate.Picture{
	picture("case-a00", 1, "a", hash(1, 0)), picture("case-a00", 2, "a", hash(1, 0)),
	picture("case-b00", 1, "a", hash(1, 0)),
	picture("case-c00", 1, "c", hash(1, picturehash.Threshold)),
	picture("case-d00", 1, "d", hash(2, 0)),
	picture("case-e00", 1, "e", "not a hash"),
	picture("case-e00", 2, "f", hash(2, picturehash.Threshold+1)),
	{Case: "case-f00", N: 1},
	{Case: "case-g00", N: 1},
}

func TestFind(t *testing.T) {
	a1, a2, b, c := pictures[0], pictures[1], pictures[2], pictures[3]
	file, near := casefile.SameFile, casefile.SamePicture
	want := []duplicate.Match{
		{A: a1, B: b, Kind: file}, {A: a1, B: c, Kind: near, Distance: picturehash.Threshold},
		{A: a2, B: b, Kind: file}, {A: a2, B: c, Kind: near, Distance: picturehash.Threshold},
		{A: b, B: c, Kind: near, Distance: picturehash.Threshold},
	}
	for range 5 {
		shuffled := slices.Clone(pictures)
		rand.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		if diff := cmp.Diff(want, duplicate.Find(shuffled)); diff != "" {
			t.Fatalf("(-want +got)\n%s", diff)
		}
	}
}

func marker(s *store.Memory) *duplicate.Marker {
	return &duplicate.Marker{Cases: s, Version: "sha256:code", Now: func() time.Time { return now }}
}

func read(t *testing.T, s *store.Memory, id string) []casefile.Duplicate {
	t.Helper()
	b, err := s.Get(t.Context(), casefile.DuplicatesKey(id, 1), 1<<20)
	if err != nil {
		return nil
	}
	var d casefile.Duplicates
	if err := json.Unmarshal(b, &d); err != nil {
		t.Fatal(err)
	}
	return d.Of
}

// TestBatch has a case outside the batch with a file of it, and one that was
// erased, as its entry was about to be.
func TestBatch(t *testing.T) {
	s := new(store.Memory)
	for _, id := range []string{"outside0", "erased00"} {
		if err := marker(s).File(t.Context(), picture(id, 1, "d", "")); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.PutIfAbsent(t.Context(), casefile.DeletedKey("erased00"), []byte("{}")); err != nil {
		t.Fatal(err)
	}
	for _, p := range pictures {
		if err := marker(s).Enter(t.Context(), p); err != nil {
			t.Fatal(err)
		}
	}
	for _, run := range []string{"first", "again"} {
		n, err := marker(s).Batch(t.Context(), pictures)
		if err != nil || n != 5 {
			t.Fatalf("%s: %d photos have duplicates, %v, want 5", run, n, err)
		}
		file, near := casefile.SameFile, casefile.SamePicture
		for id, want := range map[string][]casefile.Duplicate{
			"case-a00": {{Case: "case-b00", N: 1, Kind: file}, {Case: "case-c00", N: 1, Kind: near, Distance: picturehash.Threshold}},
			"case-b00": {{Case: "case-a00", N: 1, Kind: file}, {Case: "case-a00", N: 2, Kind: file}, {Case: "case-c00", N: 1, Kind: near, Distance: picturehash.Threshold}},
			"case-d00": {{Case: "outside0", N: 1, Kind: file}},
			"case-g00": nil,
		} {
			if diff := cmp.Diff(want, read(t, s, id)); diff != "" {
				t.Errorf("%s, %s (-want +got)\n%s", run, id, diff)
			}
		}
	}
}

// TestBatchErased has a case erased between its reading and the comparison.
func TestBatchErased(t *testing.T) {
	s := new(store.Memory)
	if err := s.PutIfAbsent(t.Context(), casefile.DeletedKey("case-a00"), []byte("{}")); err != nil {
		t.Fatal(err)
	}
	if _, err := marker(s).Batch(t.Context(), pictures); err != nil {
		t.Fatal(err)
	}
	if d := read(t, s, "case-a00"); d != nil {
		t.Errorf("wrote %+v to an erased case", d)
	}
	if d := read(t, s, "case-b00"); len(d) != 1 || d[0].Case != "case-c00" {
		t.Errorf("named %+v, want the case that is not erased", d)
	}
}
