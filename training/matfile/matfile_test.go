package matfile_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/agequote/agequote/training/matfile"
)

const limit = 1 << 20

func text(s string) matfile.Array { return matfile.Array{Dims: []int{1, len([]rune(s))}, Text: s} }

func number(v float64) matfile.Array {
	return matfile.Array{Dims: []int{1, 1}, Numbers: []float64{v}}
}

// TestRead reads what testdata/arrays.py wrote with scipy.
func TestRead(t *testing.T) {
	want := map[string]matfile.Array{
		"single": {Dims: []int{1, 3}, Numbers: []float64{1.5, math.Inf(-1), math.NaN()}},
		"matrix": {Dims: []int{2, 3}, Numbers: []float64{1, 4, 2, 5, 3, 6}}, // column by column
		"large":  {Dims: []int{1, 2}, Numbers: []float64{1 << 40, 7}},
		"signed": {Dims: []int{1, 2}, Numbers: []float64{-128, 127}},
		"empty":  {Dims: []int{0, 0}},
		"people": {Dims: []int{1, 2}, Structs: []map[string]matfile.Array{
			{"name": text("Grace"), "born": number(1906)},
			{"name": text("Zoë"), "born": number(1956)},
		}},
		"nested": {Dims: []int{1, 1}, Structs: []map[string]matfile.Array{{
			"files": {Dims: []int{1, 3}, Cells: []matfile.Array{text("01/a.jpg"), {Dims: []int{0, 0}}, text("02/ü.jpg")}},
			"count": number(3),
		}}},
	}
	for _, file := range []string{"testdata/compressed.mat", "testdata/plain.mat"} {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for name, want := range want {
			got, err := matfile.Read(bytes.NewReader(raw), name, limit)
			if diff := cmp.Diff(want, got, cmpopts.EquateNaNs(), cmpopts.EquateEmpty()); err != nil || diff != "" {
				t.Errorf("%s, %s: %v (-want +got)\n%s", file, name, err, diff)
			}
		}
		if _, err := matfile.Read(bytes.NewReader(raw), "absent", limit); !errors.Is(err, matfile.ErrNoVariable) {
			t.Errorf("%s: %v, want ErrNoVariable", file, err)
		}
		if _, err := matfile.Read(bytes.NewReader(raw), "nested", 64); err == nil || errors.Is(err, matfile.ErrNoVariable) {
			t.Errorf("%s: %v, want the limit's error", file, err)
		}
	}
}

// bigEndian is a file as a big-endian machine writes it: x = 258 in two bytes,
// and the text "Å" in UTF-16, both in small elements.
func bigEndian() []byte {
	element := func(kind uint32, data ...byte) []byte {
		b := binary.BigEndian.AppendUint32(nil, kind)
		b = binary.BigEndian.AppendUint32(b, uint32(len(data)))
		b = append(b, data...)
		return append(b, make([]byte, (8-len(data)%8)%8)...)
	}
	small := func(kind, size byte, data ...byte) []byte {
		return append([]byte{0, size, 0, kind}, append(data, make([]byte, 4-len(data))...)...)
	}
	matrix := func(class byte, name byte, data []byte) []byte {
		var b []byte
		b = append(b, element(6, 0, 0, 0, class, 0, 0, 0, 0)...)
		b = append(b, element(5, 0, 0, 0, 1, 0, 0, 0, 1)...)
		b = append(b, small(1, 1, name)...)
		return element(14, append(b, data...)...)
	}
	header := make([]byte, 128)
	copy(header, "MATLAB 5.0 MAT-file")
	copy(header[124:], "\x01\x00MI")
	file := append(header, matrix(6, 'x', small(4, 2, 1, 2))...)
	return append(file, matrix(4, 's', small(17, 2, 0, 0xC5))...)
}

func TestReadBigEndian(t *testing.T) {
	for name, want := range map[string]matfile.Array{"x": number(258), "s": text("Å")} {
		got, err := matfile.Read(bytes.NewReader(bigEndian()), name, limit)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got)\n%s", name, err, diff)
		}
	}
}

// FuzzRead looks for panics and for values that do not fit their dimensions;
// memory that a file asks for without having it ends the fuzzing process.
func FuzzRead(f *testing.F) {
	f.Add(bigEndian(), "x")
	for _, file := range []string{"testdata/compressed.mat", "testdata/plain.mat"} {
		raw, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		for _, name := range []string{"nested", "people", "single"} {
			f.Add(raw, name)
		}
	}
	f.Fuzz(func(t *testing.T, raw []byte, name string) {
		a, err := matfile.Read(bytes.NewReader(raw), name, limit)
		if err != nil {
			return
		}
		check(t, a)
	})
}

func check(t *testing.T, a matfile.Array) {
	n := 1
	for _, d := range a.Dims {
		n *= d
	}
	for what, length := range map[string]int{"numbers": len(a.Numbers), "cells": len(a.Cells), "structs": len(a.Structs)} {
		if length != 0 && length != n {
			t.Errorf("%d %s, dimensions %v", length, what, a.Dims)
		}
	}
	for _, c := range a.Cells {
		check(t, c)
	}
	for _, s := range a.Structs {
		for _, v := range s {
			check(t, v)
		}
	}
}
