"""The photos of a manifest to ages in Python, on processes of one thread each,
which is how Python uses several cores. Prints one line of JSON."""

import argparse
import csv
import json
import multiprocessing
import os
import time

_reader = None


def start(models, runtime, ready):
    global _reader
    from handler import Reader

    _reader = Reader(models, runtime)
    ready.wait()


def read(path):
    before, cpu = _reader.busy, time.process_time()
    with open(path, "rb") as f:
        code, age = _reader.read(f.read())
    return code, age, _reader.busy - before, time.process_time() - cpu


def main():
    p = argparse.ArgumentParser()
    p.add_argument("manifest")
    p.add_argument("--images", required=True)
    p.add_argument("--models", required=True)
    p.add_argument("--runtime", choices=["onnxruntime", "torch"], required=True)
    p.add_argument("--processes", type=int, required=True)
    p.add_argument("--out", required=True, help="CSV of case, code and age")
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
        w.writerow(["case", "code", "age"])
        w.writerows((case, code, age) for (case, _), (code, age, *_) in zip(rows, results))
    busy = sum(r[2] for r in results)
    print(json.dumps({"photos": len(rows), "start_seconds": loaded - began, "photos_per_second": len(rows) / took,
                      "networks_share": busy / took / a.processes,
                      "cpu_ms_a_photo": 1000 * sum(r[3] for r in results) / len(rows)}))


if __name__ == "__main__":
    main()
