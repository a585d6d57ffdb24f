"""Trains a recipe in PyTorch on the run's own labels and cached crops or maps:
the same data, network, starting weights of the backbone, loss, mixup, schedule
and optimizer as `training fit`, by other random numbers. Prints a line an epoch
and, at the end, the best errors with the seconds of training and validation.

  python training/bench/torch_fit.py --recipe training/recipes/seed-small.yaml --run build/runs/seed-small
"""

import argparse
import csv
import glob
import json
import math
import os
import time

import numpy as np
import onnx
import onnx.numpy_helper
import torch
import torch.nn.functional as F
import yaml

import nets

a = argparse.ArgumentParser()
a.add_argument("--recipe", required=True)
a.add_argument("--run", required=True, help="folder with train.tsv and validation.tsv, by prepare")
a.add_argument("--cache", help="folder of what fit has cached; default <run>/cache")
a.add_argument("--weights", help="the backbone's ONNX file, if not the recipe's")
a.add_argument("--threads", type=int, default=os.cpu_count())
a.add_argument("--epochs", type=int, help="at most so many of each stage")
a = a.parse_args()
torch.set_num_threads(a.threads)
torch.manual_seed(1)
with open(a.recipe) as f:
    recipe = yaml.safe_load(f)
network, settings = recipe["network"], recipe["fit"]
resnet = network["kind"] == "resnet34"
classes = network["classes"]


class Cache:
    """One part of the data: items as bytes, by view and photo, and the photos
    that have a face."""

    def __init__(self, part, shape, views):
        with open(os.path.join(a.run, part + ".tsv")) as f:
            rows = list(csv.DictReader(f, delimiter="\t"))
        folders = []
        for folder in glob.glob(os.path.join(a.cache or os.path.join(a.run, "cache"), part, "*")):
            found = [sorted(glob.glob(os.path.join(folder, v + "-" + "[0-9a-f]" * 8 + ".json"))) for v in views]
            if all(found):
                with open(found[0][0]) as f:
                    index = json.load(f)
                if index["shape"] == shape and len(index["faces"]) == len(rows):
                    folders.append((folder, [p[0] for p in found], index))
        if not folders:
            raise SystemExit(f"no cache of {part} with items of {shape}: run training fit first")
        # Of several, by other versions of the crop, the newest.
        folder, names, index = max(folders, key=lambda f: os.path.getmtime(f[1][0]))
        print(f"{part}: {folder}", flush=True)
        self.views = [np.memmap(n[:-5] + ".u8", np.uint8, "r").reshape([-1, *shape]) for n in names]
        self.photos = [i for i, face in enumerate(index["faces"]) if face["code"] == "ok"]
        self.ages = np.array([float(r["age"]) for r in rows], np.float32)
        self.weights = np.array([float(r.get("weight") or 1) for r in rows], np.float32)
        self.sources = [r["dataset"] for r in rows]


def view_names():
    names = []
    for v in recipe["views"]:
        n = v.get("count", 0)
        names += [f"{v['name']}-{i + 1}" for i in range(n)] if n else [v["name"]]
    return names


def start_weights():
    """As net.ResNet34, net.Body and net.Head load or draw them."""
    g = np.random.default_rng(recipe["seed"])
    w = {}

    def he(name, shape, fan, gain=2.0):
        w[name] = (g.standard_normal(shape) * math.sqrt(gain / fan)).astype(np.float32)

    def norm(name, n):
        w[name + "/scale"], w[name + "/shift"] = np.ones(n, np.float32), np.zeros(n, np.float32)
        w[name + "/mean/statistic"], w[name + "/variance/statistic"] = np.zeros(n, np.float32), np.ones(n, np.float32)

    if resnet:
        he("conv1/kernel", (64, 3, 7, 7), 147)
        norm("bn1", 64)
        c = 64
        for l, (blocks, out) in enumerate(nets.LAYERS):
            for b in range(blocks):
                name = f"layer{l + 1}/{b}/"
                he(name + "conv1/kernel", (out, c, 3, 3), 9 * c)
                he(name + "conv2/kernel", (out, out, 3, 3), 9 * out)
                norm(name + "bn1", out)
                norm(name + "bn2", out)
                if l > 0 and b == 0:
                    he(name + "shortcut/kernel", (out, c, 1, 1), c)
                    norm(name + "shortcut_bn", out)
                c = out
        for i, n in enumerate(nets.HEAD[:3]):
            norm(f"head/{i}/bn", n)
            he(f"head/{i}/kernel", (n, nets.HEAD[i + 1]), n)
            w[f"head/{i}/bias"] = np.zeros(nets.HEAD[i + 1], np.float32)
        w["head/2/bias"][0] = network.get("start", 0)
        return w

    model = onnx.load(a.weights or network["weights"])
    t = {i.name: onnx.numpy_helper.to_array(i) for i in model.graph.initializer}
    for i in range(network["first"], nets.BLOCKS + 1):
        name, scale = f"block_{i:02d}/", t[f"conv_dw_{i}_bn/batchnorm_1/mul"].reshape(-1)
        kernel = t[f"conv_dw_{i}/depthwise_kernel"].reshape(-1, 3, 3) * scale[:, None, None]
        w[name + "depthwise/kernel"] = kernel.transpose(1, 2, 0)
        w[name + "depthwise/bias"] = t[f"conv_dw_{i}_bn/batchnorm_1/sub"].reshape(-1)
        pointwise = t[f"conv_pw_{i}/convolution/merged_input"]
        w[name + "pointwise/kernel"] = pointwise.reshape(pointwise.shape[0], -1).T
        w[name + "pointwise/bias"] = t[f"conv_pw_{i}_bn/batchnorm_1/sub"].reshape(-1)
    he("head/hidden/kernel", (2048, network["hidden"]), 2048)
    w["head/hidden/bias"] = np.zeros(network["hidden"], np.float32)
    w["head/age/kernel"] = np.zeros((network["hidden"], classes), np.float32)
    w["head/age/bias"] = np.zeros(classes, np.float32)
    if not network["own"]:
        he("head/age/kernel", (network["hidden"], classes), network["hidden"], 1.0)
        return w
    w["own/hidden/kernel"], w["own/hidden/bias"] = t["feats/kernel"], t["feats/bias"]
    own, bias = t["age_pred/kernel"], t["age_pred/bias"]
    w["own/age/kernel"] = np.pad(own, ((0, 0), (0, classes - own.shape[1])))
    w["own/age/bias"] = np.pad(bias, (0, classes - len(bias)), constant_values=-6)
    return w


