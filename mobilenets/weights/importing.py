"""`import_files`: which reader a file wants, and the size that none may exceed."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from importlib import import_module
from pathlib import Path

from ..errors import MissingExtraError, MobilenetsError, ModelFileError, UsageError
from .integers import has_integers, keep_integers
from .layers import Content, chain
from .recognise import Given, Imported, recognise

__all__ = ["FORMATS", "import_files", "read_content"]

MAX_BYTES = 1 << 30  # of one file: the largest MobileNet v1 with its optimiser is a tenth of it

# suffix -> (module, function): bytes of the file -> Content
FORMATS = {
    ".tflite": ("tflite", "read_tflite"),
    ".h5": ("keras", "read_h5"),
    ".hdf5": ("keras", "read_h5"),
    ".keras": ("keras", "read_keras"),
    ".safetensors": ("safetensors", "read_safetensors"),
    ".pt": ("pytorch", "read_pytorch"),
    ".pth": ("pytorch", "read_pytorch"),
    ".bin": ("pytorch", "read_pytorch"),
    ".onnx": ("onnx", "read_onnx"),
}


def import_files(paths: Sequence[Path], given: Given | None = None, int8: bool | None = False) -> Imported:
    """The MobileNet v1 in one file, or in several that run one after the other.

    `int8`: its own integers as well; None: where it has them.

    `ModelFileError` where a file is damaged or no MobileNet v1, `UsageError` for what has to be said with flags.
    """
    if not paths:
        raise UsageError("import needs a file")
    contents, digest = [], hashlib.sha256()
    for path in paths:
        data = _read(path)
        digest.update(data)
        with _naming(path):
            contents.append(read_content(data, path.suffix.lower()))
    with _naming(" + ".join(map(str, paths))):
        content = chain(contents)
        imported = recognise(content, given)
        source = {"file": " + ".join(path.name for path in paths), "sha256": digest.hexdigest()}
        model = replace(imported.model, data={"imported": {**source, **imported.model.data["imported"]}})
        wanted = has_integers(content) if int8 is None else int8
        return replace(imported, model=model, integers=keep_integers(content, model) if wanted else None)


def read_content(data: bytes, suffix: str) -> Content:
    """What a file of that suffix says."""
    module, function = FORMATS[suffix]
    content: Content = getattr(import_module(f"{__package__}.read.{module}"), function)(data)
    return content


def _read(path: Path) -> bytes:
    if path.suffix.lower() not in FORMATS:
        raise UsageError(f"{path}: trained networks are read from {', '.join(FORMATS)} files")
    try:
        if not path.is_file():
            raise ModelFileError(f"{path}: no such file")
        if path.stat().st_size > MAX_BYTES:
            raise ModelFileError(f"{path}: {path.stat().st_size} bytes, more than {MAX_BYTES} are not read")
        return path.read_bytes()
    except OSError as exc:
        raise ModelFileError(f"{path}: cannot be read: {exc.strerror}") from exc


@contextmanager
def _naming(what: object) -> Iterator[None]:
    """An error about a file's content names the file."""
    try:
        yield
    except MissingExtraError:
        raise
    except MobilenetsError as exc:
        raise type(exc)(f"{what}: {exc}") from exc
