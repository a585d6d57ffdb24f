"""Answers a photo's path on stdin with a line of JSON: the age. It says "ready"
before, as a Lambda runtime would ask for its first event then.

    python serve.py onnx models
    python serve.py torch resnet34.pt"""

import json
import pathlib
import sys

kind, model = sys.argv[1:]
if kind == "onnx":
    from onnx_handler import Estimator
else:
    from torch_handler import Estimator

estimator = Estimator(model)
print('"ready"', flush=True)
for line in sys.stdin:
    print(json.dumps({"age": estimator.estimate(pathlib.Path(line.strip()).read_bytes())}), flush=True)
