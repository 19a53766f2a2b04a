"""`import_files`: selects the reader of a file and bounds its size."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from importlib import import_module
from pathlib import Path, PurePosixPath

from ..errors import MissingExtraError, MobilenetsError, ModelFileError, UsageError
from .imported_int8 import has_integers, keep_integers
from .layers import Content, ExternalReader, UnreadError, chain
from .recognise import Given, Imported, recognise
from .skeleton import holds_body

__all__ = ["FORMATS", "import_files", "read_content"]

MAX_BYTES = 1 << 30  # of one file: the largest MobileNet with its optimiser is a tenth of it

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


def import_files(
    paths: Sequence[Path],
    given: Given | None = None,
    int8: bool | None = False,
    body_only: bool = False,
    size: tuple[int, int] | None = None,
) -> Imported:
    """Return the MobileNet in one file, or in several that run one after the other.

    `int8`: import its own integers as well; None: where it has them. `body_only`: import the body alone where it has no
    classifier or another head. `size` (height, width) is the default where neither `given` nor the file states one.

    Raises `ModelFileError` where a file is damaged or not a MobileNet, `UsageError` for settings that must be given.
    """
    if not paths:
        raise UsageError("import needs a file")
    contents, digest = [], hashlib.sha256()
    for path in paths:
        data = _read(path)
        digest.update(data)
        with _naming(path):
            contents.append(_read_content(data, path.suffix.lower(), _ExternalFiles(path, digest), body_only))
    with _naming(" + ".join(map(str, paths))):
        content = chain(contents)
        if size and content.size is None:
            content = replace(content, conventions={"size": size, **content.conventions})
        imported = recognise(content, given, body_only)
        source = {"file": " + ".join(path.name for path in paths), "sha256": digest.hexdigest()}
        model = replace(imported.model, data={"imported": {**source, **imported.model.data["imported"]}})
        wanted = has_integers(content) if int8 is None else int8
        return replace(imported, model=model, integers=keep_integers(content, model) if wanted else None)


def read_content(data: bytes, suffix: str, external: ExternalReader | None = None) -> Content:
    """Return the content of a file with that suffix.

    `external` reads the files that hold its external arrays; None: no such file is read.
    """
    module, function = FORMATS[suffix]
    read = getattr(import_module(f"{__package__}.read.{module}"), function)
    content: Content = read(data, external) if suffix == ".onnx" else read(data)
    return content


def _read_content(data: bytes, suffix: str, external: ExternalReader, body_only: bool) -> Content:
    """Return the content of a file; with `body_only` the layers before a head that cannot be read."""
    try:
        return read_content(data, suffix, external)
    except UnreadError as exc:
        if exc.before is None or not body_only:
            raise
        body = exc.before().cut(str(exc))
        if not holds_body(body.layers):
            raise
        return body


class _ExternalFiles:
    """Reads files in the folder of `path` by name; each is included in the digest once."""

    def __init__(self, path: Path, digest: "hashlib._Hash") -> None:
        self.folder, self.digest = path.parent, digest
        self.known: dict[str, bytes] = {}

    def __call__(self, name: str) -> bytes:
        if name not in self.known:
            parts = PurePosixPath(name.replace("\\", "/"))
            if parts.is_absolute() or ".." in parts.parts or not parts.name or "\0" in name:
                raise ModelFileError(f"its values are in {name[:80]!r}, out of its folder: that is not opened")
            if not (self.folder / parts).is_file():
                raise ModelFileError(f"its values are in {name[:80]!r}, which must be in the same folder")
            self.known[name] = _bytes_of(self.folder / parts)
            self.digest.update(self.known[name])
        return self.known[name]


def _read(path: Path) -> bytes:
    if path.suffix.lower() not in FORMATS:
        raise UsageError(f"{path}: trained networks are read from {', '.join(FORMATS)} files")
    return _bytes_of(path)


def _bytes_of(path: Path) -> bytes:
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
    """Prefix errors about a file's content with the name of the file."""
    try:
        yield
    except MissingExtraError:
        raise
    except MobilenetsError as exc:
        raise type(exc)(f"{what}: {exc}") from exc
