"""`mobilenets export`: a trained model in the formats of other programs, compared before it is written."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from math import inf
from pathlib import Path
from typing import Any

import numpy as np

from ..arch.fold import fold_batch_norm
from ..arrays import Floats
from ..errors import ParityError, UsageError, WorkError
from ..files import check_output
from ..image import Pixels, prepare
from ..machine import need_torch
from ..model import Model
from ..opening import Opened, open_model
from ..progress import Watch
from ..quant.scheme import QuantModel

__all__ = ["Exported", "export"]

WEB = "web"  # the format that is a folder
SMALLEST_HALF = 2**-25  # half of the smallest number that float16 tells from 0
INTEGERS = 0.05  # of the largest logit: a few steps, for machines on which ONNX Runtime rounds in another way


@dataclass(frozen=True, slots=True)
class Exported:
    """A written file or folder, and the difference of its logits from torch's (int8: the integers'), relative to the
    largest. It is None for a folder that was not run, because there is no Node.
    """

    path: Path
    format: str
    bytes: int
    difference: float | None

    def __str__(self) -> str:
        agree = f", logits within {self.difference:.1e} of the largest" if self.difference else ""
        return f"{self.path}: {self.format}, {self.bytes:,} bytes{agree}"

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON of `mobilenets export`."""
        return {"path": str(self.path), "format": self.format, "bytes": self.bytes, "difference": self.difference}


def export(
    model: str | Path,
    output: str | Path | None = None,
    format: str | None = None,
    *,
    overwrite: bool = False,
    watch: Watch | None = None,
) -> Exported:
    """Write a model for another program, after the content has been read back and compared.

    The logits of a float network are compared with torch's, those of an int8 one with `quant.reference`'s
    (`ParityError`).

    Parameters
    ----------
    model
        What `load` takes.
    output
        By default beside the model; over a file that exists only with `overwrite`.
    format
        onnx, tflite, tflite-float16, tflite-dynamic, tflite-micro, keras-h5, timm or torch (docs/export.md), or web: a
        folder for browsers and Node (docs/web.md); by default the format of the ending of `output`, else onnx.
    """
    from ..exporters import write
    from ..files import write_atomic

    format = format or _format_of(output)
    opened = open_model(model, watch)
    if format == WEB:
        return _export_web(opened, output, overwrite)
    path = _output(opened.path, output, format, overwrite)
    trained = opened.trained()
    if format != "onnx" and trained.network.convolution == "full":
        raise UsageError(f"format {format} holds separable networks, this has full convolutions: use onnx")
    content = write(trained, format)
    difference = _difference(trained, content, format)
    return Exported(write_atomic(path, content), format, len(content), difference)


def _export_web(opened: Opened, output: str | Path | None, overwrite: bool) -> Exported:
    """Write the folder of an ES module, after its logits in Node, if that is installed, have been compared."""
    from ..files import write_all
    from ..web import NAMES, has_node, web_files

    trained = opened.trained()
    folder = Path(output) if output else opened.path.parent / f"{opened.path.stem}-web"
    if folder.exists() and not folder.is_dir():
        raise WorkError(f"{folder}: is a file, and --format {WEB} writes a folder")
    for file in NAMES if folder.is_dir() else ():
        check_output(folder / file, (Path(file).suffix,), overwrite)
    contents = web_files(trained)
    difference = _difference_in_node(trained, contents) if has_node() else None
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise WorkError(f"{folder}: cannot be made: {exc.strerror}") from exc
    write_all({folder / file: content for file, content in contents.items()})
    return Exported(folder, WEB, sum(map(len, contents.values())), difference)


def _difference_in_node(trained: Model | QuantModel, contents: Mapping[str, bytes]) -> float:
    """Return the difference of the module's logits from ONNX Runtime's (int8: numpy's, which must be the same)."""
    from ..exporters.onnx import to_onnx
    from ..runtime import Session
    from ..runtime.numpy_session import NumpySession
    from ..runtime.parity import BOUND, agree
    from ..web import node_logits

    p = trained.preprocess
    session = NumpySession(trained) if trained.precision == "int8" else Session.from_onnx(to_onnx(trained), 1)
    bound = 0 if trained.precision == "int8" else BOUND

    def reference(images: Pixels) -> Floats:
        return session.logits(np.stack([prepare(image, p) for image in images]))

    return agree(partial(node_logits, contents), reference, p, "the module's logits differ from the model's", bound)


