package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"hash/fnv"
	"image"
	"image/jpeg"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/agequote/agequote/internal/duplicate"
	"github.com/agequote/agequote/internal/face"
	"github.com/agequote/agequote/internal/picturehash"
)

// photo is one picture with its hashes, one of each method.
type photo struct {
	file, group string // of UTKFace; the group is the subject, for FG-NET
	half        int
	hashes      []any
	copies      [][]any // by change, then method; nil where none were made
}

// pairCount is of different photos, by distance.
type pairCount [257]int

type study struct {
	faces, selfies string
	copies         int
	log            io.Writer

	photos, people []*photo
	selfie         []*photo
	Out            output
}

// output is what the page shows.
type output struct {
	Machine, Took string
	Photos, Pairs int // of UTKFace, in each half: photos, pairs of different groups
	Same          int // pairs of one group in the half reported on
	Copies        int
	Threshold     int // in use
	Chosen        int // by this run, on the first half
	Methods       []methodRow
	Changes       []changeRow
	Counts        []countRow
	Rate, High    string // false alarms a pair in the second half, and its upper limit
	FalseAlarms   int
	Both          int // false alarms in both halves
	BothPairs     int
	Batch         []batchRow
	People        peopleRow
	Find          []findRow
	// None is the upper limit of false alarms among 10,000 photos if every pair
	// that counts as one is one picture after all.
	None   string
	HashUS string
}

type methodRow struct {
	Name       string
	Bits       int
	Chosen     int
	Alarms     int
	Recall     string
	Copies     string
	EasyCopies string
}

type changeRow struct{ Name, Recall, Interval, Median, Selfies string }
type countRow struct{ Distance, First, Second, Same int }
type batchRow struct{ Photos, Pairs, Expected, Upper string }
type peopleRow struct {
	Photos, SamePairs, OtherPairs, SameNear, OtherNear int
	AUC, Low, High                                     string
}
type findRow struct {
	Photos int
	Took   string
}

func (s *study) run(ctx context.Context) error {
	if err := s.read(); err != nil {
		return err
	}
	fmt.Fprintf(s.log, "%d photos of UTKFace, %d of FG-NET, %d selfies\n", len(s.photos), len(s.people), len(s.selfie))
	if err := s.hash(ctx); err != nil {
		return err
	}
	return s.measure()
}

// read lists the photos. A half is drawn by the group, so that no group is in
// both.
func (s *study) read() error {
	f, err := os.Open(filepath.Join(s.faces, "folds.tsv"))
	if err != nil {
		return err
	}
	defer f.Close()
	r := csv.NewReader(bufio.NewReader(f))
	r.Comma = '\t'
	rows, err := r.ReadAll()
	if err != nil {
		return fmt.Errorf("read folds.tsv: %w", err)
	}
	for _, row := range rows[1:] {
		if row[3] == "unusable" {
			continue
		}
		h := fnv.New32a()
		h.Write([]byte(row[1]))
		s.photos = append(s.photos, &photo{file: filepath.Join(s.faces, "utkface", row[0]), group: row[1], half: int(h.Sum32()>>7) % 2})
	}
	people, err := filepath.Glob(filepath.Join(s.faces, "fgnet", "*.JPG"))
	if err != nil {
		return err
	}
	for _, p := range people {
		s.people = append(s.people, &photo{file: p, group: filepath.Base(p)[:3]})
	}
	selfies, err := filepath.Glob(filepath.Join(s.selfies, "*.*g"))
	if err != nil {
		return err
	}
	for _, p := range selfies {
		s.selfie = append(s.selfie, &photo{file: p, group: p})
	}
	return nil
}