def values_of(items):
    x = torch.from_numpy(items)
    if resnet:
        return nets.pixels(x)
    return x.permute(0, 3, 1, 2).float().contiguous() * (6 / 255)


def outputs(p, x, first, training):
    if resnet:
        return nets.resnet34(p, x, training, network["dropout"])
    return nets.head(p, nets.body(p, x, first), training, network["dropout"], network["own"])


def loss_of(logits, soft, ages, weights):
    loss, each = settings["loss"], 0
    if loss.get("smooth_l1"):
        each = each + loss["smooth_l1"] * F.smooth_l1_loss(logits[:, 0], ages, reduction="none")
    if loss.get("likelihood"):
        each = each - loss["likelihood"] * (soft * F.log_softmax(logits, 1)).sum(1)
    if loss.get("mean"):
        mean = (torch.softmax(logits, 1) * torch.arange(classes)).sum(1)
        each = each + loss["mean"] * F.smooth_l1_loss(mean, ages, reduction="none")
    if loss.get("crps"):
        each = each + loss["crps"] * (torch.softmax(logits, 1) - soft).cumsum(1).square().sum(1)
    return (each * weights).sum() / weights.sum()


def one_cycle(step, total):
    """Factor of the peak rate, and momentum, as fit.OneCycle has them by default."""
    def cosine(a, b, f):
        return b + (a - b) * (1 + math.cos(math.pi * f)) / 2
    f, warm = step / max(total - 1, 1), 0.25
    if f < warm:
        return cosine(1 / 25, 1, f / warm), cosine(0.95, 0.85, f / warm)
    return cosine(1, 1e-5, (f - warm) / (1 - warm)), cosine(0.85, 0.95, (f - warm) / (1 - warm))


def rates_of(stage):
    groups = settings["groups"]
    rates = [stage["rates"].get(g["name"], 0) for g in groups]
    if "spread" in stage:
        last, first, top = len(groups) - 1, stage["spread"]["first"], stage["spread"]["share"] * rates[-1]
        for i in range(last):
            rates[i] = first * (top / first) ** (i / (last - 1) if last > 1 else 0)
    return rates


def points(outs):
    if classes == 1:
        return {"output": outs[:, 0]}
    c = outs.cumsum(1)
    k = (c < 0.5).sum(1)
    before = torch.where(k > 0, c.gather(1, (k - 1).clamp(min=0)[:, None])[:, 0], torch.zeros(len(k)))
    # Each age's mass is spread over its year, as age.Distribution has it.
    median = k - 0.5 + (0.5 - before) / outs.gather(1, k[:, None])[:, 0]
    return {"mean": (outs * torch.arange(classes)).sum(1), "median": median}


@torch.no_grad()
def validate(p, cache, first):
    views = cache.views[:2 if settings.get("mirror") else 1]
    outs = []
    for i in range(0, len(cache.photos), 64):
        part = cache.photos[i:i + 64]
        each = [outputs(p, values_of(np.ascontiguousarray(v[part])), first, False) for v in views]
        outs.append(sum(torch.softmax(o, 1) if classes > 1 else o for o in each) / len(views))
    ages = torch.from_numpy(cache.ages[cache.photos])
    sources = np.array([cache.sources[i] for i in cache.photos])
    scores = {}
    for point, years in points(torch.cat(outs)).items():
        d = (years - ages).numpy()
        scores[point] = {s: [float(np.abs(d[sources == s]).mean()), float(np.sqrt((d[sources == s] ** 2).mean()))] for s in sorted(set(sources))}
    return scores


