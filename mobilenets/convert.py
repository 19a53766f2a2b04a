"""A trained network in another form: brought in, exported, compiled. Each form is compared before it is written."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .arch.fold import fold_batch_norm
from .errors import ParityError, UsageError
from .files import check_output
from .machine import need_torch
from .model import Model, model_file
from .quant.file import load, save
from .train.watch import Watch

if TYPE_CHECKING:
    from .compiler import Written
    from .quant.scheme import QuantModel
    from .weights import Given, Imported

__all__ = ["CompiledFiles", "Exported", "check_order", "compile_to_c", "export_model", "import_model", "open_model"]

SMALLEST_HALF = 2**-25  # half of the smallest number that float16 tells from 0
INTEGERS = 0.05  # of the largest logit: a few steps, for machines on which ONNX Runtime rounds in another way


@dataclass(frozen=True, slots=True)
class Exported:
    """A written file and how far its logits are from torch's (int8: from the integers'), relative to the largest."""

    path: Path
    format: str
    bytes: int
    difference: float

    def to_dict(self) -> dict[str, Any]:
        return {"path": str(self.path), "format": self.format, "bytes": self.bytes, "difference": self.difference}


@dataclass(frozen=True, slots=True)
class CompiledFiles:
    """What `compile_to_c` wrote, and how far its logits are from ONNX Runtime's, relative to the largest (int8: 0).

    `difference` is None where it was not run: this processor lacks the features `lacks`, or there is no C compiler.
    """

    folder: Path
    written: "Written"
    difference: float | None
    lacks: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        values = {"folder": str(self.folder), **asdict(self.written), "difference": self.difference}
        return {**values, "lacks": list(self.lacks)}


def open_model(model: str | Path, watch: Watch | None = None, floats: bool = False) -> "Path | Model | QuantModel":
    """The path of a file or run folder of this package; anything else that `open_pretrained` reads, imported.

    So that every verb takes a `.tflite`, a `.h5` or the name of a published network as well. A file of integers keeps
    them, so that it answers as it does elsewhere; with `floats` they become floats.
    """
    from .weights import FORMATS, is_ours, is_published, open_pretrained

    path = Path(model)
    foreign = path.suffix.lower() in FORMATS and not path.is_dir() and not is_ours(path)
    if foreign or is_published(str(model)):
        watch = watch or Watch()
        int8 = False if floats else None
        imported = open_pretrained(str(model), progress=watch.downloaded, note=watch.note, int8=int8)
        return imported.integers or imported.model
    return model_file(Path(model))


def check_order(model: str | Path, data: Iterable[object]) -> None:
    """Raise `UsageError` where a model and its data are the other way round: `model` is none, one of `data` is one."""
    others = [one for one in data if isinstance(one, str | Path)]
    if Path(model).exists() and not _is_model(model) and (found := [one for one in others if _is_model(one)]):
        raise UsageError(f"the arguments are the other way round: {found[0]} is a model and comes first, then {model}")


def _is_model(name: str | Path) -> bool:
    from .weights import CATALOGUE, FORMATS

    path = Path(name)
    if path.is_dir():
        return (path / "best.safetensors").is_file()
    return path.suffix.lower() in FORMATS or str(name) in {"imagenet", *(published.name for published in CATALOGUE)}


def import_model(
    files: Sequence[str | Path],
    output: str | Path | None = None,
    given: "Given | None" = None,
    int8: bool = False,
    overwrite: bool = False,
) -> "tuple[Path, Imported]":
    """Write what is in `files` (one, or several that run one after the other) as a `.safetensors` model.

    `int8`: the integers of a quantised `.tflite` as they are, else they become floats. By default beside the first
    file; a file that is there already is refused, unless `overwrite`.
    """
    from .weights import import_files

    paths = [Path(file) for file in files]
    imported = import_files(paths, given, int8)
    path = Path(output) if output else paths[0].with_suffix(".int8.safetensors" if int8 else ".safetensors")
    check_output(path, (".safetensors",), overwrite, sources=paths)
    written = imported.model.save(path) if imported.integers is None else save(imported.integers, path)
    return written, imported


def export_model(
    model: str | Path, output: str | Path | None = None, format: str | None = None, overwrite: bool = False
) -> Exported:
    """Write a model beside itself, or to `output`, after what was written has been read back and run.

    The logits of a float network are compared with torch's, those of an int8 one with `quant.reference`'s
    (`ParityError`). `format`: a key of `export.FORMATS`; None: the one of `output`'s ending, else onnx. A file that is
    there already is refused at once, unless `overwrite`.
    """
    from .export import write
    from .files import write_atomic

    format = format or _format_of(output)
    opened = open_model(model)
    path = _output(opened if isinstance(opened, Path) else Path(model), output, format, overwrite)
    trained = load(opened) if isinstance(opened, Path) else opened
    if format != "onnx" and trained.network.convolution == "full":
        raise UsageError(f"format {format} holds separable networks, this has full convolutions: use onnx")
    content = write(trained, format)
    difference = _difference(trained, content, format)
    return Exported(write_atomic(path, content), format, len(content), difference)


def _format_of(output: str | Path | None) -> str:
    """The one with the longest ending that `output` has."""
    from .export import FORMATS

    fitting = [name for name, known in FORMATS.items() if output and str(output).endswith(known.suffix)]
    return max(fitting, key=lambda name: len(FORMATS[name].suffix), default="onnx")


def _output(source: Path, output: str | Path | None, format: str, overwrite: bool) -> Path:
    """Where to write; `UsageError` for an unknown format, another format's suffix, and what is there already."""
    from .export import FORMATS

    if format not in FORMATS:
        raise UsageError(f"format {format!r} must be one of {', '.join(FORMATS)}")
    suffix = FORMATS[format].suffix
    path = Path(output) if output else source.with_suffix(suffix)
    check_output(path, ("." + suffix.rpartition(".")[2],), overwrite, sources=[source])
    return path