// hash reads every photo once, and makes copies of the first of each half.
func (s *study) hash(ctx context.Context) error {
	order := rand.New(rand.NewPCG(7, 2026)).Perm(len(s.photos))
	copied, made := map[int]bool{}, [2]int{}
	for _, i := range order {
		if h := s.photos[i].half; made[h] < s.copies {
			made[h]++
			copied[i] = true
		}
	}
	group, _ := errgroup.WithContext(ctx)
	group.SetLimit(runtime.NumCPU())
	var mu sync.Mutex
	var missing int
	var spent time.Duration
	var timed int
	for i, p := range slices.Concat(s.photos, s.people, s.selfie) {
		group.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			took, err := p.read(copied[i] || i >= len(s.photos)+len(s.people), uint64(i))
			mu.Lock()
			defer mu.Unlock()
			if errors.Is(err, os.ErrNotExist) {
				missing++
				return nil
			}
			spent += took
			timed++
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	gone := func(p *photo) bool { return p.hashes == nil }
	s.photos, s.people = slices.DeleteFunc(s.photos, gone), slices.DeleteFunc(s.people, gone)
	s.Out.HashUS = fmt.Sprintf("%.0f", float64(spent.Microseconds())/float64(timed))
	fmt.Fprintf(s.log, "%s, %d copied, %d files of the list are not there\n", time.Now().Format(time.TimeOnly), made[0]+made[1], missing)
	return nil
}

// read hashes one photo, and copies of it. It returns how long the hash in use
// took.
func (p *photo) read(copies bool, seed uint64) (time.Duration, error) {
	raw, err := os.ReadFile(p.file)
	if err != nil {
		return 0, err
	}
	limits := face.DefaultLimits
	limits.MinSide = 50
	pic, err := face.Decode(raw, limits)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", filepath.Base(p.file), err)
	}
	var took time.Duration
	p.hashes, took = hashes(pic.Small())
	if !copies {
		return took, nil
	}
	var img image.Image
	if w, h := pic.Size(); w == 200 && h == 200 {
		if img, err = jpeg.Decode(bytes.NewReader(raw)); err != nil {
			return 0, err
		}
	} else {
		img = pic.Region(image.Rect(0, 0, w, h), 1)
	}
	r := rand.New(rand.NewPCG(seed, 1))
	for _, c := range changes {
		h, _ := hashes(face.NewPicture(c.make(img, r)).Small())
		p.copies = append(p.copies, h)
	}
	return took, nil
}

func hashes(small *image.RGBA) ([]any, time.Duration) {
	started := time.Now()
	h := picturehash.Of(small)
	took := time.Since(started)
	luma := lumaOf(small)
	out := make([]any, len(methods))
	for i, m := range methods {
		out[i] = m.of(h, luma)
	}
	return out, took
}

// pairs counts the pairs of one half by distance, of the same group and of
// different ones.
func (s *study) pairs(m, half int) (same, other pairCount) {
	var in []*photo
	for _, p := range s.photos {
		if p.half == half {
			in = append(in, p)
		}
	}
	workers := runtime.NumCPU()
	var wg sync.WaitGroup
	var mu sync.Mutex
	for w := range workers {
		wg.Go(func() {
			var a, b pairCount
			for i := w; i < len(in); i += workers {
				for _, q := range in[i+1:] {
					d := methods[m].dist(in[i].hashes[m], q.hashes[m])
					if in[i].group == q.group {
						a[d]++
					} else {
						b[d]++
					}
				}
			}
			mu.Lock()
			defer mu.Unlock()
			for d := range a {
				same[d] += a[d]
				other[d] += b[d]
			}
		})
	}
	wg.Wait()
	return same, other
}

// upTo returns how many pairs are at most so far apart.
func (c pairCount) upTo(d int) (n int) {
	for _, k := range c[:d+1] {
		n += k
	}
	return n
}

// aim is the rate of false alarms, a pair, at which the threshold is chosen:
// one in a batch of 10,000 photos.
const aim = 1 / (1e4 * (1e4 - 1) / 2)

// choose returns the largest threshold at which the rate is not above the aim.
func (c pairCount) choose() int {
	all := float64(c.upTo(256))
	best := 0
	for d := range c {
		if float64(c.upTo(d)) > aim*all {
			break
		}
		best = d
	}
	return best
}

