"""`quantize`: a trained float model becomes an int8 one, and both are judged on images that neither has seen."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any

import numpy as np

from .assess import default_split
from .convert import keep, open_model
from .data.cache import Images, decode_split
from .data.sources import Dataset, Sample, open_dataset
from .errors import DataError, UsageError
from .image import Pixels
from .model import Model
from .quant import file
from .quant.quantize import Choices, Loss, Quantized, Tried, quantize
from .quant.scheme import Floats, QuantModel
from .runtime import open_session
from .runtime.activations import open_activations
from .tasks.evaluation import wilson
from .train.watch import Watch

__all__ = ["Judged", "QuantizedFile", "quantize_model"]

IMAGES = 300  # to calibrate on: more do not change the ranges
BATCH = 32


@dataclass(frozen=True, slots=True)
class Judged:
    """Both networks on the images of one split; fractions. `top1` of tasks other than classify is None."""

    split: str
    images: int
    agreement: float  # share of images to which both give the same largest logit
    top1_float: float | None
    top1_int8: float | None
    interval_float: tuple[float, float] | None  # 95 %, Wilson
    interval_int8: tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class QuantizedFile:
    """What `quantize_model` wrote, how it was chosen and what it costs."""

    path: Path
    model: QuantModel
    tried: tuple[Tried, ...]  # the chosen first
    losses: tuple[Loss, ...]  # of each layer, first to last
    calibrated_on: int
    judged: Judged
    bytes_float: int
    bytes_int8: int

    def to_dict(self) -> dict[str, Any]:
        return {
            "path": str(self.path),
            "network": self.model.name,
            "integers_sha256": self.model.digest(),
            "rule": self.tried[0].rule,
            "equalised": self.tried[0].equalised,
            "tried": [asdict(tried) for tried in self.tried],
            "layers": [asdict(loss) for loss in self.losses],
            "calibrated_on": self.calibrated_on,
            **asdict(self.judged),
            "bytes_float": self.bytes_float,
            "bytes_int8": self.bytes_int8,
        }


def quantize_model(
    model: str | Path,
    data: str | Path | Dataset,
    output: str | Path | None = None,
    images: int = IMAGES,
    rule: str | None = None,
    max_bad: float = 0.01,
    watch: Watch | None = None,
    overwrite: bool = False,
) -> QuantizedFile:
    """Write an int8 `.safetensors`, by default NAME.int8.safetensors beside `model`; over no file unless `overwrite`.

    Calibrated on `images` of train, drawn evenly over all classes; judged on test where there is one, else val. `rule`:
    minmax, percentile or mse; None: the one that agrees best with the float network on images held back.
    """
    watch = watch or Watch()
    path, floats = _opened(model, output, overwrite, watch)
    dataset = data if isinstance(data, Dataset) else open_dataset(data)
    for note in dataset.notes:
        watch.note(note)
    drawn = draw(dataset, images)
    if unseen := sorted({*floats.labels} - {dataset.labels[i] for i in _classes(drawn)}) if _classes(drawn) else []:
        watch.note(f"no image of {len(unseen)} of {len(floats.labels)} classes to calibrate on, such as {unseen[0]!r}")
    calibration = decode_split(drawn, floats.preprocess, short_side=None, max_bad=max_bad)
    pixels = _pixels(calibration, range(len(calibration)))
    watch.note(f"calibrating on {len(pixels)} images")
    found = quantize(floats, pixels, open_activations, Choices(rule))
    judged = _judge(floats, found.model, dataset, max_bad, watch)
    integers = replace(found.model, metrics=_metrics(judged), data={**floats.data, "quantized": _origin(floats, found)})
    written = file.save(integers, path)
    sizes = sum(array.size * 4 for array in floats.weights.values()), written.stat().st_size
    return QuantizedFile(written, integers, found.tried, found.losses, len(pixels), judged, *sizes)


def draw(dataset: Dataset, count: int, seed: int = 0) -> tuple[Sample, ...]:
    """`count` samples of train, as evenly over the classes as can be; `DataError` where all are of one class."""
    samples = dataset.splits.get("train") or dataset.splits["all"]
    rng = np.random.default_rng(seed)
    shuffled = [samples[i] for i in rng.permutation(len(samples))]
    classes = _classes(shuffled)
    if not classes:  # targets are no classes
        return tuple(shuffled[:count])
    if len(classes) == 1:
        raise DataError(
            f"{dataset.root}: all images to calibrate on are of one class, {dataset.labels[classes[0]]!r}: they say "
            "nothing of the ranges that others need"
        )
    turns = chain.from_iterable(zip_longest(*([s for s in shuffled if s.target == number] for number in classes)))
    return tuple(sample for sample in turns if sample is not None)[:count]


def _classes(samples: Sequence[Sample]) -> list[int]:
    """The class indices that occur; none where targets are something else."""
    targets = [sample.target for sample in samples]
    return sorted(set(targets)) if all(isinstance(target, int) for target in targets) else []


def _opened(model: str | Path, output: str | Path | None, overwrite: bool, watch: Watch) -> tuple[Path, Model]:
    """Where to write, and the float model."""
    opened = open_model(model, watch)
    source = opened if isinstance(opened, Path) else Path(model)
    floats = opened if isinstance(opened, Model) else file.load(opened)
    if isinstance(floats, QuantModel):
        raise UsageError(f"{source} is an int8 model already")
    if floats.task != "classify":
        raise UsageError(f"{source}: its task is {floats.task}: quantize judges classifiers only")
    path = Path(output) if output else source.with_suffix(".int8.safetensors")
    if path.suffix != ".safetensors":
        raise UsageError(f"output {path}: a model is a .safetensors file")
    keep(path, overwrite)
    return path, floats


def _judge(floats: Model, integers: QuantModel, dataset: Dataset, max_bad: float, watch: Watch) -> Judged:
    """On the test split, or val."""
    split = default_split(dataset)
    images = decode_split(
        dataset.splits[split],
        floats.preprocess,
        short_side=None,
        max_bad=max_bad,
        progress=lambda done, total: watch.decoded(split, done, total),
    )
    before, after = _logits(floats, images).argmax(axis=1), _logits(integers, images).argmax(axis=1)
    agreement = float((before == after).mean())
    if floats.task != "classify":
        return Judged(split, len(images), agreement, None, None, None, None)
    unknown = [label for label in dataset.labels if label not in floats.labels]
    if unknown:
        raise DataError(f"{dataset.root} has labels that the model does not know: {', '.join(unknown[:5])}")
    truth = np.array([floats.labels.index(label) for label in dataset.labels])[images.targets]
    right = [int((found == truth).sum()) for found in (before, after)]
    rates = (right[0] / len(images), right[1] / len(images))
    return Judged(split, len(images), agreement, *rates, *(wilson(count, len(images)) for count in right))


def _logits(model: Model | QuantModel, images: Images) -> Floats:
    session = open_session(model)
    return np.concatenate([session.logits(_pixels(images, part)) for part in _parts(len(images))])


def _parts(count: int) -> Iterator[range]:
    return (range(start, min(start + BATCH, count)) for start in range(0, count, BATCH))


def _pixels(images: Images, which: range) -> Pixels:
    return np.stack([images.pixels(i) for i in which])


def _metrics(judged: Judged) -> dict[str, Any]:
    found: dict[str, Any] = {"split": judged.split, "images": judged.images, "agreement": judged.agreement}
    return found if judged.top1_int8 is None else {**found, "top1": judged.top1_int8, "top1_float": judged.top1_float}


def _origin(floats: Model, found: Quantized) -> dict[str, Any]:
    chosen = found.tried[0]
    return {
        "from_sha256": floats.digest(),
        "rule": chosen.rule,
        "equalised": chosen.equalised,
        "calibrated_on": found.images,
    }
