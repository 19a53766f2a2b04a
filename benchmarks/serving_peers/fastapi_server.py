"""FastAPI and ONNX Runtime: a function that FastAPI calls on a thread of its pool."""

from fastapi import FastAPI, File
from onnx_model import OnnxModel

app = FastAPI()
model = OnnxModel()


@app.post("/predict")
def predict(image: bytes = File()) -> dict:
    return model.predict(image)
