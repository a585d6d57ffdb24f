"""The project's networks in PyTorch, layer for layer as training/net builds them
in GoMLX, on weights of the same names: a dictionary of name to tensor."""

import json
import math

import numpy as np
import torch
import torch.nn.functional as F

LAYERS = [(3, 64), (4, 128), (6, 256), (3, 512)]  # ResNet34: blocks and channels
HEAD = [1024, 512, 16, 1]
BLOCKS = 13  # of MobileNetV1
STRIDE = {2: 2, 4: 2, 6: 2, 12: 2}


def read_weights(path):
    """Reads what `training speed` writes: a line of JSON with names and shapes,
    then the values."""
    with open(path, "rb") as f:
        index = json.loads(f.readline())
        return {e["name"]: np.fromfile(f, "<f4", math.prod(e["shape"])).reshape(e["shape"]) for e in index}


def parameters(weights):
    """Tensors in PyTorch's layouts: products take [out, in], convolutions
    [out, in, h, w]. Running statistics are not trained."""
    out = {}
    for name, v in weights.items():
        t = torch.from_numpy(np.array(v))
        if name.endswith("depthwise/kernel"):
            t = t.permute(2, 0, 1).unsqueeze(1)  # [3, 3, c]
        elif name.endswith("pointwise/kernel"):
            t = t.t()[:, :, None, None]
        elif name == "stem/kernel":
            t = t.permute(3, 2, 0, 1)
        elif t.dim() == 2:
            t = t.t()
        out[name] = t.contiguous().requires_grad_(not name.endswith("/statistic"))
    return out


def norm(p, x, name, training):
    return F.batch_norm(x, p[name + "/mean/statistic"], p[name + "/variance/statistic"], p[name + "/scale"], p[name + "/shift"],
                        training=training, momentum=0.1, eps=1e-5)


def dense(p, x, name):
    return F.linear(x, p[name + "/kernel"], p[name + "/bias"])


def pixels(x):
    """Bytes [n, h, w, 3] to ImageNet's units [n, 3, h, w]."""
    mean, sd = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    return x.permute(0, 3, 1, 2).float() * (1 / (255 * sd))[:, None, None] - (mean / sd)[:, None, None]


def resnet34(p, x, training, dropout=0.0):
    """Ages [n, 1] of pictures [n, 3, h, w]."""
    def conv(x, name, bn, size, stride):
        return norm(p, F.conv2d(x, p[name + "/kernel"], stride=stride, padding=size // 2), bn, training)

    x = F.relu(conv(x, "conv1", "bn1", 7, 2))
    x = F.max_pool2d(x, 3, 2, 1)
    for l, (blocks, _) in enumerate(LAYERS):
        for b in range(blocks):
            name, stride = f"layer{l + 1}/{b}/", 2 if l > 0 and b == 0 else 1
            y = F.relu(conv(x, name + "conv1", name + "bn1", 3, stride))
            y = conv(y, name + "conv2", name + "bn2", 3, 1)
            if stride == 2:
                x = conv(x, name + "shortcut", name + "shortcut_bn", 1, 2)
            x = F.relu(x + y)
    x = torch.cat([x.amax((2, 3)), x.mean((2, 3))], 1)
    for i in range(3):
        if i > 0:
            x = F.relu(x)
        x = F.dropout(norm(p, x, f"head/{i}/bn", training), dropout if i == 2 else dropout / 2, training)
        x = dense(p, x, f"head/{i}")
    return x


def stem(p, x, mean):
    """The first map of bytes [n, h, w, 3], red first."""
    x = x.permute(0, 3, 1, 2).flip(1).float() - torch.tensor(mean)[:, None, None]
    return F.relu6(F.conv2d(F.pad(x, (0, 1, 0, 1)), p["stem/kernel"], p["stem/bias"], stride=2))


def body(p, x, first):
    """MobileNetV1 from a block on."""
    for i in range(first, BLOCKS + 1):
        name = f"block_{i:02d}/"
        k, b = p[name + "depthwise/kernel"], p[name + "depthwise/bias"]
        if STRIDE.get(i) == 2:
            x = F.conv2d(F.pad(x, (0, 1, 0, 1)), k, b, stride=2, groups=k.shape[0])
        else:
            x = F.conv2d(x, k, b, padding=1, groups=k.shape[0])
        x = F.relu6(F.conv2d(F.relu6(x), p[name + "pointwise/kernel"], p[name + "pointwise/bias"]))
    return x


def head(p, x, training, dropout=0.0, own=False):
    """Logits of the ages from 0, of the last map."""
    mean = x.mean((2, 3))
    f = torch.cat([mean, x.amax((2, 3))], 1)
    f = F.dropout(F.layer_norm(f, f.shape[1:], eps=1e-3), dropout, training)
    h = F.dropout(F.relu(dense(p, f, "head/hidden")), dropout, training)
    logits = dense(p, h, "head/age")
    if own:
        logits = logits + dense(p, F.relu(dense(p, mean, "own/hidden")), "own/age")
    return logits


def soft_labels(ages, classes, sigma):
    z = (torch.arange(classes)[None, :] - ages.clamp(max=classes - 1)[:, None]) / sigma
    return torch.softmax(-z * z / 2, 1)
