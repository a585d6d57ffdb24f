"""What the article deploys: a ResNet34 that reads the age off the whole photo at
256 pixels, in PyTorch. The weights are random: this is for time and size alone.
The network is training/bench/nets.py's shape in plain torch.nn, with the
batch norms folded into the convolutions, as a deployment would have them."""

import io

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import nn

SIZE = 256
MEAN, DEVIATION = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


class Block(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, 3, stride, 1)
        self.second = nn.Conv2d(outputs, outputs, 3, 1, 1)
        self.shortcut = nn.Conv2d(inputs, outputs, 1, stride) if stride > 1 else nn.Identity()

    def forward(self, x):
        return torch.relu(self.second(torch.relu(self.first(x))) + self.shortcut(x))


def resnet34():
    layers = [nn.Conv2d(3, 64, 7, 2, 3), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    inputs = 64
    for outputs, blocks in ((64, 3), (128, 4), (256, 6), (512, 3)):
        for i in range(blocks):
            layers.append(Block(inputs, outputs, 2 if i == 0 and outputs > 64 else 1))
            inputs = outputs
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 1))


class Estimator:
    def __init__(self, weights, threads=1):
        torch.set_num_threads(threads)
        self.network = resnet34().eval()
        self.network.load_state_dict(torch.load(weights, weights_only=True))
        self.mean, self.deviation = torch.tensor(MEAN).view(3, 1, 1), torch.tensor(DEVIATION).view(3, 1, 1)

    def estimate(self, photo):
        image = Image.open(io.BytesIO(photo))
        image.draft("RGB", (SIZE, SIZE))
        image = ImageOps.exif_transpose(image).convert("RGB").resize((SIZE, SIZE), Image.BILINEAR)
        pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255
        with torch.inference_mode():
            return float(self.network(((pixels - self.mean) / self.deviation)[None]))


if __name__ == "__main__":
    import sys

    torch.manual_seed(1)
    torch.save(resnet34().state_dict(), sys.argv[1])