def _difference(trained: "Model | QuantModel", content: bytes, format: str) -> float:
    """Between the logits of what was written and those of what it was made of; `ParityError` if they are others."""
    from .runtime import Session

    if not isinstance(trained, Model):
        return _difference_of_integers(trained, content, format)
    need_torch()
    from .export import FORMATS
    from .runtime import open_session
    from .runtime.parity import BOUND
    from .train.parity import check_parity

    if format == "onnx":
        return check_parity(trained, Session.from_onnx(content).logits)
    back, rounding = _read_back(trained, content, format), FORMATS[format].rounding
    if rounding:
        _check_rounding(trained, back, rounding)
    bound = inf if rounding else BOUND  # what rounded weights do to the logits is the network's own affair, and said
    return check_parity(trained, open_session(back).logits, bound)


def _difference_of_integers(trained: "QuantModel", content: bytes, format: str) -> float:
    """TensorFlow Lite's files hold the integers as they are; an ONNX graph is run."""
    from .runtime import Session, open_session
    from .runtime.parity import agree
    from .weights import read_content, recognise
    from .weights.imported_int8 import keep_integers

    if format == "onnx":
        run, law = Session.from_onnx(content).logits, open_session(trained).logits
        return agree(run, law, trained.preprocess, "ONNX Runtime's logits differ from the integers'", INTEGERS)
    read = read_content(content, ".tflite")
    if keep_integers(read, recognise(read).model).digest() != trained.digest():
        raise ParityError("the integers that were read back are not those that were written")
    return 0.0


def _check_rounding(trained: Model, back: Model, rounding: float) -> None:
    """`ParityError` where a weight that was read back is not the trained one, rounded (see `export.Format`)."""
    wanted, found = (fold_batch_norm(model.graph, model.weights)[1] for model in (trained, back))
    for name, array in wanted.items():
        largest = np.abs(array).max(axis=tuple(range(1, array.ndim)), keepdims=True)
        if (np.abs(found[name] - array) > rounding * largest + SMALLEST_HALF).any():
            raise ParityError(f"{name} was read back as other values than those that were written")


def _read_back(model: Model, content: bytes, format: str) -> Model:
    """What the importer makes of an exported file."""
    from .export import FORMATS
    from .weights import Given, read_content, recognise

    given = None
    if format == "torch":  # a state dict holds tensors and says nothing else
        network, pixels = model.network, (model.preprocess.mean, model.preprocess.std)
        given = Given((network.height, network.width), pixels, network.activation, network.padding)
    return recognise(read_content(content, "." + FORMATS[format].suffix.rpartition(".")[2]), given).model


def compile_to_c(
    model: str | Path,
    output: str | Path | None = None,
    target: str = "auto",
    name: str = "network",
    embed: bool = False,
    precision: str = "fp32",
    overwrite: bool = False,
    library: bool = True,
) -> CompiledFiles:
    """Write a model as C into the folder `output` (default: beside the model), and build its library there.

    Its logits are compared with ONNX Runtime's, those of an int8 model with `quant.reference`'s bit for bit
    (`ParityError`), before anything is written; what is for another processor is written and not run. `target`: a key
    of `compiler.TARGETS`, or auto: what this processor has. `name`: of the files and of the function
    mobilenets_NAME_run. `embed`: the weights in the C, instead of in a file of their own. `precision`: of
    `compiler.PRECISIONS`. Files that are there already are refused at once, unless `overwrite`. `library` False: C
    alone is written, and compared where there is a C compiler.
    """
    from .compiler import has_compiler, lacking, write_c
    from .export.onnx import to_onnx
    from .quant.scheme import QuantModel
    from .runtime import CompiledSession, Session
    from .runtime.numpy_session import NumpySession
    from .runtime.parity import BOUND, agree

    opened = open_model(model)
    source = opened if isinstance(opened, Path) else Path(model)
    folder = Path(output) if output else source.parent / f"{source.stem}-c"
    if folder.is_dir():
        for file in (f"{name}.c", f"mobilenets_{name}.h", f"{name}.weights", f"lib{name}.so"):
            check_output(folder / file, (Path(file).suffix,), overwrite)
    trained = load(opened) if isinstance(opened, Path) else opened
    lacks = lacking(trained, target, precision)
    if lacks or not (library or has_compiler()):
        return CompiledFiles(folder, write_c(trained, folder, target, name, embed, precision, library), None, lacks)
    logits = CompiledSession(trained, 1, target, precision=precision).logits
    if isinstance(trained, QuantModel):
        same = agree(logits, NumpySession(trained).logits, trained.preprocess, "logits differ from numpy's", bound=0)
        return CompiledFiles(folder, write_c(trained, folder, target, name, embed, library=library), same)
    reference = Session.from_onnx(to_onnx(trained), 1).logits
    bound = {"bf16": 0.1, "bf16x3": 1e-3}.get(precision, BOUND)
    difference = agree(logits, reference, trained.preprocess, "compiled logits differ from ONNX Runtime's", bound)
    return CompiledFiles(folder, write_c(trained, folder, target, name, embed, precision, library), difference)
