"""What one would deploy in Python in place of functions/predict: the same ONNX
files on ONNX Runtime, with Pillow and NumPy. It finds the one face, aligns it by
the same five points and returns the median of the age network's distribution.

Left out, to its advantage: refusals, quality checks, the interval, consent, and
every store. Pillow decodes large JPEGs at a part of their size, as one would."""

import io
import json
import math
import pathlib

import numpy as np
import onnxruntime as ort
from PIL import Image, ImageOps

SIZE = 224
TEMPLATE = np.array([[61.2, 60.1], [136.9, 58.7], [99.9, 101.5], [66.9, 136.4], [133.9, 135.0]]) * SIZE / 200
STRIDES = (8, 16, 32)


class Estimator:
    def __init__(self, package, threads=1):
        package = pathlib.Path(package)
        manifest = json.loads((package / "manifest.json").read_text())
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1

        def load(name):
            return ort.InferenceSession(str(package / name), options, providers=["CPUExecutionProvider"])

        self.detector = load(manifest["detector"]["file"])
        self.network = load(manifest["network"]["file"])
        self.input, self.output = manifest["network"]["input"], manifest["network"]["output"]

    def estimate(self, photo):
        """Returns the age on the photo's bytes, or None where there is no face."""
        image = Image.open(io.BytesIO(photo))
        image.draft("RGB", (640, 640))
        image = ImageOps.exif_transpose(image).convert("RGB")
        points = self.landmarks(image)
        if points is None:
            return None
        crop = align(image, points)
        probabilities = self.network.run([self.output], {self.input: np.asarray(crop)[None]})[0][0]
        return median(probabilities)

    def landmarks(self, image):
        """The five points of the largest face in pixels, by YuNet."""
        factor = max(1, math.ceil(max(image.size) / 320))
        small = np.asarray(image.reduce(factor) if factor > 1 else image)
        h, w = (-(-s // 32) * 32 for s in small.shape[:2])
        padded = np.zeros((h, w, 3), np.float32)
        padded[: small.shape[0], : small.shape[1]] = small[:, :, ::-1]
        names = [f"{kind}_{s}" for kind in ("cls", "obj", "bbox", "kps") for s in STRIDES]
        out = dict(zip(names, self.detector.run(names, {"input": padded.transpose(2, 0, 1)[None]})))
        best, largest = None, 0.0
        for s in STRIDES:
            cls, obj = out[f"cls_{s}"].reshape(-1), out[f"obj_{s}"].reshape(-1)
            bbox, kps = out[f"bbox_{s}"].reshape(-1, 4), out[f"kps_{s}"].reshape(-1, 5, 2)
            score = np.sqrt(np.clip(cls, 0, 1) * np.clip(obj, 0, 1))
            for i in np.flatnonzero(score >= 0.6):
                area = float(np.exp(bbox[i, 2] + bbox[i, 3])) * s * s * float(score[i])
                if area > largest:
                    cell = np.array([i % (w // s), i // (w // s)])
                    best, largest = (kps[i] + cell) * s * factor, area
        return best


def align(image, points):
    """The crop by the similarity transform from the template to the points."""
    mu, mx = TEMPLATE.mean(0), points.mean(0)
    u, x = TEMPLATE - mu, points - mx
    norm = (u * u).sum()
    a, b = (u * x).sum() / norm, (u[:, 0] * x[:, 1] - u[:, 1] * x[:, 0]).sum() / norm
    x0, y0 = mx[0] - a * mu[0] + b * mu[1], mx[1] - b * mu[0] - a * mu[1]
    factor = max(1, int(math.hypot(a, b)))
    if factor > 1:
        image = image.reduce(factor)
    return image.transform((SIZE, SIZE), Image.AFFINE, [v / factor for v in (a, -b, x0, b, a, y0)], Image.BILINEAR)


def median(probabilities):
    """Where half of the probability lies below, linear within a year."""
    below = 0.0
    for year, p in enumerate(probabilities):
        if below + p >= 0.5:
            return year + (0.5 - below) / float(p)
        below += float(p)
    return float(len(probabilities))
