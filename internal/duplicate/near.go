package duplicate

import (
	"math/bits"
	"runtime"
	"slices"
	"sync"

	"github.com/agequote/agequote/internal/picturehash"
)

// pair is two hashes that lie near each other, a before b.
type pair struct{ a, b, distance int }

// chunks is into how many parts of 16 bits a window's 256 are divided. Of two
// windows that differ in d bits, some chunk differs in at most d/16: the tables
// are probed with every value so close to the one that is looked for. It finds
// what comparing all with all finds (Norouzi, Punjani and Fleet 2012, "Fast
// search in Hamming space with multi-index hashing").
const chunks = picturehash.Bits / 16

// near returns every pair of hashes within the threshold, ordered. Its memory
// is some 500 bytes a hash, and its result the same for any number of workers.
func near(hashes []picturehash.Hash, threshold int) []pair {
	if len(hashes) < 2 {
		return nil
	}
	best := map[[2]int]int{}
	var mu sync.Mutex
	table := newTable(hashes)
	for chunk := range chunks {
		// Refined pigeonhole: where the threshold is 16 r + s, differing in
		// more than r bits in the first s+1 chunks and in r or more in all the
		// others makes more than the threshold.
		radius := threshold / chunks
		if chunk > threshold%chunks {
			radius--
		}
		if radius < 0 {
			continue
		}
		table.fill(chunk)
		masks := within(radius)
		workers := runtime.GOMAXPROCS(0)
		var wg sync.WaitGroup
		for w := range workers {
			wg.Go(func() {
				var found []pair
				for i := w; i < len(hashes); i += workers {
					found = table.probe(found, i, chunk, masks, threshold)
				}
				mu.Lock()
				defer mu.Unlock()
				for _, p := range found {
					key := [2]int{p.a, p.b}
					if d, ok := best[key]; !ok || p.distance < d {
						best[key] = p.distance
					}
				}
			})
		}
		wg.Wait()
	}
	out := make([]pair, 0, len(best))
	for key, d := range best {
		out = append(out, pair{key[0], key[1], d})
	}
	slices.SortFunc(out, func(x, y pair) int {
		if x.a != y.a {
			return x.a - y.a
		}
		return x.b - y.b
	})
	return out
}

// table finds windows by one chunk at a time.
type table struct {
	hashes []picturehash.Hash
	start  []uint32 // of each chunk value's entries
	entry  []entry
}

// entry is a window with its higher frequencies beside it: they alone tell most
// apart, and lie where the search reads on.
type entry struct {
	high [2]uint64
	at   uint32 // hash*Windows + window
}

func newTable(hashes []picturehash.Hash) *table {
	return &table{
		hashes: hashes,
		start:  make([]uint32, 1<<16+1),
		entry:  make([]entry, len(hashes)*picturehash.Windows),
	}
}

// fill sorts all windows by the value of a chunk.
func (t *table) fill(chunk int) {
	clear(t.start)
	for i := range t.hashes {
		for w := range t.hashes[i] {
			t.start[int(value(&t.hashes[i][w], chunk))+1]++
		}
	}
	for v := 1; v < len(t.start); v++ {
		t.start[v] += t.start[v-1]
	}
	next := slices.Clone(t.start)
	for i := range t.hashes {
		for w := range t.hashes[i] {
			window := &t.hashes[i][w]
			v := value(window, chunk)
			t.entry[next[v]] = entry{[2]uint64{window[2], window[3]}, uint32(i*picturehash.Windows + w)}
			next[v]++
		}
	}
}

// probe looks for the windows near the whole picture i and near its mirror
// image, and appends what lies within the threshold.
func (t *table) probe(found []pair, i, chunk int, masks []uint16, threshold int) []pair {
	whole := t.hashes[i][0]
	for _, looked := range [2]picturehash.Window{whole, whole.Mirror()} {
		v := value(&looked, chunk)
		for _, mask := range masks {
			at := v ^ mask
			entries := t.entry[t.start[at]:t.start[int(at)+1]]
			for k := range entries {
				e := &entries[k]
				if bits.OnesCount64(e.high[0]^looked[2])+bits.OnesCount64(e.high[1]^looked[3]) > threshold {
					continue
				}
				j, w := int(e.at)/picturehash.Windows, int(e.at)%picturehash.Windows
				if j == i {
					continue
				}
				if d := looked.Distance(t.hashes[j][w]); d <= threshold {
					found = append(found, pair{min(i, j), max(i, j), d})
				}
			}
		}
	}
	return found
}

// value returns a chunk of a window: every sixteenth bit, so that each chunk
// has low and high frequencies, and none few values alone.
func value(w *picturehash.Window, chunk int) uint16 {
	var v uint16
	for i, word := range w {
		v |= uint16(gather(word>>chunk)) << (4 * i)
	}
	return v
}

// gather puts bits 0, 16, 32 and 48 next to each other.
func gather(word uint64) uint64 {
	const every16 = 0x0001_0001_0001_0001
	// The product adds the four bits up at places 48 to 51.
	return (word & every16) * 0x0001_0002_0004_0008 >> 48 & 0xf
}

// within returns every mask of at most radius bits.
func within(radius int) (masks []uint16) {
	for m := range 1 << 16 {
		if bits.OnesCount16(uint16(m)) <= radius {
			masks = append(masks, uint16(m))
		}
	}
	return masks
}
