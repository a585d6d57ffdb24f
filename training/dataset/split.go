package dataset

import (
	"math"
	"slices"
)

// Split settles what trains. Validation keeps its photos as they are, so that
// figures are taken on what comes; training loses, in this order:
//
//   - photos of people and pictures that stand in validation, or in a part that
//     is not used: validation wins. Photos belong together if they have a
//     person, a same-photo group or a file's hash in common, directly or
//     through others.
//   - pictures (same group or hash) whose ages differ by more than the
//     configuration allows, or whose data set says so: all copies dropped, or
//     weighted down.
//   - the second and further copies of a file.
//   - photos that serving would refuse.
//
// Afterwards photos that belong together have one Person, the least of theirs
// in alphabetical order. Run Inspect first: without hashes only the data sets'
// own persons and groups keep sides apart.
func (c *Config) Split(samples []Sample) {
	people, pictures := newUnion(len(samples)), newUnion(len(samples))
	people.join(samples, func(p *Sample) string { return p.Person })
	for _, u := range []*union{people, pictures} {
		u.join(samples, func(p *Sample) string { return p.Photo })
		u.join(samples, func(p *Sample) string { return p.Hash })
	}
	keepApart(samples, people)
	c.settleConflicts(samples, pictures)
	c.dropDuplicates(samples)
	c.dropRefused(samples)
	namePeople(samples, people)
}

func keepApart(samples []Sample, people *union) {
	apart := map[int]bool{}
	for i := range samples {
		p := &samples[i]
		if p.linked() && p.Side != Train {
			apart[people.find(i)] = true
		}
	}
	for i := range samples {
		if p := &samples[i]; p.Side == Train && apart[people.find(i)] {
			p.leaveOut(KeptApart)
		}
	}
}

func (c *Config) settleConflicts(samples []Sample, pictures *union) {
	type ages struct {
		low, high float64
		noted     bool
	}
	byPicture := map[int]ages{}
	for i := range samples {
		p := &samples[i]
		if p.Side != Train { // a copy elsewhere has taken all of the picture off training
			continue
		}
		root := pictures.find(i)
		a, ok := byPicture[root]
		if !ok {
			a = ages{low: p.Age, high: p.Age}
		}
		byPicture[root] = ages{min(a.low, p.Age), max(a.high, p.Age), a.noted || p.conflict}
	}
	for i := range samples {
		p := &samples[i]
		if p.Side != Train {
			continue
		}
		a := byPicture[pictures.find(i)]
		if !a.noted && a.high-a.low <= c.Conflicts.maxYears() {
			continue
		}
		if c.Conflicts.Rule == WeightConflicts {
			p.Weight *= c.Conflicts.Weight
			continue
		}
		p.leaveOut(AgeConflict)
	}
}

// dropDuplicates keeps the first copy of each file in training. Copies whose
// ages conflict are there because of the rule weight, and stay.
func (c *Config) dropDuplicates(samples []Sample) {
	kept := map[string][]float64{} // ages by hash
	for i := range samples {
		p := &samples[i]
		if p.Side != Train || p.Hash == "" {
			continue
		}
		near := func(age float64) bool { return math.Abs(age-p.Age) <= c.Conflicts.maxYears() }
		if slices.ContainsFunc(kept[p.Hash], near) {
			p.leaveOut(Duplicate)
			continue
		}
		kept[p.Hash] = append(kept[p.Hash], p.Age)
	}
}

func (c *Config) dropRefused(samples []Sample) {
	for i := range samples {
		if p := &samples[i]; p.Side == Train && p.Code != "" && !c.trains(p.Code) {
			p.leaveOut(Reason(p.Code))
		}
	}
}

func namePeople(samples []Sample, people *union) {
	least := map[int]string{}
	for i := range samples {
		root := people.find(i)
		if name, ok := least[root]; !ok || samples[i].Person < name {
			least[root] = samples[i].Person
		}
	}
	for i := range samples {
		samples[i].Person = least[people.find(i)]
	}
}

// union is a disjoint-set forest over the photos' indices.
type union struct{ parent []int }

func newUnion(n int) *union {
	u := &union{parent: make([]int, n)}
	for i := range u.parent {
		u.parent[i] = i
	}
	return u
}

func (u *union) find(i int) int {
	for u.parent[i] != i {
		u.parent[i] = u.parent[u.parent[i]]
		i = u.parent[i]
	}
	return i
}

// join puts photos of the same key together. Photos without a key, and those
// that were left out on reading, stay alone.
func (u *union) join(samples []Sample, key func(*Sample) string) {
	first := map[string]int{}
	for i := range samples {
		k := key(&samples[i])
		if k == "" || !samples[i].linked() {
			continue
		}
		if j, ok := first[k]; ok {
			u.parent[u.find(i)] = u.find(j)
			continue
		}
		first[k] = i
	}
}
