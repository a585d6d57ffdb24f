package net

import (
	"fmt"
	"strings"

	"github.com/agequote/agequote/training/onnxfile"
)

// Names of the exported network's input and output.
const (
	ExportInput  = "pixels"        // [N, size, size, 3] bytes, red first
	ExportOutput = "probabilities" // [N, classes]
)

// trained precedes all names that the export makes, beside those of the frozen
// part.
const trained = "trained/"

// Export writes the whole network as one ONNX file that takes the pixels of
// crops: channels are turned and means subtracted inside. The frozen part is the
// backbone's file, pruned to the block before b.First; the rest are the weights
// of p. Large weights are kept in 16 bits.
func Export(p *Params, backbone []byte, mean [3]float32, b Body, h Head, size int) ([]byte, error) {
	lower, err := onnxfile.Prune(backbone, BlockTensor(b.First-1))
	if err != nil {
		return nil, err
	}
	e := &exporter{p: p, b: onnxfile.Builder{Prefix: trained}}
	x := e.b.Input(ExportInput, onnxfile.Uint8, -1, size, size, 3)
	x = e.b.Node("Cast", []string{x}, onnxfile.Attribute{Name: "to", Value: onnxfile.Float32})
	x = e.b.Node("Transpose", []string{x}, onnxfile.Attribute{Name: "perm", Value: []int{0, 3, 1, 2}})
	x = e.b.Node("Gather", []string{x, e.b.Ints(2, 1, 0)}, onnxfile.Attribute{Name: "axis", Value: 1})
	x = e.b.Node("Sub", []string{x, e.b.Floats(trained+"mean", onnxfile.Tensor{Dims: []int{1, 3, 1, 1}, Data: mean[:]})})
	if x, err = e.b.Include(lower, x); err != nil {
		return nil, err
	}
	x = e.body(b, x)
	x = e.head(h, x)
	e.b.NodeTo(ExportOutput, "Softmax", []string{x}, onnxfile.Attribute{Name: "axis", Value: 1})
	e.b.Output(ExportOutput, onnxfile.Float32, -1, h.Classes)
	if e.err != nil {
		return nil, fmt.Errorf("export network: %w", e.err)
	}
	return onnxfile.Halve(e.b.Model())
}

// Import sets the weights of p, which must be there, to those that Export wrote
// into a network of the same layers.
func Import(p *Params, network []byte) error {
	tensors, err := onnxfile.Tensors(network)
	if err != nil {
		return err
	}
	for _, name := range p.Names() {
		values, dims, err := p.Values(name)
		if err != nil {
			return err
		}
		t, ok := tensors[trained+name]
		if !ok || len(t.Data) != len(values) {
			return fmt.Errorf("import network: no weight %q of %d values", name, len(values))
		}
		if strings.HasSuffix(name, "depthwise/kernel") || strings.HasSuffix(name, "pointwise/kernel") {
			t.Data = transposed(t.Data, t.Dims[0], len(t.Data)/t.Dims[0])
		}
		p.Set(name, t.Data, dims...)
	}
	return nil
}

// exporter writes layers with the weights of p; the first error stays.
type exporter struct {
	b   onnxfile.Builder
	p   *Params
	err error
}

// weight adds a weight, brought to dims by turn if that is not nil.
func (e *exporter) weight(name string, dims []int, turn func(values []float32) []float32) string {
	values, _, err := e.p.Values(name)
	if err != nil {
		e.err = err
		return name
	}
	if turn != nil {
		values = turn(values)
	}
	return e.b.Floats(trained+name, onnxfile.Tensor{Dims: dims, Data: values})
}

func (e *exporter) body(b Body, x string) string {
	zero := e.b.Floats(trained+"zero", onnxfile.Tensor{Data: []float32{0}})
	six := e.b.Floats(trained+"six", onnxfile.Tensor{Data: []float32{6}})
	for i := b.First; i <= Blocks; i++ {
		in, out := blockChannels(max(i-1, 1)), blockChannels(i)
		if i == 1 {
			in = stemChannels
		}
		pads := []int{1, 1, 1, 1}
		if blockStride(i) == 2 {
			pads = []int{0, 0, 1, 1}
		}
		kernel := e.weight(blockName(i, "depthwise", "kernel"), []int{in, 1, 3, 3}, func(v []float32) []float32 { return transposed(v, 9, in) })
		bias := e.weight(blockName(i, "depthwise", "bias"), []int{in}, nil)
		x = e.b.Node("Conv", []string{x, kernel, bias}, onnxfile.Attribute{Name: "group", Value: in}, onnxfile.Attribute{Name: "kernel_shape", Value: []int{3, 3}},
			onnxfile.Attribute{Name: "strides", Value: []int{blockStride(i), blockStride(i)}}, onnxfile.Attribute{Name: "pads", Value: pads})
		x = e.b.Node("Clip", []string{x, zero, six})

		kernel = e.weight(blockName(i, "pointwise", "kernel"), []int{out, in, 1, 1}, func(v []float32) []float32 { return transposed(v, in, out) })
		bias = e.weight(blockName(i, "pointwise", "bias"), []int{out}, nil)
		x = e.b.Node("Conv", []string{x, kernel, bias}, onnxfile.Attribute{Name: "kernel_shape", Value: []int{1, 1}})
		x = e.b.Node("Clip", []string{x, zero, six})
	}
	return x
}

func (e *exporter) head(h Head, x string) string {
	area := []onnxfile.Attribute{{Name: "axes", Value: []int{2, 3}}, {Name: "keepdims", Value: 0}}
	mean := e.b.Node("ReduceMean", []string{x}, area...)
	maximum := e.b.Node("ReduceMax", []string{x}, area...)
	const channels = 1024
	features := e.standardised(e.b.Node("Concat", []string{mean, maximum}, onnxfile.Attribute{Name: "axis", Value: 1}))
	hidden := e.b.Node("Relu", []string{e.dense("head/hidden", features, 2*channels, h.Hidden)})
	logits := e.dense("head/age", hidden, h.Hidden, h.Classes)
	if !h.Own {
		return logits
	}
	own := e.b.Node("Relu", []string{e.dense("own/hidden", mean, channels, ownWidth)})
	return e.b.Node("Add", []string{logits, e.dense("own/age", own, ownWidth, h.Classes)})
}

func (e *exporter) standardised(x string) string {
	each := onnxfile.Attribute{Name: "axes", Value: []int{1}}
	x = e.b.Node("Sub", []string{x, e.b.Node("ReduceMean", []string{x}, each)})
	variance := e.b.Node("ReduceMean", []string{e.b.Node("Mul", []string{x, x})}, each)
	epsilon := e.b.Floats(trained+"epsilon", onnxfile.Tensor{Data: []float32{standardEpsilon}})
	return e.b.Node("Div", []string{x, e.b.Node("Sqrt", []string{e.b.Node("Add", []string{variance, epsilon})})})
}

func (e *exporter) dense(name, x string, in, out int) string {
	return e.b.Node("Gemm", []string{x, e.weight(name+"/kernel", []int{in, out}, nil), e.weight(name+"/bias", []int{out}, nil)})
}
