"""What a user would deploy instead of agequote: a photo's bytes to an age in
Python, with the same two ONNX files, Pillow for pictures and NumPy for all
between. It follows internal/face and internal/age: the detector's look at 320,
640 and 1280 px, the crop by five landmarks, the median of the distribution. The
networks run on ONNX Runtime or, operator for operator, on PyTorch.

    python handler.py --models ../../models --runtime onnxruntime photo.jpg
    python handler.py --models ../../models --serve     a path a line in, JSON out

As a Lambda function: lambda_handler, with MODELS in the environment and an event
{"photo": "base64 of the bytes"}.
"""

import argparse
import io
import json
import math
import os
import sys
import time

import numpy as np
from PIL import Image, ImageOps

SIZE = 224
TEMPLATE = np.array([[61.2, 60.1], [136.9, 58.7], [99.9, 101.5], [66.9, 136.4], [133.9, 135.0]]) * SIZE / 200
OUTPUTS = [f"{kind}_{stride}" for kind in ("cls", "obj", "bbox", "kps") for stride in (8, 16, 32)]


class OnnxRuntime:
    def __init__(self, path, outputs, threads):
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        self.session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self.input, self.outputs = self.session.get_inputs()[0].name, outputs

    def __call__(self, x):
        return self.session.run(self.outputs, {self.input: x})


def runtime_of(name):
    if name == "torch":
        from torch_graph import Torch

        return Torch
    return OnnxRuntime


