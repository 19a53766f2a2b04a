"""`--pretrained`: a file, a run folder or a published network, opened as a `Model`."""

import os
from dataclasses import fields, replace
from pathlib import Path

from safetensors import SafetensorError, safe_open

from ..errors import ModelFileError
from ..model import load, model_file
from ..quant.scheme import FORMAT
from .hub.catalogue import Published, find, names
from .hub.fetch import Note, Progress, fetch
from .importing import FORMATS, import_files
from .recognise import Given, Imported

__all__ = ["check_pretrained", "is_ours", "is_published", "open_pretrained"]


def open_pretrained(
    name_or_path: str,
    alpha: float | None = None,
    height: int | None = None,
    given: Given | None = None,
    progress: Progress | None = None,
    note: Note | None = None,
    int8: bool | None = False,
    body_only: bool = False,
    size: tuple[int, int] | None = None,
    family: str = "",
) -> Imported:
    """Return the trained network that `name_or_path` refers to.

    Names of the catalogue (`imagenet`, `keras/0.25-128`, see `catalogue.find`) take precedence: a file or folder of
    that name is `./imagenet`. Any other text is a path: a model of this package or its run folder, for which no facts
    are listed because the model states all of them, or any file that `import_files` reads; `A.tflite+B.tflite` are two
    that run one after the other. `given` takes precedence over the catalogue, and that over the files. `int8`,
    `body_only` and `size` apply to files, as in `import_files`; alpha, height and family to `imagenet`. Raises
    `ModelFileError` for a path that does not exist, `UsageError` for an unknown name.
    """
    if is_published(name_or_path):
        return _published(find(name_or_path, alpha, height, family), given or Given(), progress, note)
    paths = _paths(name_or_path)
    ours = os.path.isdir(paths[0]) or (paths[0].suffix.lower() == ".safetensors" and is_ours(paths[0]))
    if len(paths) == 1 and ours:
        return Imported(load(model_file(paths[0])), ())
    return import_files(paths, given, int8, body_only, size)


def check_pretrained(name_or_path: str) -> None:
    """Raise what `open_pretrained` would raise for a name that nobody has and for a path that does not exist."""
    if is_published(name_or_path):
        find(name_or_path)
    else:
        _paths(name_or_path)


def is_published(text: str) -> bool:
    """Return whether the text is looked up in the catalogue: it is a name there, or it does not look like a path."""
    if text == "imagenet" or text.removeprefix("imagenet:") in names():
        return True
    misspelt = text.startswith(("imagenet:", *{name.partition("/")[0] + "/" for name in names()}))
    like_path = os.sep in text or text.startswith((".", "~")) or Path(text).suffix.lower() in FORMATS
    return not os.path.exists(text) and (misspelt or not like_path)


def _paths(text: str) -> list[Path]:
    """Return the file or files that `text` names; a file with a plus in its name takes precedence over two names."""
    whole = Path(os.path.expanduser(text))
    paths = [whole] if os.path.exists(whole) else [Path(os.path.expanduser(part)) for part in text.split("+")]
    for path in paths:
        if not os.path.exists(path):
            raise ModelFileError(f"{path}: no such file, and no published network has that name")
    return paths


def is_ours(path: Path) -> bool:
    """Return whether a file is a model or an export of this package; decided by the suffix where it does not exist."""
    suffix = path.suffix.lower()
    if suffix not in (".safetensors", ".onnx") or not path.is_file():
        return suffix in (".safetensors", ".onnx")
    try:
        if suffix == ".onnx":
            return b"mobilenets.onnx" in path.read_bytes()
        with safe_open(path, "numpy") as file:
            return (file.metadata() or {}).get("format") in ("mobilenets.model", FORMAT)
    except (SafetensorError, OSError):
        return False  # the importer reports what is wrong


def _published(published: Published, given: Given, progress: Progress | None, note: Note | None) -> Imported:
    """Return the downloaded network; the facts distinguish the user's settings from those of the catalogue."""
    known = published.given
    own = {field.name: getattr(given, field.name) for field in fields(Given)}
    own = {name: value for name, value in own.items() if value is not None}
    imported = import_files(fetch(published, progress, note), replace(known, **own))
    facts = tuple(
        replace(fact, source=published.name) if fact.source == "you" and fact.name not in own else fact
        for fact in imported.facts
    )
    source = {**imported.model.data["imported"], "published": published.name, "licence": published.licence}
    return Imported(replace(imported.model, data={"imported": source}), facts)