def groups_of(p, trained, rates):
    out = []
    for g, rate in zip(settings["groups"], rates):
        for decay, wanted in ((g["decay"], lambda t: t.dim() > 1), (0, lambda t: t.dim() == 1)):
            mine = [p[n] for n in trained if next(h for h in settings["groups"] if n.startswith(tuple(h["scopes"]))) is g and wanted(p[n])]
            out.append({"params": mine, "weight_decay": decay, "peak": rate})
    return out


p = nets.parameters(start_weights())
weights_names = [n for n, t in p.items() if t.requires_grad]
average = {n: p[n].detach().clone() for n in weights_names}
rng = np.random.default_rng(recipe["seed"])
training, validation, best = 0.0, 0.0, None
for stage in settings["stages"]:
    first = stage.get("first", network.get("first"))
    if resnet:
        shape = [stage["size"], stage["size"], 3]
    else:
        side = 224 // 2
        for i in range(1, first):
            side //= nets.STRIDE.get(i, 1)
        shape = [side, side, p[f"block_{first:02d}/depthwise/bias"].shape[0]]
    train, valid = Cache("train", shape, view_names()), Cache("validation", shape, ["plain", "mirror"])
    order = [i for i in train.photos for _ in range(recipe.get("repeat", {}).get(train.sources[i], 1))]
    batch, rates = stage["batch"], rates_of(stage)
    used = [n for n in weights_names if not n.startswith("block_") or int(n[6:8]) >= first]
    trained = [n for n in used if rates[next(i for i, g in enumerate(settings["groups"]) if n.startswith(tuple(g["scopes"])))] > 0]
    for n in weights_names:
        p[n].requires_grad_(n in trained)
    optimizer = torch.optim.AdamW(groups_of(p, trained, rates), lr=1e-3, betas=(0.9, settings.get("beta2", 0.999)), eps=settings.get("epsilon", 1e-8), fused=True)
    per_epoch = len(order) // batch
    if stage.get("steps"):
        per_epoch = min(per_epoch, stage["steps"])
    total = per_epoch * stage["epochs"]
    for epoch in range(min(stage["epochs"], a.epochs or stage["epochs"])):
        began = time.perf_counter()
        rng.shuffle(order)
        for step in range(per_epoch):
            part = order[step * batch:(step + 1) * batch]
            items = np.stack([train.views[rng.integers(len(train.views))][i] for i in part])
            x, ages, weights = values_of(items), torch.from_numpy(train.ages[part]), torch.from_numpy(train.weights[part])
            soft = nets.soft_labels(ages, classes, settings["sigma"]) if classes > 1 else torch.zeros(batch, 1)
            if settings.get("mixup"):
                l = rng.beta(settings["mixup"], settings["mixup"], batch).astype(np.float32)
                l = torch.from_numpy(np.maximum(l, 1 - l))
                mix = lambda t: t * l.view(-1, *[1] * (t.dim() - 1)) + t.flip(0) * (1 - l).view(-1, *[1] * (t.dim() - 1))
                x, soft, ages, weights = mix(x), mix(soft), mix(ages), mix(weights)
            factor, momentum = one_cycle(epoch * per_epoch + step, total)
            for g in optimizer.param_groups:
                g["lr"], g["betas"] = g["peak"] * factor, (momentum, g["betas"][1])
            optimizer.zero_grad()
            loss = loss_of(outputs(p, x, first, True), soft, ages, weights)
            loss.backward()
            if settings.get("clip"):
                torch.nn.utils.clip_grad_norm_([p[n] for n in trained], settings["clip"])
            optimizer.step()
            if settings.get("average"):
                with torch.no_grad():
                    torch._foreach_lerp_([average[n] for n in trained], [p[n] for n in trained], 1 - settings["average"])
        took = time.perf_counter() - began
        began = time.perf_counter()
        scores = validate({**p, **average} if settings.get("average") else p, valid, first)
        validation += time.perf_counter() - began
        training += took
        point = min(scores, key=lambda k: np.mean([v[0] for v in scores[k].values()]))
        score = float(np.mean([v[0] for v in scores[point].values()]))
        print(f"stage {stage['name']}, epoch {epoch + 1}: {took:.1f} s, loss {loss.item():.4f}, {point} " +
              ", ".join(f"{s} MAE {v[0]:.3f} RMSE {v[1]:.3f}" for s, v in scores[point].items()), flush=True)
        if best is None or score < best["score"]:
            best = {"score": score, "point": point, "stage": stage["name"], "epoch": epoch + 1, **scores[point]}
print(json.dumps({"best": best, "training_s": round(training, 1), "validation_s": round(validation, 1), "torch": torch.__version__, "threads": a.threads}))
