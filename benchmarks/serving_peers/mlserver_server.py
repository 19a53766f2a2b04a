"""MLServer and ONNX Runtime: the image is base64 in the JSON of the Open Inference Protocol."""

from mlserver import MLModel
from mlserver.codecs import Base64Codec, StringCodec
from mlserver.types import InferenceRequest, InferenceResponse
from onnx_model import OnnxModel


class Predictor(MLModel):
    async def load(self) -> bool:
        self.model = OnnxModel()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        images = Base64Codec.decode_input(payload.inputs[0])
        labels = [self.model.predict(image)["top"][0]["label"] for image in images]
        return InferenceResponse(model_name=self.name, outputs=[StringCodec.encode_output("label", labels)])
