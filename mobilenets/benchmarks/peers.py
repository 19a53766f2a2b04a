"""Every runtime that can be timed: one model, the same weights, the same uint8 pixels in, logits out.

A new runtime is a class here with the methods of `Peer`, and its entry in PEERS. Each normalises inside `run`, in its
graph where its format can, and gets its number of threads in its own way (`threads_by`). In int8 all get the same
integers, and their logits are the dequantised integers of the classifier.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..arrays import Floats
from ..errors import WorkError
from ..image import Pixels
from ..model import Model
from ..quant.scheme import LOW, QuantModel

__all__ = ["PEERS", "PRECISIONS", "Floats", "Peer", "Setup"]


PRECISIONS = ("fp32", "bf16x6", "bf16x3", "fp16", "bf16", "int8")  # as in compiler; others know fp32, bf16 and int8


@dataclass(frozen=True, slots=True)
class Setup:
    """The model that a runtime gets, and the settings; `target` is that of this package's compiler.

    The precision is int8 for a `QuantModel`, and for no other model.
    """

    model: Model | QuantModel
    precision: str = "fp32"
    threads: int = 1
    target: str = "auto"

    @property
    def floats(self) -> Model:
        """The model of every precision but int8."""
        assert self.model.precision == "fp32"
        return self.model


class Peer:
    """A runtime with one model. Its constructor writes the runtime's own file; `load` and the first `run` are timed."""

    package = ""  # on PyPI; "" for this one
    modules: tuple[str, ...] = ()  # that must be installed
    precisions: tuple[str, ...] = ("fp32",)
    threads_by = ""
    file_bytes = 0
    arena_bytes: int | None = None  # scratch memory, where it is known in advance

    def __init__(self, setup: Setup) -> None:
        self.setup = setup

    def load(self) -> None:
        """Open the model in this runtime."""
        raise NotImplementedError

    def run(self, images: Pixels) -> Floats:
        """Return logits (N, classes) of (N, H, W, C) uint8."""
        raise NotImplementedError


class Ours(Peer):
    """This package's compiled C."""

    precisions = PRECISIONS
    threads_by = "threads of its own pool; of several images, one thread each"

    def __init__(self, setup: Setup) -> None:
        from ..compiler import compile_model

        super().__init__(setup)
        library = compile_model(setup.model, setup.target, precision=setup.precision)
        self.file_bytes = library.path.stat().st_size + library.weights.stat().st_size
        self.arena_bytes = library.arena(setup.threads)

    def load(self) -> None:
        from ..runtime import CompiledSession

        setup = self.setup
        self.session = CompiledSession(setup.model, setup.threads, setup.target, precision=setup.precision)

    def run(self, images: Pixels) -> Floats:
        return self.session.logits(images)


class _FromOnnx(Peer):
    """A runtime that reads the exported ONNX file."""

    def __init__(self, setup: Setup) -> None:
        from ..exporters.onnx import to_onnx
        from ..exporters.onnx_int8 import to_onnx_int8

        super().__init__(setup)
        model = setup.model
        self.file = to_onnx_int8(model) if model.precision == "int8" else to_onnx(model)
        self.file_bytes = len(self.file)


class OnnxRuntime(_FromOnnx):
    """ONNX Runtime on the CPU."""

    package, modules = "onnxruntime", ("onnxruntime",)
    precisions = ("fp32", "int8")
    threads_by = "intra_op_num_threads"

    def load(self) -> None:
        from ..runtime import Session

        self.session = Session.from_onnx(self.file, self.setup.threads)

    def run(self, images: Pixels) -> Floats:
        return self.session.logits(images)


class OpenVino(_FromOnnx):
    """OpenVINO with a static shape per batch size and without pinning: a pinned thread waits where its core is
    in use.
    """

    package, modules = "openvino", ("openvino",)
    precisions = ("fp32", "bf16", "int8")
    threads_by = "INFERENCE_NUM_THREADS, one stream, no pinning"

    def load(self) -> None:
        import openvino

        self.core = openvino.Core()
        if self.setup.precision == "bf16" and "BF16" not in self.core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            raise WorkError("this processor has no bf16 for it")
        both = self.core.read_model(self.file)
        logits = [output.get_node() for output in both.outputs if "logits" in output.get_names()]
        self.network = openvino.Model(logits, both.get_parameters(), "logits")
        self.settings = {
            "INFERENCE_NUM_THREADS": self.setup.threads,
            "INFERENCE_PRECISION_HINT": "bf16" if self.setup.precision == "bf16" else "f32",
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": 1,
            "ENABLE_CPU_PINNING": False,
        }
        self.requests: dict[int, tuple[Any, Pixels]] = {}

    def _request(self, shape: tuple[int, ...]) -> tuple[Any, Pixels]:
        """Return a request for a batch of that shape, and its input memory."""
        import openvino

        network = self.network.clone()
        network.reshape({"image": list(shape)})
        request = self.core.compile_model(network, "CPU", self.settings).create_infer_request()
        memory = np.empty(shape, np.uint8)
        request.set_input_tensor(openvino.Tensor(memory, shared_memory=True))
        return request, memory

    def run(self, images: Pixels) -> Floats:
        if len(images) not in self.requests:
            self.requests[len(images)] = self._request(images.shape)
        request, memory = self.requests[len(images)]
        memory[...] = images
        request.infer()
        logits: Floats = request.get_output_tensor(0).data.copy()
        return logits