func (s *study) measure() error {
	o := &s.Out
	o.Threshold = picturehash.Threshold
	for m := range methods {
		fmt.Fprintf(s.log, "%s\n", methods[m].Name)
		_, first := s.pairs(m, 0)
		same, second := s.pairs(m, 1)
		t := first.choose()
		row := methodRow{Name: methods[m].Name, Bits: methods[m].Bits, Chosen: t, Alarms: second.upTo(t), Recall: percent(same.upTo(t), same.upTo(256))}
		hit, n, easy, easyN := 0, 0, 0, 0
		for _, p := range s.photos {
			if p.half != 1 || p.copies == nil {
				continue
			}
			for c := range changes {
				found := methods[m].dist(p.hashes[m], p.copies[c][m]) <= t
				n++
				if found {
					hit++
				}
				if !strings.Contains(changes[c].Name, "crop") && !strings.Contains(changes[c].Name, "turned") && !strings.Contains(changes[c].Name, "mirrored") {
					easyN++
					if found {
						easy++
					}
				}
			}
		}
		row.Copies, row.EasyCopies = percent(hit, n), percent(easy, easyN)
		o.Methods = append(o.Methods, row)
		if m == 0 {
			s.inUse(first, second, same)
		}
	}
	s.byChange()
	s.byPerson()
	s.timeFind()
	return nil
}

// inUse fills in what the page says of the method in use, at the threshold in
// use.
func (s *study) inUse(first, second, same pairCount) {
	o := &s.Out
	o.Chosen = first.choose()
	for _, p := range s.photos {
		if p.half == 1 {
			o.Photos++
		}
	}
	o.Pairs, o.Same = second.upTo(256), same.upTo(256)
	o.FalseAlarms = second.upTo(o.Threshold)
	o.Both, o.BothPairs = o.FalseAlarms+first.upTo(o.Threshold), o.Pairs+first.upTo(256)
	for d := 20; d <= 64; d += 4 {
		o.Counts = append(o.Counts, countRow{d, first.upTo(d), second.upTo(d), same.upTo(d)})
	}
	rate := float64(o.FalseAlarms) / float64(o.Pairs)
	high := poissonUpper(o.FalseAlarms) / float64(o.Pairs)
	o.Rate, o.High = fmt.Sprintf("%.1e", rate), fmt.Sprintf("%.1e", high)
	const pairs10k = 1 / aim
	o.None = fmt.Sprintf("%.2g", poissonUpper(0)/float64(o.Pairs)*pairs10k)
	for _, n := range []float64{1000, 10_000, 100_000} {
		pairs := n * (n - 1) / 2
		o.Batch = append(o.Batch, batchRow{fmt.Sprintf("%.0f", n), fmt.Sprintf("%.3g", pairs), fmt.Sprintf("%.2g", rate*pairs), fmt.Sprintf("%.2g", high*pairs)})
	}
}

func (s *study) byChange() {
	o := &s.Out
	for c, change := range changes {
		var distances []int
		for _, p := range s.photos {
			if p.half == 1 && p.copies != nil {
				distances = append(distances, methods[0].dist(p.hashes[0], p.copies[c][0]))
			}
		}
		slices.Sort(distances)
		hit := 0
		for _, d := range distances {
			if d <= o.Threshold {
				hit++
			}
		}
		var selfies []string
		for _, p := range s.selfie {
			selfies = append(selfies, fmt.Sprint(methods[0].dist(p.hashes[0], p.copies[c][0])))
		}
		o.Copies = len(distances)
		low, high := wilson(hit, len(distances))
		o.Changes = append(o.Changes, changeRow{change.Name, percent(hit, len(distances)),
			fmt.Sprintf("%.1f to %.1f%%", 100*low, 100*high), fmt.Sprint(distances[len(distances)/2]), strings.Join(selfies, ", ")})
	}
}

