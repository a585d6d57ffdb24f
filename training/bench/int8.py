"""Quantises an age network to 8 bits and times it beside the whole one.

    python int8.py --package models --labels train.tsv --images FACES --out build/int8

Static quantisation by ONNX Runtime (QDQ, per channel, weights and activations
in 8 bits), calibrated on photos of the training set scaled to the network's
size. It writes a package of each way with the manifest's hashes, which
`agequote evaluate --model` measures; docs/benchmarks.md has what came of it.
"""

import argparse
import csv
import hashlib
import json
import pathlib
import random
import shutil
import statistics
import time

import numpy as np
import onnx
import onnxruntime as ort
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from PIL import Image


class Photos(CalibrationDataReader):
    """Feeds photos of the training set, as chips of the network's size."""

    def __init__(self, labels, images, count, name, size):
        with open(labels) as f:
            rows = [r["file"] for r in csv.DictReader(f, delimiter="\t")]
        random.Random(1).shuffle(rows)
        self.photos = iter(rows[:count])
        self.images, self.name, self.size = images, name, size

    def get_next(self):
        file = next(self.photos, None)
        if file is None:
            return None
        photo = Image.open(self.images / file).convert("RGB").resize((self.size, self.size), Image.BILINEAR)
        return {self.name: np.asarray(photo)[None]}


def write_package(source, out, network):
    out.mkdir(parents=True, exist_ok=True)
    for f in source.iterdir():
        shutil.copy(f, out / f.name)
    shutil.copy(network, out / "age.onnx")
    manifest = json.loads((out / "manifest.json").read_text())
    manifest["files"]["age.onnx"] = "sha256:" + hashlib.sha256((out / "age.onnx").read_bytes()).hexdigest()
    (out / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")


def session(path):
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def compare(paths, turns):
    """Times the networks by turns, on one thread: milliseconds, and ratios to the first."""
    sessions = {name: session(p) for name, p in paths.items()}
    pixels = np.random.default_rng(1).integers(0, 256, (1, 224, 224, 3), dtype=np.uint8)
    times = {name: [] for name in paths}
    for turn in range(turns + 3):
        for name, s in sessions.items():
            started = time.perf_counter()
            s.run(None, {s.get_inputs()[0].name: pixels})
            if turn >= 3:
                times[name].append(1e3 * (time.perf_counter() - started))
    first = next(iter(paths))
    for name, p in paths.items():
        ratios = statistics.quantiles([a / b for a, b in zip(times[name], times[first])], n=4)
        print(f"{name:32} {statistics.median(times[name]):6.1f} ms, {ratios[1]:.2f} times {first} "
              f"({ratios[0]:.2f} to {ratios[2]:.2f}), {p.stat().st_size / 1e6:.1f} MB")


def main():
    parser = argparse.ArgumentParser()
    for name in ("package", "labels", "images", "out"):
        parser.add_argument("--" + name, type=pathlib.Path, required=True)
    parser.add_argument("--photos", type=int, default=300)
    parser.add_argument("--turns", type=int, default=100)
    a = parser.parse_args()
    a.out.mkdir(parents=True, exist_ok=True)
    whole, prepared = a.package / "age.onnx", a.out / "prepared.onnx"
    quant_pre_process(str(whole), str(prepared), skip_symbolic_shape=True)
    graph = onnx.load(prepared).graph
    name, size = graph.input[0].name, graph.input[0].type.tensor_type.shape.dim[1].dim_value

    # Depthwise convolutions hold few weights and, scaled by one number a
    # tensor, lose most: one way leaves them whole.
    depthwise = [n.name for n in graph.node if n.op_type == "Conv" and any(x.name == "group" and x.i > 1 for x in n.attribute)]
    ways = {
        "int8": dict(op_types_to_quantize=["Conv", "MatMul", "Gemm"]),
        "int8-convolutions": dict(op_types_to_quantize=["Conv"]),
        "int8-pointwise": dict(op_types_to_quantize=["Conv"], nodes_to_exclude=depthwise),
    }
    paths = {"whole": whole}
    for way, options in ways.items():
        out = a.out / (way + ".onnx")
        quantize_static(
            str(prepared), str(out), Photos(a.labels, a.images, a.photos, name, size),
            quant_format=QuantFormat.QDQ, per_channel=True, activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8, calibrate_method=CalibrationMethod.MinMax, **options)
        write_package(a.package, a.out / way, out)
        paths[way] = out
    compare(paths, a.turns)


if __name__ == "__main__":
    main()
