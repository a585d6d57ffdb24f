"""Known boxes for TestDetectKnownBoxes, by OpenCV's own YuNet decoder.

Run from the repository's root, with opencv-python-headless and pillow:
    python internal/face/testdata/yunet_reference.py > internal/face/testdata/yunet_reference.json
Photos are halved by averaging 2 x 2 pixels, as face.Detect looks at them.
"""
import json

import cv2
import numpy as np
from PIL import Image

out = {}
for name in ("astronaut.png", "grace_hopper.jpg"):
    rgb = np.asarray(Image.open(f"events/selfies/{name}").convert("RGB")).astype(np.uint32)
    half = (rgb[0::2, 0::2] + rgb[1::2, 0::2] + rgb[0::2, 1::2] + rgb[1::2, 1::2] + 2) // 4
    bgr = np.ascontiguousarray(half[:, :, ::-1].astype(np.uint8))
    detector = cv2.FaceDetectorYN.create("models/detector.onnx", "", (bgr.shape[1], bgr.shape[0]), 0.6, 0.3, 5000)
    _, faces = detector.detect(bgr)
    out[name] = [[round(float(v), 3) for v in face] for face in faces]
print(json.dumps(out, indent=1))
