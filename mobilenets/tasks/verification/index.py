"""An index of the embeddings of images, and the search for those nearest to another image's."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from ...arrays import Floats
from ...errors import ModelFileError, UsageError
from ...files import write_atomic
from ...runtime import Runner, find_images
from ...runtime.predict import predict
from .metrics import nearest

__all__ = ["Found", "Index", "Match", "build_index", "check_task", "load_index", "look_up"]

LARGE = 20_000  # images from which on a graph of neighbours (HNSW, by faiss) beats comparing with all of them
LINKS = 32  # of an image in that graph


@dataclass(frozen=True, slots=True)
class Match:
    """An image of the index, and the cosine of its embedding and the one looked up: 1 for the same image."""

    image: str
    cosine: float


@dataclass(frozen=True, slots=True)
class Found:
    """The images nearest to one, the nearest first; or none and one line of `error`."""

    image: str
    matches: tuple[Match, ...]
    error: str | None = None

    def __str__(self) -> str:
        rows = [f"  {match.cosine:6.3f}  {match.image}" for match in self.matches]
        return "\n".join([self.image, *rows]) if self.error is None else f"{self.image}: {self.error}"


@dataclass(frozen=True)
class Index:
    """Unit `vectors` (N, D) of the N images `names`. `model`: the file or run folder of the network they come from."""

    names: tuple[str, ...]
    vectors: Floats
    model: str

    @property
    def exact(self) -> bool:
        """Return whether each image is compared with all; else a few percent of the neighbours may be missed."""
        return len(self.names) < LARGE or find_spec("faiss") is None

    def save(self, path: str | Path) -> Path:
        """Write one `.safetensors`."""
        from safetensors.numpy import save

        path = Path(path)
        if path.suffix != ".safetensors":
            raise UsageError(f"{path}: an index is a .safetensors file")
        metadata = {"format": "mobilenets.index", "names": json.dumps(self.names), "model": self.model}
        return write_atomic(path, save({"vectors": self.vectors}, metadata))

    def nearest(self, queries: Floats, k: int) -> tuple[np.ndarray[Any, Any], Floats]:
        """Return positions and cosines, (Q, k) each, of the `k` images nearest to each of unit `queries` (Q, D)."""
        k = min(k, len(self.names))
        if self.exact:
            return nearest(self.vectors, queries, k)
        cosines, positions = self._graph.search(np.ascontiguousarray(queries), k)
        return positions, cosines

    @cached_property
    def _graph(self) -> Any:
        import faiss

        graph = faiss.IndexHNSWFlat(self.vectors.shape[1], LINKS, faiss.METRIC_INNER_PRODUCT)
        graph.hnsw.efSearch = 4 * LINKS
        graph.add(self.vectors)
        return graph


def build_index(session: Runner, folder: Path, model: str) -> tuple[Index, tuple[str, ...]]:
    """Return the index of the images below `folder`, and a line for each that cannot be decoded.

    `model` is what `session` was opened from.
    """
    check_task(session, model)
    names, vectors, bad = [], [], []
    paths = ((str(path), path) for path in find_images([folder]))
    for prediction in predict(session, paths, lambda row: row.copy()):
        if prediction.error is None:
            names.append(prediction.name)
            vectors.append(prediction.prediction)
        else:
            bad.append(f"skipped {prediction.name}: {prediction.error}")
    if not names:
        raise UsageError(f"{folder}: holds no image that can be decoded")
    return Index(tuple(names), np.stack(vectors), model), tuple(bad)


def load_index(path: Path) -> Index:
    """Read what `Index.save` wrote; `ModelFileError` for another file."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "numpy") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != "mobilenets.index":
                raise ModelFileError(f"{path}: is no index: `mobilenets search FOLDER --save` writes one")
            names = json.loads(metadata["names"])
            if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
                raise ModelFileError(f"{path}: its names must be a list of texts")
            index = Index(tuple(names), file.get_tensor("vectors"), metadata["model"])
    except (SafetensorError, OSError, KeyError, ValueError, TypeError, RecursionError) as exc:
        raise ModelFileError(f"{path}: cannot be read as an index: {exc}") from exc
    vectors = index.vectors
    if vectors.ndim != 2 or len(vectors) != len(names) or vectors.dtype != np.float32:
        raise ModelFileError(f"{path}: {len(names)} names for vectors {vectors.shape} of {vectors.dtype}")
    if not np.isfinite(vectors).all():
        raise ModelFileError(f"{path}: its vectors hold values that are not finite")
    return index


def look_up(
    index: Index, session: Runner, images: Iterable[tuple[str, Path | bytes]], top: int = 10
) -> Iterator[Found]:
    """Yield the `top` images of the index that are nearest to each of (name, file or its content)."""
    check_task(session, index.model)
    if top < 1:
        raise UsageError(f"top (={top}) must be at least 1")
    if len(session.labels) != index.vectors.shape[1]:
        raise UsageError(f"the index has {index.vectors.shape[1]} dimensions, the model {len(session.labels)}")
    return _found(index, session, images, top)


def _found(index: Index, session: Runner, images: Iterable[tuple[str, Path | bytes]], top: int) -> Iterator[Found]:
    for prediction in predict(session, images, lambda row: row.copy()):
        if prediction.error is not None:
            yield Found(prediction.name, (), prediction.error)
        else:
            positions, cosines = index.nearest(prediction.prediction[None], top)
            yield Found(prediction.name, _matches(index.names, positions[0], cosines[0]))


def _matches(names: Sequence[str], positions: Iterable[Any], cosines: Iterable[Any]) -> tuple[Match, ...]:
    return tuple(Match(names[at], float(cosine)) for at, cosine in zip(positions, cosines, strict=True) if at >= 0)


def check_task(session: Runner, model: str) -> None:
    """Raise `UsageError` where the model that `session` was opened from does not embed."""
    if session.task != "embed":
        raise UsageError(f"{model}: its task is {session.task}: only a network that was trained to embed can search")
