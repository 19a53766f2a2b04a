"""Comparison of a float network and its int8 one on the same images: what int8 costs and what it saves."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ..costs import Latency
from ..data.cache import Images
from ..errors import ModelFileError
from ..model import Model
from ..quant.file import load
from ..quant.reference import agreement
from ..quant.scheme import QuantModel
from ..runtime import CompiledSession, Runner, measure_sessions, on_threads
from ..tasks import task_type
from ..tasks.result import Result, Section, Table
from .evaluated import Measured, Served, serve

__all__ = ["Compared", "Comparison", "compare", "compare_with_sibling", "sibling_of"]

SUFFIX = ".int8.safetensors"


@dataclass(frozen=True, slots=True)
class Compared:
    """One of the two networks. `arena_bytes`: of the C on one thread; None where it is not compiled."""

    result: Result
    latency: Latency
    weights_bytes: int
    arena_bytes: int | None

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as JSON."""
        sizes = {"weights_bytes": self.weights_bytes, "arena_bytes": self.arena_bytes}
        return {**self.result.metrics(), "latency_ms": asdict(self.latency), **sizes}


@dataclass(frozen=True, slots=True)
class Comparison:
    """Both networks on the images of one split; `agreement` as in `quant.reference.agreement`."""

    split: str
    agreement: float
    floats: Compared
    integers: Compared

    def to_dict(self) -> dict[str, Any]:
        """Return the figures of both as JSON."""
        both = {"float": self.floats.to_dict(), "int8": self.integers.to_dict()}
        return {"split": self.split, "agreement": self.agreement, **both}

    def table(self) -> Table:
        """Return a row for each network."""
        name = self.floats.result.facts()[0][0]
        rows = (_row("float", self.floats, ""), _row("int8", self.integers, f"{self.agreement:.1%}"))
        title = f"float and int8 on {self.split}, {self.floats.result.images:,} images"
        return Table(title, ("", name, "", "same prediction", "ms", "weights", "arena"), rows)

    def section(self) -> Section:
        """Return the table as a section of a report."""
        caption = (
            "Both networks on the same images; ms are the medians of one image on one thread, taken in turn. Float: "
            f"{self.floats.latency.runtime}; int8: {self.integers.latency.runtime}."
        )
        return Section("Float and int8", caption, (self.table(),))


def _row(name: str, one: Compared, same: str) -> tuple[str, ...]:
    _, figure, detail = one.result.facts()[0]
    sizes = ("" if size is None else f"{size / 1e3:,.1f} KB" for size in (one.weights_bytes, one.arena_bytes))
    return name, figure, detail, same, f"{one.latency.median:.3f}", *sizes


def sibling_of(path: Path, model: Model | QuantModel) -> Model | QuantModel | None:
    """Return the other precision of `model`, whose file is `path`: NAME.safetensors or NAME.int8.safetensors.

    None where there is none in the same folder, or where the int8 model was made of other weights.
    """
    integral = model.precision == "int8"
    stem = path.name.removesuffix(SUFFIX if integral else ".safetensors")
    other = path.with_name(stem + (".safetensors" if integral else SUFFIX))
    if stem == path.name or not other.is_file():
        return None
    try:
        found = load(other)
    except ModelFileError:
        return None
    floats, integers = (found, model) if integral else (model, found)
    if (floats.precision, integers.precision) != ("fp32", "int8"):
        return None
    return found if integers.data.get("quantized", {}).get("from_sha256") == floats.digest() else None


def compare(floats: Served, integers: Served, images: Images, split: str) -> Comparison:
    """Compare the outputs of both for `images`; their latencies are measured in turn on one thread."""
    task = task_type(floats.session.task)()
    served = (floats, integers)
    single = [on_threads(one.session, 1, one.model) for one in served]
    compared = [
        Compared(
            task.evaluate(one.outputs, images, one.session.labels, one.session.head_config),
            replace(latency, runtime=session.runtime, threads=session.threads),
            one.model.nbytes,
            _arena(session),
        )
        for one, session, latency in zip(served, single, measure_sessions(single), strict=True)
    ]
    return Comparison(split, agreement(floats.model.network.output, floats.outputs, integers.outputs), *compared)


def _arena(session: Runner) -> int | None:
    return session.arena_bytes if isinstance(session, CompiledSession) else None


def compare_with_sibling(path: Path, model: Model | QuantModel, measured: Measured) -> Comparison | None:
    """Compare `model`, whose file is `path`, with its other precision on the images that it was evaluated on.

    None where no such file lies in the same folder.
    """
    other = sibling_of(path, model)
    if other is None:
        return None
    images = measured.images
    pair = Served(model, measured.session, measured.outputs), serve(other, images)
    floats, integers = pair if model.precision == "fp32" else reversed(pair)
    return compare(floats, integers, images, measured.evaluated.split)
