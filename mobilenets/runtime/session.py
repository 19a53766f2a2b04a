"""Sessions of networks in ONNX Runtime, without torch."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import onnxruntime as ort

from ..arrays import Floats
from ..errors import MobilenetsError, ModelFileError
from ..image import Preprocess
from ..machine import check_threads
from .exported import checked_metadata
from .images import Images, pixels_of

__all__ = ["Session"]


RUNTIME = f"ONNX Runtime {ort.__version__}"


@dataclass(frozen=True, slots=True, repr=False)
class Session:
    """An open network with the labels and preprocessing of its file."""

    name: str
    labels: tuple[str, ...]
    preprocess: Preprocess
    threads: int  # 0: one per core
    session: ort.InferenceSession
    task: str = "classify"
    head_config: dict[str, Any] = field(default_factory=dict)
    runtime: str = RUNTIME

    def __repr__(self) -> str:
        return f"Session({self.name}, {self.task}, {len(self.labels)} labels, {self.runtime})"

    @classmethod
    def from_onnx(cls, onnx: bytes | str, threads: int = 0) -> "Session":
        """Open a serialised graph or a path; raises `ModelFileError` where its metadata is not this package's."""
        check_threads(threads)
        try:
            content = onnx if isinstance(onnx, bytes) else Path(onnx).read_bytes()
        except OSError as exc:
            raise ModelFileError(f"cannot be read: {exc.strerror}") from exc
        fields = checked_metadata(content)
        kept = {name: fields[name] for name in ("labels", "preprocess", "task", "head_config")}
        opened = cls(name=fields["network"].name, threads=threads, session=_open(content, threads), **kept)
        _check(opened)
        return opened

    def run(self, images: Images) -> Floats:
        """Return probabilities or embeddings (N, classes) float32 of images as in `pixels_of`; safe from several
        threads.
        """
        return self._output(self.session.get_outputs()[-1].name, images)

    def logits(self, images: Images) -> Floats:
        """Return logits (N, classes) float32 of images as in `pixels_of`."""
        return self._output("logits", images)

    def _output(self, name: str, images: Images) -> Floats:
        try:
            output: Floats = self.session.run([name], {"image": pixels_of(images, self.preprocess)})[0]
        except MobilenetsError:
            raise
        except Exception as exc:  # ONNX Runtime raises unrelated classes
            raise ModelFileError(f"{self.name}: ONNX Runtime cannot run it: {exc}") from exc
        return output


def _open(content: bytes, threads: int) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4
    options.add_session_config_entry("session.force_spinning_stop", "1")  # idle threads leave the cores to others
    options.add_session_config_entry("session.x64quantprecision", "1")  # no sum saturates where VNNI is absent
    try:
        return ort.InferenceSession(content, options, providers=["CPUExecutionProvider"], enable_fallback=0)
    except Exception as exc:  # ONNX Runtime raises unrelated classes
        raise ModelFileError(f"ONNX Runtime cannot load it: {next(iter(str(exc).splitlines()), repr(exc))}") from exc


def _check(opened: Session) -> None:
    """Raise `ModelFileError` where graph and metadata, changed by another tool, no longer fit together."""
    inputs, outputs = opened.session.get_inputs(), opened.session.get_outputs()
    if [value.name for value in inputs] != ["image"] or [value.name for value in outputs[:1]] != ["logits"]:
        names = [value.name for value in (*inputs, *outputs)]
        raise ModelFileError(f"its graph takes and gives {', '.join(names[:4])}: must be image, and logits first")
    taken, answer = tuple(inputs[0].shape[1:]), tuple(outputs[-1].shape[1:])
    given = (opened.preprocess.height, opened.preprocess.width, opened.preprocess.channels)
    if given != taken:
        raise ModelFileError(f"its preprocessing gives {given} but its graph takes {taken} (H, W, C)")
    wanted = (opened.head_config["boxes"], 6) if opened.task == "detect" else (len(opened.labels),)
    if answer != wanted:
        raise ModelFileError(f"its graph answers {answer}, must be {wanted}: {len(opened.labels)} labels")
