package backbone

import (
	"fmt"

	"github.com/agequote/agequote/training/net"
	"github.com/agequote/agequote/training/onnxfile"
)

// Names of the network's input and outputs in ONNX.
const (
	Input    = "input_1"             // [N, 3, 224, 224], BGR less the mean
	Features = "global_pooling/Mean" // [N, 1024]
	Output   = "age_pred/Softmax"    // [N, 100], ages from 0
)

const size = 224 // pixels

// ONNX writes the network: MobileNetV1 (Howard et al. 2017) with the age head
// of HSE_FaceRec, from its weights in TensorFlow's layout.
func ONNX(weights map[string]onnxfile.Tensor) ([]byte, error) {
	w := writer{weights: weights}
	x := w.b.Input(Input, onnxfile.Float32, -1, 3, size, size)
	x = w.convolution(x, "conv1/convolution/merged_input", []int{3, 2, 0, 1}, 2, false)
	x = w.relu6(w.shift(x, "conv1_bn"), "conv1_relu/clip_by_value")
	for i := 1; i <= net.Blocks; i++ {
		depthwise, pointwise := fmt.Sprintf("conv_dw_%d", i), fmt.Sprintf("conv_pw_%d", i)
		stride := net.MapShape(i-1, size)[0] / net.MapShape(i, size)[0]
		x = w.convolution(x, depthwise+"/depthwise_kernel", []int{2, 3, 0, 1}, stride, true)
		x = w.b.Node("Mul", []string{x, w.channels(depthwise + "_bn/batchnorm_1/mul")})
		x = w.relu6(w.shift(x, depthwise+"_bn"), depthwise+"_relu/clip_by_value")
		x = w.convolution(x, pointwise+"/convolution/merged_input", []int{3, 2, 0, 1}, 1, false)
		x = w.relu6(w.shift(x, pointwise+"_bn"), net.BlockTensor(i))
	}
	w.b.NodeTo(Features, "ReduceMean", []string{x},
		onnxfile.Attribute{Name: "axes", Value: []int{2, 3}}, onnxfile.Attribute{Name: "keepdims", Value: 0})
	hidden := w.b.Node("Relu", []string{w.dense(Features, "feats")})
	w.b.NodeTo(Output, "Softmax", []string{w.dense(hidden, "age_pred")}, onnxfile.Attribute{Name: "axis", Value: 1})
	w.b.Output(Output, onnxfile.Float32, -1, 100)
	if w.err != nil {
		return nil, fmt.Errorf("write backbone: %w", w.err)
	}
	return w.b.Model(), nil
}

// writer adds layers; the first error stays.
type writer struct {
	b       onnxfile.Builder
	weights map[string]onnxfile.Tensor
	err     error
}

// weight is a tensor of the model, of rank axes.
func (w *writer) weight(name string, rank int) onnxfile.Tensor {
	t, ok := w.weights[name]
	if (!ok || len(t.Dims) != rank) && w.err == nil {
		w.err = fmt.Errorf("no weight %q of rank %d", name, rank)
	}
	if w.err != nil {
		return onnxfile.Tensor{Dims: make([]int, rank)}
	}
	return t
}

// convolution pads as TensorFlow's "SAME" does for an even size: at stride 2 at
// the end alone. Axes says which of the kernel's axes become ONNX's [out, in,
// height, width].
func (w *writer) convolution(x, kernel string, axes []int, stride int, depthwise bool) string {
	k := permuted(w.weight(kernel, 4), axes)
	groups, pads := 1, []int{0, 0, 0, 0}
	if depthwise {
		groups = k.Dims[0]
	}
	switch {
	case k.Dims[2] == 3 && stride == 1:
		pads = []int{1, 1, 1, 1}
	case k.Dims[2] == 3:
		pads = []int{0, 0, 1, 1}
	}
	return w.b.Node("Conv", []string{x, w.b.Floats(kernel, k)},
		onnxfile.Attribute{Name: "group", Value: groups}, onnxfile.Attribute{Name: "pads", Value: pads},
		onnxfile.Attribute{Name: "strides", Value: []int{stride, stride}})
}

// channels adds a value for each channel.
func (w *writer) channels(name string) string {
	t := w.weight(name, 1)
	return w.b.Floats(name, onnxfile.Tensor{Dims: []int{1, t.Dims[0], 1, 1}, Data: t.Data})
}

func (w *writer) shift(x, norm string) string {
	return w.b.Node("Add", []string{x, w.channels(norm + "/batchnorm_1/sub")})
}

func (w *writer) relu6(x, output string) string {
	low := w.b.Floats(output+":low", onnxfile.Tensor{Data: []float32{0}})
	high := w.b.Floats(output+":high", onnxfile.Tensor{Data: []float32{6}})
	w.b.NodeTo(output, "Clip", []string{x, low, high})
	return output
}

func (w *writer) dense(x, name string) string {
	kernel, bias := w.weight(name+"/kernel", 2), w.weight(name+"/bias", 1)
	return w.b.Node("Gemm", []string{x, w.b.Floats(name+"/kernel", kernel), w.b.Floats(name+"/bias", bias)})
}

// permuted reorders the axes of a tensor of four.
func permuted(t onnxfile.Tensor, axes []int) onnxfile.Tensor {
	var dims, steps [4]int
	step := [4]int{t.Dims[1] * t.Dims[2] * t.Dims[3], t.Dims[2] * t.Dims[3], t.Dims[3], 1}
	for i, a := range axes {
		dims[i], steps[i] = t.Dims[a], step[a]
	}
	out := make([]float32, 0, len(t.Data))
	for a := range dims[0] {
		for b := range dims[1] {
			for c := range dims[2] {
				for d := range dims[3] {
					out = append(out, t.Data[a*steps[0]+b*steps[1]+c*steps[2]+d*steps[3]])
				}
			}
		}
	}
	return onnxfile.Tensor{Dims: dims[:], Data: out}
}