// byPerson asks whether the hash tells people apart: the share of pairs of
// photos of one person that lie nearer than a pair of two people.
func (s *study) byPerson() {
	var same, other []float64
	r := &s.Out.People
	r.Photos = len(s.people)
	bySubject := map[string][]float64{} // AUC of each subject, for the interval
	for i, p := range s.people {
		for _, q := range s.people[i+1:] {
			d := methods[0].dist(p.hashes[0], q.hashes[0])
			if p.group == q.group {
				same = append(same, float64(d))
				if d <= s.Out.Threshold {
					r.SameNear++
				}
			} else {
				other = append(other, float64(d))
				if d <= s.Out.Threshold {
					r.OtherNear++
				}
			}
		}
	}
	r.SamePairs, r.OtherPairs = len(same), len(other)
	slices.Sort(other)
	share := func(d float64) float64 {
		below, _ := slices.BinarySearch(other, d)
		upTo, _ := slices.BinarySearch(other, d+.5)
		return 1 - (float64(below)+float64(upTo))/2/float64(len(other))
	}
	for i, p := range s.people {
		for _, q := range s.people[i+1:] {
			if p.group == q.group {
				bySubject[p.group] = append(bySubject[p.group], share(float64(methods[0].dist(p.hashes[0], q.hashes[0]))))
			}
		}
	}
	var subjects [][]float64
	for _, v := range bySubject {
		subjects = append(subjects, v)
	}
	slices.SortFunc(subjects, slices.Compare)
	mean := func(pick func(int) []float64) float64 {
		sum, n := 0.0, 0.0
		for i := range subjects {
			for _, v := range pick(i) {
				sum += v
				n++
			}
		}
		return sum / n
	}
	rng := rand.New(rand.NewPCG(3, 3))
	var draws []float64
	for range 2000 {
		draws = append(draws, mean(func(int) []float64 { return subjects[rng.IntN(len(subjects))] }))
	}
	slices.Sort(draws)
	r.AUC = fmt.Sprintf("%.3f", mean(func(i int) []float64 { return subjects[i] }))
	r.Low, r.High = fmt.Sprintf("%.3f", draws[50]), fmt.Sprintf("%.3f", draws[1949])
}

// timeFind finds the duplicates among all photos as a batch does.
func (s *study) timeFind() {
	pictures := make([]duplicate.Picture, len(s.photos))
	for i, p := range s.photos {
		pictures[i] = duplicate.Picture{Case: filepath.Base(p.file), N: 1, Hash: p.hashes[0].(*picturehash.Hash).String()}
	}
	started := time.Now()
	duplicate.Find(pictures)
	s.Out.Find = append(s.Out.Find, findRow{len(pictures), time.Since(started).Round(100 * time.Millisecond).String()})
}

// writeNear lists the nearest pairs of different groups, to be looked at.
func (s *study) writeNear(file string) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	for i, p := range s.photos {
		for _, q := range s.photos[i+1:] {
			if p.group == q.group {
				continue
			}
			if d := methods[0].dist(p.hashes[0], q.hashes[0]); d <= s.Out.Threshold+10 {
				fmt.Fprintf(w, "%d\t%s\t%s\n", d, p.file, q.file)
			}
		}
	}
	return errors.Join(w.Flush(), f.Close())
}

func percent(k, n int) string { return fmt.Sprintf("%.1f%%", 100*float64(k)/float64(n)) }

// wilson returns the 95 % interval of a share (Wilson 1927).
func wilson(k, n int) (low, high float64) {
	const z = 1.959964
	p, m := float64(k)/float64(n), float64(n)
	middle := p + z*z/(2*m)
	spread := z * math.Sqrt(p*(1-p)/m+z*z/(4*m*m))
	return (middle - spread) / (1 + z*z/m), (middle + spread) / (1 + z*z/m)
}

// poissonUpper returns the upper end of the 95 % interval of a Poisson mean of
// which k were seen (Garwood 1936): at most k come with a chance of 2.5 %.
func poissonUpper(k int) float64 {
	low, high := float64(k), float64(k)+20+5*math.Sqrt(float64(k))
	for range 100 {
		mean := (low + high) / 2
		term, sum := math.Exp(-mean), 0.0
		for i := 0; i <= k; i++ {
			sum += term
			term *= mean / float64(i+1)
		}
		if sum > 0.025 {
			low = mean
		} else {
			high = mean
		}
	}
	return high
}
