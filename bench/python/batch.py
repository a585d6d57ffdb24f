"""The photos of a manifest to ages in Python, on processes of one thread each,
which is how Python uses several cores. Prints one line of JSON."""

import argparse
import csv
import json
import multiprocessing
import os
import time

_estimator = None


class Timed:
    """A network that adds up how long it ran."""

    def __init__(self, session):
        self.session, self.busy = session, 0.0

    def run(self, outputs, inputs):
        began = time.perf_counter()
        out = self.session.run(outputs, inputs)
        self.busy += time.perf_counter() - began
        return out


def start(models, runtime, ready):
    global _estimator
    from onnx_handler import Estimator

    _estimator = Estimator(models)
    if runtime == "torch":
        from torch_graph import Torch

        _estimator.detector = Torch(os.path.join(models, "detector.onnx"))
        _estimator.network = Torch(os.path.join(models, "age.onnx"))
    _estimator.detector, _estimator.network = Timed(_estimator.detector), Timed(_estimator.network)
    ready.wait()


def busy():
    return _estimator.detector.busy + _estimator.network.busy


def read(path):
    before, cpu = busy(), time.process_time()
    with open(path, "rb") as f:
        age = _estimator.estimate(f.read())
    return age, busy() - before, time.process_time() - cpu


def main():
    p = argparse.ArgumentParser()
    p.add_argument("manifest")
    p.add_argument("--images", required=True)
    p.add_argument("--models", required=True)
    p.add_argument("--runtime", choices=["onnxruntime", "torch"], required=True)
    p.add_argument("--processes", type=int, required=True)
    p.add_argument("--out", required=True, help="CSV of case and age")
    a = p.parse_args()
    began = time.perf_counter()
    with open(a.manifest, newline="") as f:
        rows = [(r["case"], os.path.join(a.images, r["photo"])) for r in csv.DictReader(f)]
    context = multiprocessing.get_context("spawn")
    ready = context.Barrier(a.processes + 1)
    with context.Pool(a.processes, start, (a.models, a.runtime, ready)) as pool:
        ready.wait()
        loaded = time.perf_counter()
        results = pool.map(read, [photo for _, photo in rows], chunksize=8)
        took = time.perf_counter() - loaded
    with open(a.out, "w", newline="") as f:
        w = csv.writer(f)
        w.writerow(["case", "age"])
        w.writerows((case, age) for (case, _), (age, *_) in zip(rows, results))
    networks = sum(r[1] for r in results)
    print(json.dumps({"photos": len(rows), "start_seconds": loaded - began, "photos_per_second": len(rows) / took,
                      "networks_share": networks / took / a.processes,
                      "cpu_ms_a_photo": 1000 * sum(r[2] for r in results) / len(rows)}))


if __name__ == "__main__":
    main()
