"""What the servers beside ours have in common: an exported network in ONNX Runtime, and Pillow, as people use them."""

import io
import json
import os

import numpy as np
import onnxruntime as ort
from PIL import Image

THREADS = int(os.environ.get("THREADS", "0"))  # of a session; 0: ONNX Runtime's default, one per core


class OnnxModel:
    """Decodes, resizes, runs the network and names the five best classes."""

    def __init__(self) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = THREADS
        self.session = ort.InferenceSession(os.environ["MODEL"], options, providers=["CPUExecutionProvider"])
        self.labels = json.loads(self.session.get_modelmeta().custom_metadata_map["labels"])
        self.size = self.session.get_inputs()[0].shape[1:3]

    def decode(self, data: bytes) -> np.ndarray:
        image = Image.open(io.BytesIO(data)).convert("RGB")
        return np.asarray(image.resize((self.size[1], self.size[0]), Image.Resampling.BILINEAR))

    def run(self, images: np.ndarray) -> np.ndarray:
        return self.session.run(None, {"image": images})[-1]

    def answer(self, row: np.ndarray) -> dict:
        best = np.argsort(-row)[:5]
        return {"top": [{"label": self.labels[i], "probability": float(row[i])} for i in best]}

    def predict(self, data: bytes) -> dict:
        return self.answer(self.run(self.decode(data)[None])[0])
