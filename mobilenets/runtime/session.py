"""A network that runs: ONNX Runtime under one small class. No torch."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from ..errors import MobilenetsError, ModelFileError
from ..image import Pixels, Preprocess
from ..model import load

__all__ = ["Session", "open_session"]

RUNTIME = f"ONNX Runtime {ort.__version__}"


@dataclass(frozen=True, slots=True)
class Session:
    """An open network with the labels and preprocessing from its own file."""

    name: str
    labels: tuple[str, ...]
    preprocess: Preprocess
    threads: int  # 0: one per core
    session: ort.InferenceSession

    @classmethod
    def from_onnx(cls, onnx: bytes | str, threads: int = 0) -> "Session":
        """From a serialised graph or a path. `ModelFileError` where its metadata is not ours."""
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        try:
            session = ort.InferenceSession(onnx, options, providers=["CPUExecutionProvider"])
            metadata = session.get_modelmeta().custom_metadata_map
            if metadata.get("format") != "mobilenets.onnx":
                raise ModelFileError("an ONNX file without this package's metadata: labels and preprocessing unknown")
            return cls(
                name=session.get_modelmeta().graph_name,
                labels=tuple(json.loads(metadata["labels"])),
                preprocess=Preprocess(**json.loads(metadata["preprocess"])),
                threads=threads,
                session=session,
            )
        except MobilenetsError:
            raise
        except Exception as exc:  # ONNX Runtime has no error tree of its own
            raise ModelFileError(f"ONNX Runtime cannot load it: {str(exc).splitlines()[0]}") from exc

    def run(self, images: Pixels) -> np.ndarray[Any, np.dtype[np.float32]]:
        """(N, H, W, C) uint8 -> probabilities (N, classes) float32. Safe from several threads."""
        result: np.ndarray[Any, np.dtype[np.float32]] = self.session.run(["probabilities"], {"image": images})[0]
        return result

    def logits(self, images: Pixels) -> np.ndarray[Any, np.dtype[np.float32]]:
        """(N, H, W, C) uint8 -> logits (N, classes) float32."""
        result: np.ndarray[Any, np.dtype[np.float32]] = self.session.run(["logits"], {"image": images})[0]
        return result


def open_session(path: str | Path, threads: int = 0) -> Session:
    """Open a trained `.safetensors` or an exported `.onnx`; `ModelFileError` otherwise."""
    path = Path(path)
    if path.is_dir() and (path / "best.safetensors").is_file():
        path = path / "best.safetensors"
    if not path.is_file():
        raise ModelFileError(f"{path}: no such model file")
    if path.suffix == ".onnx":
        try:
            return Session.from_onnx(str(path), threads)
        except ModelFileError as exc:
            raise ModelFileError(f"{path}: {exc}") from exc
    if path.suffix != ".safetensors":
        raise ModelFileError(f"{path}: a model is a .safetensors or .onnx file, or a run folder")
    from ..export.onnx import to_onnx  # the ONNX library is needed for this path only

    return Session.from_onnx(to_onnx(load(path)), threads)
