"""BentoML and ONNX Runtime."""

import os
from pathlib import Path

import bentoml
from onnx_model import OnnxModel


@bentoml.service(workers=int(os.environ["WORKERS"]))
class Predictor:
    def __init__(self) -> None:
        self.model = OnnxModel()

    @bentoml.api
    def predict(self, image: Path) -> dict:
        return self.model.predict(image.read_bytes())
