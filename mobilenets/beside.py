"""A network in floats and in integers, side by side on the same images: what int8 costs, and what it saves."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from .assess import Judged, answers
from .cost import Latency, cost
from .data.cache import Images
from .errors import ModelFileError
from .model import Model
from .quant import file
from .quant.reference import agreement
from .quant.scheme import QuantModel
from .runtime import CompiledSession, Runner, measure_sessions, open_session
from .tasks import task_type
from .tasks.result import Result, Section, Table

__all__ = ["Beside", "Half", "Pair", "beside_of", "compare", "pair_with"]

SUFFIX = ".int8.safetensors"


@dataclass(frozen=True, slots=True)
class Pair:
    """A float model, and the int8 one that was made of it."""

    floats: Model
    integers: QuantModel


@dataclass(frozen=True, slots=True)
class Half:
    """One of the two. `arena_bytes`: of the C on one thread; None where it is not compiled."""

    result: Result
    latency: Latency
    weights_bytes: int
    arena_bytes: int | None

    def to_dict(self) -> dict[str, Any]:
        sizes = {"weights_bytes": self.weights_bytes, "arena_bytes": self.arena_bytes}
        return {**self.result.metrics(), "latency_ms": asdict(self.latency), **sizes}


@dataclass(frozen=True, slots=True)
class Beside:
    """Both on the images of one split; `agreement` as in `quant.reference.agreement`."""

    split: str
    agreement: float
    floats: Half
    integers: Half

    def to_dict(self) -> dict[str, Any]:
        both = {"float": self.floats.to_dict(), "int8": self.integers.to_dict()}
        return {"split": self.split, "agreement": self.agreement, **both}

    def table(self) -> Table:
        name = self.floats.result.facts()[0][0]
        rows = (_row("float", self.floats, ""), _row("int8", self.integers, f"{self.agreement:.1%}"))
        title = f"float and int8 on {self.split}, {self.floats.result.images:,} images"
        return Table(title, ("", name, "", "same answer", "ms", "weights", "arena"), rows)

    def section(self) -> Section:
        caption = (
            "Both networks on the same images; ms are the medians of one image on one thread, taken in turn. Float: "
            f"{self.floats.latency.runtime}; int8: {self.integers.latency.runtime}."
        )
        return Section("int8 beside float", caption, (self.table(),))


def _row(name: str, half: Half, same: str) -> tuple[str, ...]:
    _, figure, detail = half.result.facts()[0]
    sizes = ("" if size is None else f"{size / 1e3:,.1f} KB" for size in (half.weights_bytes, half.arena_bytes))
    return name, figure, detail, same, f"{half.latency.median:.3f}", *sizes


def pair_with(path: Path, model: Model | QuantModel) -> Pair | None:
    """`model`, whose file is `path`, with its other half beside it: NAME.safetensors and NAME.int8.safetensors.

    None where there is none, or one that was made of other weights.
    """
    integral = isinstance(model, QuantModel)
    stem = path.name.removesuffix(SUFFIX if integral else ".safetensors")
    other = path.with_name(stem + (".safetensors" if integral else SUFFIX))
    if stem == path.name or not other.is_file():
        return None
    try:
        found = file.load(other)
    except ModelFileError:
        return None
    floats, integers = (found, model) if integral else (model, found)
    if not isinstance(floats, Model) or not isinstance(integers, QuantModel):
        return None
    if integers.data.get("quantized", {}).get("from_sha256") != floats.digest():
        return None
    return Pair(floats, integers)


def compare(pair: Pair, images: Images, split: str) -> Beside:
    """Run both on `images`, and in turn on one thread."""
    models: tuple[Model | QuantModel, ...] = (pair.floats, pair.integers)
    task = task_type(pair.floats.task)()
    outputs = [answers(open_session(model), images) for model in models]
    single = [open_session(model, threads=1) for model in models]
    halves = [
        Half(
            task.evaluate(output, images, model.labels, model.head_config),
            replace(latency, runtime=session.runtime, threads=session.threads),
            cost(model.network).bytes("fp32") if isinstance(model, Model) else model.nbytes,
            _arena(session),
        )
        for model, output, session, latency in zip(models, outputs, single, measure_sessions(single), strict=True)
    ]
    return Beside(split, agreement(pair.floats.network.output, *outputs), *halves)


def _arena(session: Runner) -> int | None:
    return session.arena_bytes if isinstance(session, CompiledSession) else None


def beside_of(path: Path, model: Model | QuantModel, judged: Judged) -> Beside | None:
    """Return the model and its other half on the images that it was judged on; None unless both lie in one folder."""
    pair = pair_with(path, model)
    return compare(pair, judged.images, judged.evaluated.split) if pair else None
