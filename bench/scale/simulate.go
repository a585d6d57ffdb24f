package main

import (
	"container/heap"
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

// Measured are the unit figures of one photo on Lambda's share of a processor.
type Measured struct {
	PredictMS []float64 // one photo each, warm: what is drawn from
	ColdMS    float64   // from the start of an instance to its first answer, the photo included
	QuoteMS   float64   // one quote, warm
}

// Load is a day of uploads.
type Load struct {
	Photos int
	// PeakShare is the part of the day's photos that come within its busiest
	// hour; an even day has 1/24.
	PeakShare float64
	// Retried is the part of photos that are delivered twice.
	Retried float64
}

// Limits are the account's.
type Limits struct {
	Concurrency int // executions at once, of all functions
	// ScalePer10s is by how much a function's executions may rise in ten
	// seconds. Lambda's documented rate is 1,000.
	ScalePer10s int
	Idle        time.Duration // after which an instance that waits goes; AWS does not document it
}

// Day is what came of a day.
type Day struct {
	Photos, Cold              int
	PeakInstances             int
	PeakBusy                  int
	WaitP50, WaitP99, WaitMax time.Duration // from the event to its start
	LastSecondBacklog         int
	BusySeconds               float64
}

// arrivals returns when the photos come, in seconds: a Poisson process whose
// rate is a cosine over the day, raised to a power that gives the busiest hour
// its share.
func (l Load) arrivals(r *rand.Rand) []float64 {
	rate := func(hour, power float64) float64 {
		return math.Pow(0.5+0.5*math.Cos(2*math.Pi*(hour-20)/24), power) // busiest at 20 h
	}
	share := func(power float64) float64 {
		var all, peak float64
		for i := range 24 * 60 {
			v := rate(float64(i)/60, power)
			all += v
			if h := float64(i) / 60; h >= 19.5 && h < 20.5 {
				peak += v
			}
		}
		return peak / all
	}
	low, high := 0.0, 100.0
	for range 60 {
		if mid := (low + high) / 2; share(mid) < l.PeakShare {
			low = mid
		} else {
			high = mid
		}
	}
	out := make([]float64, 0, l.Photos+int(float64(l.Photos)*l.Retried))
	for len(out) < l.Photos {
		at := r.Float64() * 24
		if r.Float64() < rate(at, low) {
			out = append(out, at*3600)
		}
	}
	for i := range l.Photos {
		if r.Float64() < l.Retried {
			out = append(out, out[i]+60*r.Float64())
		}
	}
	slices.Sort(out)
	return out
}

// instance is one execution environment in the heap, by when it is free.
type instance struct{ free float64 }

type instances []instance

func (h instances) Len() int           { return len(h) }
func (h instances) Less(i, j int) bool { return h[i].free < h[j].free }
func (h instances) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *instances) Push(x any)        { *h = append(*h, x.(instance)) }
func (h *instances) Pop() any {
	old := *h
	last := old[len(old)-1]
	*h = old[:len(old)-1]
	return last
}

// simulateDay runs a day's photos through predict: each takes an instance that
// waits, else a new one as far as the limits allow, else it waits in Lambda's
// queue for the first that is free.
func simulateDay(m Measured, l Load, lim Limits, seed uint64) Day {
	r := rand.New(rand.NewPCG(seed, 1))
	var busy instances // by when they are free
	var idle []float64 // since when, the longest first
	out := Day{}
	var waits []float64
	window, grown := 0.0, 0 // growth within the ten seconds that began at window
	for _, at := range l.arrivals(r) {
		out.Photos++
		start, cold := at, false
		for len(busy) > 0 && busy[0].free <= at {
			idle = append(idle, heap.Pop(&busy).(instance).free)
		}
		for len(idle) > 0 && at-idle[0] > lim.Idle.Seconds() {
			idle = idle[1:]
		}
		if at-window >= 10 {
			window, grown = at, 0
		}
		switch {
		case len(idle) > 0:
			idle = idle[:len(idle)-1] // the one that waited least, so that the others can go
		case len(busy) < lim.Concurrency && grown < lim.ScalePer10s:
			cold = true
			grown++
			out.Cold++
		default:
			start = heap.Pop(&busy).(instance).free
		}
		took := m.PredictMS[r.IntN(len(m.PredictMS))] / 1000
		if cold {
			took = m.ColdMS / 1000
		}
		out.BusySeconds += took
		heap.Push(&busy, instance{start + took})
		waits = append(waits, start-at)
		out.PeakBusy = max(out.PeakBusy, len(busy))
		out.PeakInstances = max(out.PeakInstances, len(busy)+len(idle))
	}
	slices.Sort(waits)
	at := func(q float64) time.Duration {
		return time.Duration(waits[int(q*float64(len(waits)-1))] * float64(time.Second))
	}
	out.WaitP50, out.WaitP99, out.WaitMax = at(0.5), at(0.99), at(1)
	return out
}