class Reader:
    """Reads ages. Its networks are loaded once."""

    def __init__(self, models, runtime="onnxruntime", threads=1):
        network = runtime_of(runtime)
        self.detector = network(os.path.join(models, "detector.onnx"), OUTPUTS, threads)
        self.age = network(os.path.join(models, "age.onnx"), ["probabilities"], threads)
        self.busy = 0.0  # seconds in networks

    def run(self, network, x):
        began = time.perf_counter()
        out = network(x)
        self.busy += time.perf_counter() - began
        return out

    def read(self, photo):
        """Returns a code and the age in years, None where it is not ok."""
        try:
            img = ImageOps.exif_transpose(Image.open(io.BytesIO(photo))).convert("RGB")
        except Exception:
            return "not_image", None
        face = self.detect(img)
        if face is None:
            return "no_face", None
        crop = np.array(align(img, face), np.uint8)[None]
        return "ok", median(self.run(self.age, crop)[0][0])

    def detect(self, img):
        last = 0
        for side in (320, 640, 1280):
            f = -(-max(img.size) // side)
            if f == last:
                continue
            last = f
            faces = self.detect_at(img.reduce(f) if f > 1 else img, f)
            if len(faces) > 0:
                return faces
        return None

    def detect_at(self, img, f):
        """The landmarks of the largest face, in pixels of the photo."""
        w, h = (-(-s // 32) * 32 for s in img.size)
        x = np.zeros((1, 3, h, w), np.float32)
        x[0, :, : img.height, : img.width] = np.asarray(img)[:, :, ::-1].transpose(2, 0, 1)
        out = self.run(self.detector, x)
        boxes, marks, scores = [], [], []
        for level, stride in enumerate((8, 16, 32)):
            cls, obj, bbox, kps = (out[k * 3 + level][0].reshape(-1, n) for k, n in enumerate((1, 1, 4, 10)))
            score = np.sqrt(np.clip(cls, 0, 1) * np.clip(obj, 0, 1))[:, 0]
            found = np.flatnonzero(score >= 0.6)
            if len(found) == 0:
                continue
            at = np.stack([found % (w // stride), found // (w // stride)], 1)
            centre, size = (at + bbox[found, :2]) * stride * f, np.exp(bbox[found, 2:]) * stride * f
            boxes.append(np.concatenate([centre - size / 2, size], 1))
            marks.append((at[:, None] + kps[found].reshape(-1, 5, 2)) * stride * f)
            scores.append(score[found])
        if not boxes:
            return []
        boxes, marks, scores = map(np.concatenate, (boxes, marks, scores))
        kept = suppress(boxes, scores)
        return marks[max(kept, key=lambda i: boxes[i, 2] * boxes[i, 3])]


def suppress(boxes, scores):
    kept = []
    for i in np.argsort(-scores, kind="stable"):
        x, y, w, h = boxes[i]
        for k in kept:
            kx, ky, kw, kh = boxes[k]
            ow, oh = min(x + w, kx + kw) - max(x, kx), min(y + h, ky + kh) - max(y, ky)
            if ow > 0 and oh > 0 and ow * oh / (w * h + kw * kh - ow * oh) > 0.3:
                break
        else:
            kept.append(i)
    return kept


def align(img, marks):
    """The upright crop: a similarity by least squares from template to photo."""
    u, x = TEMPLATE - TEMPLATE.mean(0), marks - marks.mean(0)
    norm = (u * u).sum()
    a, b = (u * x).sum() / norm, (u[:, 0] * x[:, 1] - u[:, 1] * x[:, 0]).sum() / norm
    x0, y0 = marks.mean(0) - np.array([[a, -b], [b, a]]) @ TEMPLATE.mean(0)
    f = max(1, int(math.hypot(a, b)))
    corners = np.array([[0, 0], [SIZE, 0], [0, SIZE], [SIZE, SIZE]]) @ np.array([[a, b], [-b, a]]) + [x0, y0]
    margin = 2 + math.hypot(a, b)
    low = np.clip((corners.min(0) - margin).astype(int), 0, np.array(img.size) - 1)
    low -= low % f
    high = np.clip((corners.max(0) + margin).astype(int) + 1, low + 1, img.size)
    part = img.crop((*low, *high))
    part = part.reduce(f) if f > 1 else part
    a, b, x0, y0 = a / f, b / f, (x0 - low[0]) / f, (y0 - low[1]) / f
    # Four samples a pixel, and no black beyond the edge.
    pad = 64
    part = Image.fromarray(np.pad(np.asarray(part), ((pad, pad), (pad, pad), (0, 0)), "edge"))
    big = part.transform((2 * SIZE, 2 * SIZE), Image.Transform.AFFINE,
                         (a / 2, -b / 2, x0 + pad, b / 2, a / 2, y0 + pad), Image.Resampling.BILINEAR)
    return big.reduce(2)


def median(p):
    p = np.asarray(p, np.float64)
    before = np.cumsum(p) - p
    k = int(np.searchsorted(np.cumsum(p), p.sum() / 2))
    return round(max(0.0, k - 0.5 + (p.sum() / 2 - before[k]) / p[k]), 1)


_reader = None


def lambda_handler(event, context):
    import base64

    global _reader
    if _reader is None:
        _reader = Reader(os.environ["MODELS"], os.environ.get("RUNTIME", "onnxruntime"))
    code, age = _reader.read(base64.b64decode(event["photo"]))
    return {"code": code, "age": age}


def main():
    began = time.perf_counter()
    p = argparse.ArgumentParser()
    p.add_argument("--models", required=True)
    p.add_argument("--runtime", choices=["onnxruntime", "torch"], default="onnxruntime")
    p.add_argument("--serve", action="store_true", help="read paths from standard input")
    p.add_argument("photos", nargs="*")
    a = p.parse_args()
    reader = Reader(a.models, a.runtime)
    if a.serve:
        print(json.dumps({"ready": time.perf_counter() - began}), flush=True)
    for path in (line.rstrip("\n") for line in sys.stdin) if a.serve else a.photos:
        began = time.perf_counter()
        with open(path, "rb") as f:
            code, age = reader.read(f.read())
        print(json.dumps({"file": path, "code": code, "age": age, "ms": round((time.perf_counter() - began) * 1000, 1)}), flush=True)


if __name__ == "__main__":
    main()
