"""Runs an ONNX graph in PyTorch, operator for operator: the same network, in the
library that the article used. It knows the operators of this project's two
networks, and is called as an InferenceSession is."""

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from onnx import numpy_helper


class Torch:
    def __init__(self, path, threads=1):
        torch.set_num_threads(threads)
        graph = onnx.load(path).graph
        self.weights = {i.name: torch.from_numpy(np.array(numpy_helper.to_array(i))) for i in graph.initializer}
        self.steps = []
        for node in graph.node:
            attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
            if node.op_type == "Constant":
                self.weights[node.output[0]] = torch.from_numpy(np.array(numpy_helper.to_array(attributes["value"])))
                continue
            self.steps.append((OPERATORS[node.op_type], list(node.input), node.output[0], attributes))

    @torch.inference_mode()
    def run(self, outputs, inputs):
        values = dict(self.weights)
        for name, x in inputs.items():
            values[name] = torch.from_numpy(np.require(x, requirements=["C", "W"]))
        for do, inputs, output, attributes in self.steps:
            values[output] = do(attributes, *(values[i] if i else None for i in inputs))
        return [values[o].numpy() for o in outputs]


def conv(a, x, w, b=None):
    pads = a.get("pads", [0, 0, 0, 0])
    if pads[:2] != pads[2:]:
        x, pads = F.pad(x, (pads[1], pads[3], pads[0], pads[2])), [0, 0]
    return F.conv2d(x, w, b, stride=tuple(a.get("strides", [1, 1])), padding=tuple(pads[:2]),
                    dilation=tuple(a.get("dilations", [1, 1])), groups=a.get("group", 1))


def slice_(a, x, starts, ends, axes=None, steps=None):
    axes = range(len(starts)) if axes is None else axes.tolist()
    steps = [1] * len(starts) if steps is None else steps.tolist()
    for axis, start, end, step in zip(axes, starts.tolist(), ends.tolist(), steps):
        if step == -1:
            x = x.flip(axis)
            continue
        index = [slice(None)] * x.dim()
        index[axis] = slice(start, end, step)
        x = x[tuple(index)]
    return x


def resize(a, x, *rest):
    sizes = rest[2] if len(rest) > 2 and rest[2] is not None else None
    if sizes is not None:
        return F.interpolate(x, size=tuple(sizes[2:].tolist()), mode="nearest")
    return F.interpolate(x, scale_factor=tuple(rest[1][2:].tolist()), mode="nearest")


def reduced(f):
    def do(a, x, axes=None):
        dims = a.get("axes") or (axes.tolist() if axes is not None else None)
        return f(x, dims, bool(a.get("keepdims", 1)))
    return do


def unsqueeze(a, x, axes=None):
    for axis in a.get("axes") or axes.tolist():
        x = x.unsqueeze(axis)
    return x


def gemm(a, x, w, b=None):
    if a.get("transB"):
        return F.linear(x, w, b)
    return x @ w + (0 if b is None else b)


def clip(a, x, low=None, high=None):
    return torch.clamp(x, min=None if low is None else low.item(), max=None if high is None else high.item())


TYPES = {1: torch.float32, 6: torch.int32, 7: torch.int64}
OPERATORS = {
    "Conv": conv, "Slice": slice_, "Resize": resize, "Unsqueeze": unsqueeze, "Gemm": gemm, "Clip": clip,
    "Add": lambda a, x, y: x + y, "Mul": lambda a, x, y: x * y, "Sub": lambda a, x, y: x - y, "Div": lambda a, x, y: x / y,
    "Relu": lambda a, x: torch.relu(x), "Sigmoid": lambda a, x: torch.sigmoid(x), "Sqrt": lambda a, x: torch.sqrt(x),
    "Softmax": lambda a, x: torch.softmax(x, a.get("axis", -1)),
    "MaxPool": lambda a, x: F.max_pool2d(x, tuple(a["kernel_shape"]), tuple(a.get("strides", [1, 1])), tuple(a.get("pads", [0, 0])[:2])),
    "ReduceMean": reduced(lambda x, d, k: x.mean(d, k)), "ReduceMax": reduced(lambda x, d, k: x.amax(d, k)),
    "Concat": lambda a, *x: torch.cat(x, a["axis"]), "Cast": lambda a, x: x.to(TYPES[a["to"]]),
    "Transpose": lambda a, x: x.permute(tuple(a["perm"])), "Shape": lambda a, x: torch.tensor(x.shape),
    "Gather": lambda a, x, i: x.select(a.get("axis", 0), int(i)) if i.dim() == 0 else x.index_select(a.get("axis", 0), i),
    "Reshape": lambda a, x, s: x.reshape(tuple(s.tolist())),
}