class LiteRt(Peer):
    """The interpreter of LiteRT with XNNPACK, its default."""

    package, modules = "ai-edge-litert", ("ai_edge_litert", "flatbuffers")
    precisions = ("fp32", "int8")
    threads_by = "num_threads"

    def __init__(self, setup: Setup) -> None:
        from ..exporters.tflite import pixels_to_logits
        from ..exporters.tflite_int8 import pixels_to_logits_int8

        super().__init__(setup)
        model = setup.model
        self.file = pixels_to_logits_int8(model) if model.precision == "int8" else pixels_to_logits(model)
        self.file_bytes = len(self.file)

    def load(self) -> None:
        self.interpreters: dict[int, tuple[Any, int, int]] = {}

    def _interpreter(self, shape: tuple[int, ...]) -> tuple[Any, int, int]:
        from ai_edge_litert.interpreter import Interpreter

        made = Interpreter(model_content=self.file, num_threads=self.setup.threads)
        image, logits = made.get_input_details()[0]["index"], made.get_output_details()[0]["index"]
        made.resize_tensor_input(image, shape)
        made.allocate_tensors()
        return made, image, logits

    def run(self, images: Pixels) -> Floats:
        if len(images) not in self.interpreters:
            self.interpreters[len(images)] = self._interpreter(images.shape)
        interpreter, image, logits = self.interpreters[len(images)]
        interpreter.set_tensor(image, images)
        interpreter.invoke()
        return self._real(interpreter.get_tensor(logits))

    def _real(self, answer: np.ndarray[Any, Any]) -> Floats:
        model = self.setup.model
        if model.precision == "fp32":
            return answer
        shift = LOW if answer.dtype == np.uint8 else 0  # files whose weights have zero points are uint8 throughout
        return model.activations["fc"].real((answer.astype(np.int16) + shift).astype(np.int8))


class Ncnn(Peer):
    """ncnn, which has no batches: several images run one after the other."""

    package, modules = "ncnn", ("ncnn",)
    precisions = ("fp32", "bf16")
    threads_by = "opt.num_threads"

    def __init__(self, setup: Setup) -> None:
        from .ncnn_file import ncnn_files

        super().__init__(setup)
        self.files = ncnn_files(setup.floats)
        self.file_bytes = len(self.files[0]) + len(self.files[1])

    def load(self) -> None:
        import ncnn

        self.net = ncnn.Net()
        half = self.setup.precision == "bf16"
        options = self.net.opt
        options.num_threads, options.use_vulkan_compute = self.setup.threads, False
        options.use_fp16_packed = options.use_fp16_storage = options.use_fp16_arithmetic = False
        options.use_bf16_packed = options.use_bf16_storage = half
        if self.net.load_param_mem(self.files[0]) or self.net.load_model_mem(self.files[1]):
            raise WorkError("it cannot load its own files")
        p = self.setup.floats.preprocess
        kinds = ncnn.Mat.PixelType
        self.pixels = kinds.PIXEL_RGB if p.channels == 3 else kinds.PIXEL_GRAY
        self.mean = [float(m) for m in np.broadcast_to(p.mean, (p.channels,))]
        self.scale = [1 / float(s) for s in np.broadcast_to(p.std, (p.channels,))]

    def run(self, images: Pixels) -> Floats:
        return np.stack([self._one(image) for image in images])

    def _one(self, image: Pixels) -> Floats:
        import ncnn

        mat = ncnn.Mat.from_pixels(image, self.pixels, image.shape[1], image.shape[0])
        mat.substract_mean_normalize(self.mean, self.scale)
        extractor = self.net.create_extractor()
        extractor.input("image", mat)
        logits: Floats = extractor.extract("logits")[1].numpy().copy()
        return logits


class Torch(Peer):
    """Eager torch: batch norm folded, channels last, inference mode."""

    package, modules = "torch", ("torch",)
    precisions = ("fp32", "bf16")
    threads_by = "torch.set_num_threads"

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        self.file_bytes = sum(array.nbytes for array in setup.floats.weights.values())

    def load(self) -> None:
        from .torch_module import inference

        self.call = inference(self.setup.floats, self.setup.precision, self.setup.threads)

    def run(self, images: Pixels) -> Floats:
        return self.call(images)


class TorchCompile(Torch):
    """The same through torch.compile, frozen, compiled for each batch size."""

    def load(self) -> None:
        from .torch_module import inference

        self.call = inference(self.setup.floats, self.setup.precision, self.setup.threads, compiled=True)


PEERS: dict[str, type[Peer]] = {
    "mobilenets": Ours,
    "ONNX Runtime": OnnxRuntime,
    "OpenVINO": OpenVino,
    "LiteRT": LiteRt,
    "ncnn": Ncnn,
    "torch eager": Torch,
    "torch.compile": TorchCompile,
}