// BatchLimits are what a batch meets.
type BatchLimits struct {
	Concurrency int // executions of predict at once, and so children that work
	Children    int // of a Distributed Map at once, at most 10,000
	BatchSize   int // photos in one child
	// StartsPerSecond is how fast a Map starts children; AWS does not document
	// it for Express children, so it is a parameter.
	StartsPerSecond float64
	GetsPerSecond   float64 // of one prefix; S3's documented 5,500
	PutsPerSecond   float64 // of one prefix; S3's documented 3,500
	Prefixes        int     // into which S3 has split the keys
	Gets, Puts      float64 // requests a photo: predict's, quote's
}

// Batch is what came of a batch.
type Batch struct {
	Hours          float64
	PhotosASecond  float64
	Bound          string  // what was met first
	GetsASecond    float64 // at that pace
	PutsASecond    float64
	BusySeconds    float64
	ChildrenInWork int
}

// simulateBatch runs children of BatchSize photos through predict and quote on
// as many executions as the limits allow. What S3 takes in a second bounds the
// pace of all; within it the children are scheduled one by one, so that the
// spread of their times counts.
func simulateBatch(m Measured, photos int, lim BatchLimits, seed uint64) Batch {
	r := rand.New(rand.NewPCG(seed, 2))
	slots := min(lim.Concurrency, lim.Children)
	// The law of large numbers lets a part stand for the whole: 200 children a slot.
	children := (photos + lim.BatchSize - 1) / lim.BatchSize
	sample := min(children, 200*slots)
	free := make(instances, slots)
	heap.Init(&free)
	end, busy := 0.0, 0.0
	started := 0.0 // when the next child may start
	for range sample {
		took := 0.0
		for range lim.BatchSize {
			took += (m.PredictMS[r.IntN(len(m.PredictMS))] + m.QuoteMS) / 1000
		}
		slot := heap.Pop(&free).(instance)
		start := max(slot.free, started)
		started += 1 / lim.StartsPerSecond
		heap.Push(&free, instance{start + took})
		end, busy = max(end, start+took), busy+took
	}
	pace := float64(sample*lim.BatchSize) / end
	out := Batch{Bound: "Lambda's concurrency", ChildrenInWork: slots}
	if slots == lim.Children && lim.Children < lim.Concurrency {
		out.Bound = "children of one Map"
	}
	if lim.StartsPerSecond*float64(lim.BatchSize) < 1.05*pace {
		out.Bound = "children started a second"
	}
	for _, s := range []struct {
		name      string
		per, most float64
	}{{"S3 reads", lim.Gets, lim.GetsPerSecond}, {"S3 writes", lim.Puts, lim.PutsPerSecond}} {
		if most := s.most * float64(lim.Prefixes) / s.per; most < pace {
			pace, out.Bound = most, s.name
		}
	}
	out.PhotosASecond = pace
	out.Hours = float64(photos) / pace / 3600
	out.GetsASecond, out.PutsASecond = pace*lim.Gets, pace*lim.Puts
	out.BusySeconds = busy / float64(sample*lim.BatchSize) * float64(photos)
	return out
}
