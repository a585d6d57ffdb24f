"""Makes other networks of a package's, larger and smaller, and measures them beside it.

    python smaller.py --package models --agequote bin/agequote --train train.tsv --validation validation.tsv \\
        --images FACES --out build/smaller --docs docs/benchmarks.md

Each way is a package of its own with the calibration of the whole one, which
`agequote evaluate` sends the validation photos through; times are taken by
turns on one thread. The table goes into the page between its markers.
"""

import argparse
import csv
import hashlib
import json
import pathlib
import random
import re
import shutil
import statistics
import subprocess
import time
import zlib

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from PIL import Image


class Photos(CalibrationDataReader):
    """Feeds UTKFace chips of the training part, which are framed like crops."""

    def __init__(self, labels, images, count, name, size):
        with open(labels) as f:
            rows = [r["file"] for r in csv.DictReader(f, delimiter="\t") if r["dataset"] == "utkface"]
        random.Random(1).shuffle(rows)
        self.photos = iter(rows[:count])
        self.images, self.name, self.size = images, name, size

    def get_next(self):
        file = next(self.photos, None)
        if file is None:
            return None
        photo = Image.open(self.images / file).convert("RGB").resize((self.size, self.size), Image.BILINEAR)
        return {self.name: np.asarray(photo)[None]}


def widen(model):
    """Keeps all weights in 32 bits."""
    graph = model.graph
    halves = {t.name: t for t in graph.initializer if t.data_type == TensorProto.FLOAT16}
    for cast in [n for n in graph.node if n.op_type == "Cast" and n.input[0] in halves]:
        half = halves[cast.input[0]]
        half.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(half).astype(np.float32), cast.output[0]))
        graph.node.remove(cast)


def look_twice(model):
    """Takes the mean with the mirror image."""
    graph = model.graph
    turned = next(n for n in graph.node if n.op_type == "Transpose")
    last = next(n for n in graph.node if n.op_type == "Softmax")
    classes = graph.output[0].type.tensor_type.shape.dim[1].dim_value

    def ints(name, *values):
        graph.initializer.append(numpy_helper.from_array(np.array(values, np.int64), name))
        return name

    for n in graph.node:
        for i, name in enumerate(n.input):
            if name == turned.output[0]:
                n.input[i] = "both"
    at = list(graph.node).index(turned) + 1
    graph.node.insert(at, helper.make_node("Slice", [turned.output[0], ints("first", -1), ints("end", -(2**63)), ints("axis", 3), ints("step", -1)], ["mirror"]))
    graph.node.insert(at + 1, helper.make_node("Concat", [turned.output[0], "mirror"], ["both"], axis=0))
    answer, last.output[0] = last.output[0], "each"
    graph.node.append(helper.make_node("Reshape", ["each", ints("pair", 2, -1, classes)], ["pairs"]))
    graph.node.append(helper.make_node("ReduceMean", ["pairs"], [answer], axes=[0], keepdims=0))


def quantise(prepared, out, photos, **options):
    quantize_static(
        str(prepared), str(out), photos, quant_format=QuantFormat.QDQ, per_channel=True,
        activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
        calibrate_method=CalibrationMethod.MinMax, **options)


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
    options.log_severity_level = 3  # it tells of each weight that an optimisation leaves out
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return ort.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])


