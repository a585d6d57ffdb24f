"""Takes training steps of one network in PyTorch, when told to: a line with a
number of steps on stdin is answered by a line of JSON with the seconds that they
took and the loss of each. `training speed` runs it and takes turns with it."""

import argparse
import json
import sys
import time

import numpy as np
import torch
import torch.nn.functional as F

import nets

a = argparse.ArgumentParser()
a.add_argument("--network", choices=["resnet34", "mobilenet"], required=True)
a.add_argument("--weights", required=True)
a.add_argument("--pixels", required=True, help="bytes [batch, size, size, 3]")
a.add_argument("--batch", type=int, required=True)
a.add_argument("--size", type=int, required=True)
a.add_argument("--threads", type=int, required=True)
a.add_argument("--channels-last", action="store_true")
a = a.parse_args()

torch.set_num_threads(a.threads)
p = nets.parameters(nets.read_weights(a.weights))
if a.channels_last:
    p = {k: v.detach().contiguous(memory_format=torch.channels_last).requires_grad_(v.requires_grad) if v.dim() == 4 else v for k, v in p.items()}
trained = [t for t in p.values() if t.requires_grad]
# Vectors have no decay, as in training/fit.
optimizer = torch.optim.AdamW([
    {"params": [t for t in trained if t.dim() > 1], "weight_decay": 1e-2},
    {"params": [t for t in trained if t.dim() == 1], "weight_decay": 0},
], lr=1e-4, betas=(0.9, 0.99), eps=1e-5, fused=True)
x = np.fromfile(a.pixels, np.uint8).reshape(a.batch, a.size, a.size, 3)
ages = torch.arange(a.batch).float() * 80 / a.batch


def loss_of():
    crops = torch.from_numpy(x)
    if a.network == "resnet34":
        crops = nets.pixels(crops)
        if a.channels_last:
            crops = crops.contiguous(memory_format=torch.channels_last)
        return F.smooth_l1_loss(nets.resnet34(p, crops, True)[:, 0], ages)
    logits = nets.head(p, nets.body(p, nets.stem(p, crops, [103.939, 116.779, 123.68]), 1), True)
    return -(nets.soft_labels(ages, logits.shape[1], 2) * F.log_softmax(logits, 1)).sum(1).mean()


print(json.dumps({"torch": torch.__version__, "threads": torch.get_num_threads()}), flush=True)
for line in sys.stdin:
    losses, began = [], time.perf_counter()
    for _ in range(int(line)):
        optimizer.zero_grad()
        loss = loss_of()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    print(json.dumps({"seconds": time.perf_counter() - began, "losses": losses}), flush=True)
