"""Opening of a model by what a user names it: a file, a run folder or a published network. Each is read once."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from .errors import ModelFileError, UsageError
from .model import Model, model_file
from .progress import Watch
from .quant.file import load_own
from .quant.scheme import QuantModel
from .runtime import OnnxFile

__all__ = ["Opened", "check_order", "is_model_name", "open_model"]

OWN = (".safetensors", ".onnx")  # suffixes of this package's files, and of others'
_ONNX = b"mobilenets.onnx"  # in every file that `export` writes


@dataclass(frozen=True, slots=True)
class Opened:
    """A model and the path that it was read from. An `.onnx` file of this package can be run, and nothing else."""

    path: Path
    model: Model | QuantModel | OnnxFile

    def trained(self) -> Model | QuantModel:
        """Return the model; `ModelFileError` for an exported file."""
        if isinstance(self.model, OnnxFile):
            raise ModelFileError(f"{self.path}: an exported file is for running: this wants the .safetensors model")
        return self.model


def open_model(model: str | Path, watch: Watch | None = None, floats: bool = False) -> Opened:
    """Read a model file or run folder of this package, or import anything else that `weights` reads.

    Every verb therefore takes a `.tflite`, a `.h5` or the name of a published network as well. The integers of a
    quantised file are kept, unless `floats` asks for floats.
    """
    from .weights import FORMATS, import_files, is_published, open_pretrained

    path, watch = Path(model), watch or Watch()
    published, suffix = is_published(str(model)), path.suffix.lower()
    if not published and (path.is_dir() or suffix in OWN or suffix not in FORMATS):
        if suffix not in OWN or not path.is_file():
            path = model_file(path)
        own = _own(path)
        if own is not None:
            return Opened(path, own)
    int8 = False if floats else None
    if not published and path.is_file():
        imported = import_files([path], int8=int8)
    else:
        imported = open_pretrained(str(model), progress=watch.downloaded, note=watch.note, int8=int8)
    return Opened(path, imported.integers or imported.model)


def _own(path: Path) -> Model | QuantModel | OnnxFile | None:
    """Return what this package wrote to `path`; None for a file of another program."""
    if path.suffix.lower() == ".safetensors":
        return load_own(path)
    file = OnnxFile.read(path)
    return file if _ONNX in file.content else None


def is_model_name(name: str) -> bool:
    """Return whether `name` is a path or a published network, not a network's name such as 0.5-160."""
    from .weights import FORMATS, is_published

    return Path(name).exists() or Path(name).suffix.lower() in FORMATS or ("/" in name and is_published(name))


def check_order(model: str | Path, data: Iterable[object]) -> None:
    """Raise `UsageError` where a model and its data are swapped: one of `data` is a model and `model` is none."""
    others = [one for one in data if isinstance(one, str | Path)]
    if Path(model).exists() and not _is_model(model) and (found := [one for one in others if _is_model(one)]):
        raise UsageError(f"the arguments are the other way round: {found[0]} is a model and comes first, then {model}")


def _is_model(name: str | Path) -> bool:
    from .weights import CATALOGUE, FORMATS

    path = Path(name)
    if path.is_dir():
        return (path / "best.safetensors").is_file()
    return path.suffix.lower() in FORMATS or str(name) in {"imagenet", *(published.name for published in CATALOGUE)}