def timed(paths, turns):
    """Times loading and running the networks by turns, on one thread: milliseconds of each turn."""
    pixels = np.random.default_rng(1).integers(0, 256, (1, 224, 224, 3), dtype=np.uint8)
    sessions = {name: session(p) for name, p in paths.items()}
    runs, loads = {name: [] for name in paths}, {name: [] for name in paths}
    for turn in range(turns + 3):
        for name, s in sessions.items():
            started = time.perf_counter()
            s.run(None, {s.get_inputs()[0].name: pixels})
            if turn >= 3:
                runs[name].append(1e3 * (time.perf_counter() - started))
    for _ in range(max(3, turns // 10)):
        for name, p in paths.items():
            started = time.perf_counter()
            session(p)
            loads[name].append(1e3 * (time.perf_counter() - started))
    return runs, loads


def ratio(times, first):
    low, middle, high = statistics.quantiles([a / b for a, b in zip(times, first)], n=4)
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"


def evaluate(agequote, package, labels, images):
    out = subprocess.run([agequote, "evaluate", "--json", "--model", package, "--labels", labels, "--images", images],
                         check=True, stdout=subprocess.PIPE).stdout
    return json.loads(out)


def main():
    parser = argparse.ArgumentParser()
    for name in ("package", "agequote", "train", "validation", "images", "out", "docs"):
        parser.add_argument("--" + name, type=pathlib.Path, required=True)
    parser.add_argument("--photos", type=int, default=300, help="to calibrate 8 bits on")
    parser.add_argument("--turns", type=int, default=100)
    a = parser.parse_args()
    a.out.mkdir(parents=True, exist_ok=True)
    whole, prepared = a.package / "age.onnx", a.out / "prepared.onnx"
    paths = {"as shipped": whole}

    def edited(way, change):
        model = onnx.load(whole)
        change(model)
        paths[way] = a.out / (way.replace(" ", "-") + ".onnx")
        onnx.save(model, paths[way])

    edited("weights in 32 bits", widen)
    edited("mean with the mirror image", look_twice)
    quant_pre_process(str(paths["weights in 32 bits"]), str(prepared), skip_symbolic_shape=True)
    graph = onnx.load(prepared).graph
    name, size = graph.input[0].name, graph.input[0].type.tensor_type.shape.dim[1].dim_value
    # Depthwise convolutions hold few weights and, scaled by one number a
    # tensor, lose most: one way leaves them whole.
    depthwise = [n.name for n in graph.node if n.op_type == "Conv" and any(x.name == "group" and x.i > 1 for x in n.attribute)]
    for way, options in {
        "8 bits": dict(op_types_to_quantize=["Conv", "MatMul", "Gemm"]),
        "8 bits, convolutions": dict(op_types_to_quantize=["Conv"]),
        "8 bits, pointwise": dict(op_types_to_quantize=["Conv"], nodes_to_exclude=depthwise),
    }.items():
        paths[way] = a.out / (re.sub("[ ,]+", "-", way) + ".onnx")
        quantise(prepared, paths[way], Photos(a.train, a.images, a.photos, name, size), **options)

    reports = {}
    for way, path in paths.items():
        package = a.package
        if path != whole:
            package = path.with_suffix("")
            write_package(a.package, package, path)
        reports[way] = evaluate(a.agequote, package, a.validation, a.images)
    runs, loads = timed(paths, a.turns)
    write(a.docs, table(paths, reports, runs, loads))


def table(paths, reports, runs, loads):
    first = next(iter(paths))
    lines = ["| network | MAE, all | adults | coverage of adults, % | time, ratio | loading, ratio | MB | zipped |", "|---|---|---|---|---|---|---|---|"]
    for way, path in paths.items():
        r = reports[way]
        adults = r["groups"]["adults=18-75"]
        content = path.read_bytes()
        lines.append(f"| {way} | {r['mae']:.2f} | {adults['mae']:.2f} | {100 * adults['coverage']:.1f} | {ratio(runs[way], runs[first])} | "
                     f"{ratio(loads[way], loads[first])} | {len(content) / 1e6:.1f} | {len(zlib.compress(content, 6)) / 1e6:.1f} |")
    n = reports[first]["n"]
    lines.append(f"\n{n} validation photos, with the shipped model's calibration. Times by turns on one thread; medians of the ratios and their quartiles. "
                 f"As shipped: {statistics.median(runs[first]):.1f} ms, loaded in {statistics.median(loads[first]):.0f} ms.")
    return "\n".join(lines)


def write(page, text):
    old = page.read_text()
    begin, end = "<!-- smaller: begin -->", "<!-- smaller: end -->"
    before, rest = old.split(begin)
    page.write_text(before + begin + "\n" + text + "\n" + end + rest.split(end)[1])
    print(text)


if __name__ == "__main__":
    main()
