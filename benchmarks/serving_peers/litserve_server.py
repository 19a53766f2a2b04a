"""LitServe and ONNX Runtime."""

import os

import litserve as ls
from onnx_model import OnnxModel


class Api(ls.LitAPI):
    def setup(self, device: str) -> None:
        self.model = OnnxModel()

    def decode_request(self, request) -> object:  # an annotation would be taken for the form of a JSON body
        return self.model.decode(request["image"].file.read())

    def predict(self, x: object) -> object:
        return self.model.run(x[None])[0]

    def encode_response(self, output: object) -> dict:
        return self.model.answer(output)


if __name__ == "__main__":
    server = ls.LitServer(Api(), accelerator="cpu", workers_per_device=int(os.environ["WORKERS"]))
    server.run(port=int(os.environ["PORT"]), generate_client_file=False, log_level="error")
