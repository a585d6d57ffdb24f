package main

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

var unit = Measured{PredictMS: []float64{50}, ColdMS: 300, QuoteMS: 10}

// TestArrivals counts the busiest hour.
func TestArrivals(t *testing.T) {
	load := Load{Photos: 200_000, PeakShare: 0.10, Retried: 0.01}
	at := load.arrivals(rand.New(rand.NewPCG(1, 1)))
	peak := 0
	for _, s := range at {
		if s >= 19.5*3600 && s < 20.5*3600 {
			peak++
		}
	}
	if got := float64(peak) / float64(len(at)); math.Abs(got-0.10) > 0.005 {
		t.Errorf("the busiest hour has %.3f of the day, want .100", got)
	}
	if got := float64(len(at)) / 200_000; math.Abs(got-1.01) > 0.002 {
		t.Errorf("%.3f events a photo, want 1.01", got)
	}
}

// TestDayByErlang compares the time that instances are busy with Little's law,
// and the limits with what they promise.
func TestDayByErlang(t *testing.T) {
	load := Load{Photos: 100_000, PeakShare: 1.0 / 24}
	wide := simulateDay(unit, load, Limits{Concurrency: 1000, ScalePer10s: 1000, Idle: 10 * time.Minute}, 1)
	want := 0.05*float64(wide.Photos-wide.Cold) + 0.3*float64(wide.Cold)
	if math.Abs(wide.BusySeconds-want) > 1e-6*want {
		t.Errorf("busy for %v s, want %v", wide.BusySeconds, want)
	}
	if wide.WaitMax != 0 || wide.PeakBusy > 12 {
		t.Errorf("with room: waits of %v, %d busy at once", wide.WaitMax, wide.PeakBusy)
	}
	narrow := simulateDay(unit, Load{Photos: 2_000_000, PeakShare: 0.1}, Limits{Concurrency: 2, ScalePer10s: 1000, Idle: 10 * time.Minute}, 1)
	if narrow.PeakBusy > 2 || narrow.WaitMax < time.Hour {
		t.Errorf("two executions at 2.8 erlang in the busiest hour: %d busy, longest wait %v", narrow.PeakBusy, narrow.WaitMax)
	}
}

// TestBatch has each limit bind in turn.
func TestBatch(t *testing.T) {
	lim := BatchLimits{Concurrency: 100, Children: 10_000, BatchSize: 10, StartsPerSecond: 1e6, GetsPerSecond: 1e6, PutsPerSecond: 1e6, Prefixes: 1, Gets: 4, Puts: 3}
	tests := []struct {
		name   string
		change func(*BatchLimits)
		bound  string
		pace   float64
	}{
		{"executions", func(*BatchLimits) {}, "Lambda's concurrency", 100 / 0.06},
		{"children", func(l *BatchLimits) { l.Children = 50 }, "children of one Map", 50 / 0.06},
		{"starts", func(l *BatchLimits) { l.StartsPerSecond = 20 }, "children started a second", 200},
		{"reads", func(l *BatchLimits) { l.GetsPerSecond = 400 }, "S3 reads", 100},
		{"writes of two prefixes", func(l *BatchLimits) { l.PutsPerSecond, l.Prefixes = 300, 2 }, "S3 writes", 200},
	}
	for _, tt := range tests {
		l := lim
		tt.change(&l)
		got := simulateBatch(unit, 1_000_000, l, 1)
		if got.Bound != tt.bound || math.Abs(got.PhotosASecond-tt.pace) > 0.02*tt.pace {
			t.Errorf("%s: bound by %s at %.0f photos a second, want %s at %.0f", tt.name, got.Bound, got.PhotosASecond, tt.bound, tt.pace)
		}
	}
}