def _format_of(output: str | Path | None) -> str:
    """Return the format with the longest ending that `output` has."""
    from ..exporters import FORMATS

    fitting = [name for name, known in FORMATS.items() if output and str(output).endswith(known.suffix)]
    return max(fitting, key=lambda name: len(FORMATS[name].suffix), default="onnx")


def _output(source: Path, output: str | Path | None, format: str, overwrite: bool) -> Path:
    """Return where to write; `UsageError` for an unknown format, another format's suffix and a file that exists."""
    from ..exporters import FORMATS

    if str(output) in (*FORMATS, WEB):
        raise UsageError(f"output {output} is the name of a format: give it as format (--format {output})")
    if format not in FORMATS:
        raise UsageError(f"format {format!r} must be one of {', '.join((*FORMATS, WEB))}")
    suffix = FORMATS[format].suffix
    path = Path(output) if output else source.with_suffix(suffix)
    check_output(path, ("." + suffix.rpartition(".")[2],), overwrite, sources=[source])
    return path


def _difference(trained: Model | QuantModel, content: bytes, format: str) -> float:
    """Return the difference of the content's logits from the model's; `ParityError` where it is too large."""
    from ..runtime import Session

    if trained.precision == "int8":
        return _difference_of_integers(trained, content, format)
    need_torch()
    from ..exporters import FORMATS
    from ..runtime import open_session
    from ..runtime.parity import BOUND
    from ..training.parity import check_parity

    if format == "onnx":
        return check_parity(trained, Session.from_onnx(content).logits)
    back, rounding = _read_back(trained, content, format), FORMATS[format].rounding
    if rounding:
        _check_rounding(trained, back, rounding)
    bound = (
        inf if rounding else BOUND
    )  # rounded weights change logits as the network has it; the difference is reported
    return check_parity(trained, open_session(back).logits, bound)


def _difference_of_integers(trained: QuantModel, content: bytes, format: str) -> float:
    """Return the same of an int8 model: TensorFlow Lite's files hold its integers, an ONNX graph is run."""
    from ..runtime import Session, open_session
    from ..runtime.parity import agree
    from ..weights import read_content, recognise
    from ..weights.imported_int8 import keep_integers

    if format == "onnx":
        run, law = Session.from_onnx(content).logits, open_session(trained).logits
        return agree(run, law, trained.preprocess, "ONNX Runtime's logits differ from the integers'", INTEGERS)
    read = read_content(content, ".tflite")
    if keep_integers(read, recognise(read).model).digest() != trained.digest():
        raise ParityError("the integers that were read back are not those that were written")
    return 0.0


def _check_rounding(trained: Model, back: Model, rounding: float) -> None:
    """Raise `ParityError` where a weight that was read back is not the trained one, rounded (see `Format`)."""
    wanted, found = (fold_batch_norm(model.graph, model.weights)[1] for model in (trained, back))
    for name, array in wanted.items():
        largest = np.abs(array).max(axis=tuple(range(1, array.ndim)), keepdims=True)
        if (np.abs(found[name] - array) > rounding * largest + SMALLEST_HALF).any():
            raise ParityError(f"{name} was read back as other values than those that were written")


def _read_back(model: Model, content: bytes, format: str) -> Model:
    """Return the model that the importer reads from an exported file."""
    from ..exporters import FORMATS
    from ..weights import Given, read_content, recognise

    given = None
    if format == "torch":  # a state dict holds tensors and says nothing else
        network, pixels = model.network, (model.preprocess.mean, model.preprocess.std)
        given = Given((network.height, network.width), pixels, network.activation, network.padding)
    return recognise(read_content(content, "." + FORMATS[format].suffix.rpartition(".")[2]), given).model
