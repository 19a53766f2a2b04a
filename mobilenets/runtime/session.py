"""A network that runs: ONNX Runtime under one small class. No torch."""

import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnxruntime as ort

from ..arch.network import Network
from ..errors import MobilenetsError, ModelFileError
from ..image import Preprocess
from ..machine import check_threads
from .images import Images, pixels_of

__all__ = ["Session"]

Floats = np.ndarray[Any, np.dtype[np.float32]]

RUNTIME = f"ONNX Runtime {ort.__version__}"


@dataclass(frozen=True, slots=True)
class Session:
    """An open network with the labels and preprocessing from its own file."""

    name: str
    labels: tuple[str, ...]
    preprocess: Preprocess
    threads: int  # 0: one per core
    session: ort.InferenceSession
    task: str = "classify"
    decoding: dict[str, Any] = field(default_factory=dict)
    runtime: str = RUNTIME

    @classmethod
    def from_onnx(cls, onnx: bytes | str, threads: int = 0) -> "Session":
        """From a serialised graph or a path. `ModelFileError` where its metadata is not ours."""
        check_threads(threads)
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        options.add_session_config_entry("session.force_spinning_stop", "1")  # idle threads leave the cores to others
        options.add_session_config_entry("session.x64quantprecision", "1")  # no sum saturates where VNNI is absent
        try:
            session = ort.InferenceSession(onnx, options, providers=["CPUExecutionProvider"])
            metadata = session.get_modelmeta().custom_metadata_map
            if metadata.get("format") != "mobilenets.onnx":
                raise ModelFileError("without this package's metadata its labels and preprocessing are unknown")
            opened = cls(
                name=Network.from_json(metadata["network"]).name,
                labels=tuple(json.loads(metadata["labels"])),
                preprocess=Preprocess(**json.loads(metadata["preprocess"])),
                threads=threads,
                session=session,
                task=metadata["task"],
                decoding=json.loads(metadata.get("decoding", "{}")),
            )
            _check(opened)
            return opened
        except MobilenetsError:
            raise
        except Exception as exc:  # ONNX Runtime has no error tree of its own
            raise ModelFileError(
                f"ONNX Runtime cannot load it: {next(iter(str(exc).splitlines()), repr(exc))}"
            ) from exc

    def run(self, images: Images) -> Floats:
        """Images as in `pixels_of` -> probabilities or embeddings (N, classes) float32. Safe from several threads."""
        return self._output(self.session.get_outputs()[-1].name, images)

    def logits(self, images: Images) -> Floats:
        """Images as in `pixels_of` -> logits (N, classes) float32."""
        return self._output("logits", images)

    def _output(self, name: str, images: Images) -> Floats:
        output: Floats = self.session.run([name], {"image": pixels_of(images, self.preprocess)})[0]
        return output


def _check(opened: Session) -> None:
    """What another tool made of the graph or its metadata must still fit together."""
    taken, answer = tuple(opened.session.get_inputs()[0].shape[1:]), opened.session.get_outputs()[0].shape
    given = (opened.preprocess.height, opened.preprocess.width, opened.preprocess.channels)
    if given != taken:
        raise ModelFileError(f"its preprocessing gives {given} but its graph takes {taken} (H, W, C)")
    if len(answer) == 2 and len(opened.labels) != answer[-1]:
        raise ModelFileError(f"{len(opened.labels)} labels for a graph of {answer[-1]} classes")
