package onnxfile_test

import (
	"math"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/agequote/agequote/internal/onnx"
	"github.com/agequote/agequote/internal/onnx/onnxtest"
	"github.com/agequote/agequote/training/onnxfile"
)

func random(r *rand.Rand, dims ...int) onnxfile.Tensor {
	t := onnxfile.Tensor{Dims: dims}
	n := 1
	for _, d := range dims {
		n *= d
	}
	for range n {
		t.Data = append(t.Data, float32(r.NormFloat64()))
	}
	return t
}

// TestBuilder runs a small network, convolution, mean, product and softmax, in
// ONNX Runtime and in plain Go, once as it was built and once included in
// another model.
func TestBuilder(t *testing.T) {
	onnxtest.Require(t)
	const in, channels, classes, side = 2, 3, 4, 5
	r := rand.New(rand.NewPCG(1, 1))
	kernel, bias := random(r, channels, in, 3, 3), random(r, channels)
	weight, offset := random(r, channels, classes), random(r, classes)
	var b onnxfile.Builder
	b.Input("x", onnxfile.Float32, -1, in, side, side)
	b.NodeTo("map", "Conv", []string{"x", b.Floats("kernel", kernel), b.Floats("bias", bias)},
		onnxfile.Attribute{Name: "strides", Value: []int{2, 2}}, onnxfile.Attribute{Name: "group", Value: 1})
	b.NodeTo("active", "LeakyRelu", []string{"map"}, onnxfile.Attribute{Name: "alpha", Value: float32(0.5)})
	b.NodeTo("mean", "ReduceMean", []string{"active"}, onnxfile.Attribute{Name: "axes", Value: []int{2, 3}})
	b.NodeTo("features", "Reshape", []string{"mean", b.Ints(-1, channels)})
	b.NodeTo("logits", "Gemm", []string{"features", b.Floats("weight", weight), b.Floats("offset", offset)})
	b.NodeTo("p", "Softmax", []string{"logits"}, onnxfile.Attribute{Name: "axis", Value: 1})
	b.Output("p", onnxfile.Float32, -1, classes)
	model := b.Model()

	tensors, err := onnxfile.Tensors(model)
	if diff := cmp.Diff(map[string]onnxfile.Tensor{"kernel": kernel, "bias": bias, "weight": weight, "offset": offset}, tensors); err != nil || diff != "" {
		t.Errorf("Tensors: %v (-want +got)\n%s", err, diff)
	}

	input := random(r, 2, in, side, side).Data
	var want []float32
	for n := range 2 {
		logits := make([]float64, classes)
		for c := range channels {
			mean := 0.0
			for _, at := range [][2]int{{0, 0}, {0, 2}, {2, 0}, {2, 2}} {
				sum := float64(bias.Data[c])
				for i := range in {
					for k := range 9 {
						sum += float64(kernel.Data[(c*in+i)*9+k]) * float64(input[((n*in+i)*side+at[0]+k/3)*side+at[1]+k%3])
					}
				}
				if sum < 0 {
					sum /= 2
				}
				mean += sum / 4
			}
			for k := range logits {
				logits[k] += mean * float64(weight.Data[c*classes+k])
			}
		}
		total := 0.0
		for k := range logits {
			logits[k] = math.Exp(logits[k] + float64(offset.Data[k]))
			total += logits[k]
		}
		for _, v := range logits {
			want = append(want, float32(v/total))
		}
	}
	check := func(name string, model []byte, output string, input []float32) {
		t.Helper()
		s, err := onnx.Open(model, "x", []string{output}, onnx.Options{})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		defer s.Close()
		out, err := s.Run(input, 2, in, side, side)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for i := range want {
			if math.Abs(float64(out[0][i]-want[i])) > 1e-5 {
				t.Errorf("%s: output %d is %v, want %v", name, i, out[0][i], want[i])
			}
		}
	}
	check("built", model, "p", input)

	// The same behind a node that doubles its input.
	var outer onnxfile.Builder
	y := outer.Input("x", onnxfile.Float32, -1, in, side, side)
	y = outer.Node("Add", []string{y, y})
	output, err := outer.Include(model, y)
	if err != nil {
		t.Fatal(err)
	}
	same := outer.Node("Identity", []string{output})
	outer.Output(same, onnxfile.Float32, -1, classes)
	half := make([]float32, len(input))
	for i, v := range input {
		half[i] = v / 2
	}
	check("included", outer.Model(), same, half)
}

// FuzzTensors reads a file that comes from anywhere; what it reads can be
// written and read again.
func FuzzTensors(f *testing.F) {
	var b onnxfile.Builder
	b.Floats("w", onnxfile.Tensor{Dims: []int{2, 1}, Data: []float32{1, 2}})
	b.Floats("scalar", onnxfile.Tensor{Data: []float32{3}})
	b.Ints(1, 2)
	f.Add(b.Model())
	if network, err := os.ReadFile("../../models/detector.onnx"); err == nil {
		f.Add(network)
	}
	f.Fuzz(func(t *testing.T, model []byte) {
		tensors, err := onnxfile.Tensors(model)
		if err != nil {
			return
		}
		var b onnxfile.Builder
		for name, tensor := range tensors {
			n := 1
			for _, d := range tensor.Dims {
				n *= d
			}
			if n != len(tensor.Data) {
				t.Fatalf("%d values for dimensions %v", len(tensor.Data), tensor.Dims)
			}
			b.Floats(name, tensor)
		}
		again, err := onnxfile.Tensors(b.Model())
		if err != nil {
			t.Fatal(err)
		}
		bits := cmp.Transformer("bits", func(v float32) uint32 { return math.Float32bits(v) })
		if diff := cmp.Diff(tensors, again, bits); diff != "" {
			t.Errorf("written and read again (-want +got)\n%s", diff)
		}
	})
}
