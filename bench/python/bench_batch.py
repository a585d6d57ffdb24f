"""Takes turns: the same photos through `agequote batch`, through Python with ONNX
Runtime, and through PyTorch, on the same two processors. Prints photos a second
of each round, without the start of the process, and ratios with their spread; and
the processor's time a photo, which other work on the machine changes little.
agequote also writes, quotes and reports; the other two only read ages.

    make bench-batch [IMAGES=dir] [PHOTOS=200] [ROUNDS=3]

With --kills it is agequote alone, once undisturbed and once killed so many times
with SIGKILL and taken up, and the two are compared:

    make soak-batch [IMAGES=dir] [PHOTOS=10000] [KILLS=3]
"""

import argparse
import csv
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

from PIL import Image, ImageEnhance

HERE = os.path.dirname(os.path.abspath(__file__))
HEADER = "case,photo,age,sex,height_cm,weight_kg,tobacco,sum,term,market,consent_version,consent_time,consent_days".split(",")


def make_photos(selfies, to, n, rng):
    """Selfies as phones take them, 1200 px wide, each another one."""
    names = []
    sources = [Image.open(os.path.join(selfies, f)).convert("RGB") for f in sorted(os.listdir(selfies)) if f.endswith((".jpg", ".png"))]
    for i in range(n):
        img = sources[i % len(sources)]
        w, h = img.size
        left, top = rng.randint(0, w // 20), rng.randint(0, h // 20)
        img = img.crop((left, top, w - rng.randint(0, w // 20), h - rng.randint(0, h // 20)))
        img = img.resize((1200, 1200 * img.height // img.width), Image.Resampling.BICUBIC)
        img = ImageEnhance.Brightness(img).enhance(rng.uniform(0.85, 1.15))
        names.append(f"{i:05d}.jpg")
        img.save(os.path.join(to, names[-1]), quality=rng.randint(85, 94))
    return names


def find_photos(images, n, rng):
    names = sorted(os.path.relpath(os.path.join(folder, f), images) for folder, _, files in os.walk(images)
                   for f in files if f.lower().endswith((".jpg", ".jpeg", ".png", ".webp")))
    return rng.sample(names, min(n, len(names)))


def write_manifest(path, names, rng):
    agreed = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    with open(path, "w", newline="") as f:
        w = csv.writer(f)
        w.writerow(HEADER)
        for i, name in enumerate(names):
            w.writerow([f"bench-{i:06d}", name, rng.randint(20, 70), rng.choice(["female", "male"]), rng.randint(155, 190), rng.randint(55, 95),
                        rng.choice(["never", "never", "current"]), rng.choice([100000, 250000, 500000]), rng.choice([10, 20]), "US", "2026-11-25", agreed, 30])


def agequote(a, manifest, images, out):
    shutil.rmtree(out, ignore_errors=True)
    began = time.perf_counter()
    done = subprocess.run([a.agequote, "batch", manifest, "--images", images, "--out", out, "--model", a.models, "--workers", str(a.processors), "--json"],
                          check=True, capture_output=True, text=True)
    wall = time.perf_counter() - began
    t = json.loads(done.stdout)["times"]
    with open(os.path.join(out, "results.csv"), newline="") as f:
        ages = {r["case"]: r["age"] for r in csv.DictReader(f)}
    start = wall - t["predict_seconds"] - t["quote_seconds"] - t["report_seconds"]
    return {"photos_per_second": t["photos_per_second"], "networks_share": t["networks_share"], "start_seconds": start,
            "cpu_ms_a_photo": 1000 * t["cpu_seconds"] / t["photos_read"]}, ages


def soak(a, manifest, images, work):
    """Kills a batch at random and compares it with one that nobody killed."""
    whole, killed = os.path.join(work, "whole"), os.path.join(work, "killed")
    result, _ = agequote(a, manifest, images, whole)
    with open(os.path.join(whole, "summary.json")) as f:
        summary = json.load(f)
    print(f"{result['photos_per_second']:.1f} photos/s, networks {result['networks_share']:.0%}, {result['cpu_ms_a_photo']:.0f} ms of a processor a photo, "
          f"at most {summary['times']['peak_memory_mb']:.0f} MB; {summary['books']}", flush=True)
    rng = random.Random(a.seed)
    command = [a.agequote, "batch", manifest, "--images", images, "--out", killed, "--model", a.models, "--workers", str(a.processors)]
    took = summary["times"]["predict_seconds"]
    for _ in range(a.kills):
        run = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        after = rng.uniform(0.1, 0.5) * took
        time.sleep(after)
        run.kill()
        run.wait()
        print(f"killed after {after:.0f} s", flush=True)
    subprocess.run(command, check=True, capture_output=True)
    rows, others = without_times(whole), without_times(killed)
    differ = sum(x != y for x, y in zip(rows, others)) + abs(len(rows) - len(others))
    print(f"{len(rows)} rows, {differ} of them differ from the undisturbed batch")
    return differ == 0


def without_times(out):
    """The rows of results.csv, but for what holds a time."""
    with open(os.path.join(out, "results.csv"), newline="") as f:
        return [{k: v for k, v in row.items() if k not in ("ms", "application_hash", "estimate_hash")} for row in csv.DictReader(f)]


def python(a, runtime, manifest, images, out):
    done = subprocess.run([sys.executable, os.path.join(HERE, "batch.py"), manifest, "--images", images, "--models", a.models,
                           "--runtime", runtime, "--processes", str(a.processors), "--out", out],
                          check=True, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    with open(out, newline="") as f:
        ages = {r["case"]: r["age"] for r in csv.DictReader(f)}
    return json.loads(done.stdout), ages


def agreement(ages, others):
    """How far ages are apart where both read one."""
    gaps = sorted(abs(float(ages[k]) - float(others[k])) for k in ages if ages[k] and others.get(k))
    return {"both": len(gaps), "median": gaps[len(gaps) // 2], "p95": gaps[int(len(gaps) * 0.95)]} if gaps else None


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--agequote", required=True)
    p.add_argument("--models", required=True)
    p.add_argument("--selfies", required=True)
    p.add_argument("--images", help="folder of photos instead of made ones")
    p.add_argument("--photos", type=int, default=200, help="a round")
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--processors", type=int, default=2)
    p.add_argument("--kills", type=int, default=0)
    p.add_argument("--seed", type=int, default=1)
    a = p.parse_args()
    os.sched_setaffinity(0, set(sorted(os.sched_getaffinity(0))[: a.processors]))
    rng = random.Random(a.seed)
    runs = {"agequote": [], "onnxruntime": [], "torch": []}
    with tempfile.TemporaryDirectory() as work:
        images = a.images or work
        names = find_photos(images, a.photos, rng) if a.images else make_photos(a.selfies, work, a.photos, rng)
        manifest = os.path.join(work, "manifest.csv")
        write_manifest(manifest, names, rng)
        if a.kills:
            sys.exit(not soak(a, manifest, images, work))
        for n in range(a.rounds):
            order = list(runs)
            rng.shuffle(order)
            ages = {}
            for who in order:
                if who == "agequote":
                    result, ages[who] = agequote(a, manifest, images, os.path.join(work, "out"))
                else:
                    result, ages[who] = python(a, who, manifest, images, os.path.join(work, who + ".csv"))
                runs[who].append(result)
                print(f"round {n + 1}: {who:12} {result['photos_per_second']:7.2f} photos/s, networks {result['networks_share']:.0%}, "
                      f"{result['cpu_ms_a_photo']:.0f} ms of a processor a photo, "
                      f"start {result['start_seconds']:.1f} s", flush=True)
        for who in ("onnxruntime", "torch"):
            gap = agreement(ages["agequote"], ages[who])
            print(f"ages of {who} beside agequote's: {gap['both']} photos read by both, median {gap['median']:.1f} years apart, 95 % within {gap['p95']:.1f}")
    rate = {who: [r["photos_per_second"] for r in results] for who, results in runs.items()}
    print(f"\n{len(names)} photos a round, {a.rounds} rounds by turns, {a.processors} processors, 1 thread a network")
    for who in runs:
        share = statistics.median(r["networks_share"] for r in runs[who])
        cpu = statistics.median(r["cpu_ms_a_photo"] for r in runs[who])
        ratios = [x / y for x, y in zip(rate["agequote"], rate[who])]
        print(f"{who:12} {statistics.median(rate[who]):7.2f} photos/s (networks {share:.0%}, {cpu:.0f} ms of a processor a photo)   agequote is {statistics.median(ratios):.2f} times as fast, "
              f"{min(ratios):.2f} to {max(ratios):.2f}")


if __name__ == "__main__":
    main()
