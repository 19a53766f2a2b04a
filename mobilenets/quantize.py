"""`quantize`: a trained float model becomes an int8 one, and both are judged on images that neither has seen."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any

import numpy as np

from .arch.ops import OUTPUTS
from .assess import default_split
from .beside import Beside, Pair, compare
from .convert import open_model
from .data.cache import decode_split
from .data.sources import Dataset, Sample
from .errors import DataError, UsageError
from .files import check_output
from .model import Model
from .quant import file
from .quant.post_training import FEWEST, Choices, Loss, Quantized, Tried, quantize
from .quant.scheme import QuantModel
from .runtime.activations import open_activations
from .tasks import task_type
from .train.watch import Watch

__all__ = ["QuantizedFile", "quantize_model"]

IMAGES = 300  # to calibrate on: more do not change the ranges


@dataclass(frozen=True, slots=True, repr=False)
class QuantizedFile:
    """What `quantize_model` wrote, how it was chosen and what it costs."""

    path: Path
    model: QuantModel
    tried: tuple[Tried, ...]  # the chosen first
    losses: tuple[Loss, ...]  # of each layer, first to last
    calibrated_on: int
    held_back: int  # of them, on which `tried` was judged
    beside: Beside

    def __repr__(self) -> str:
        return f"QuantizedFile({str(self.path)!r}, {self.model!r}, {self.tried[0]!r})"

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
            "held_back": self.held_back,
            **self.beside.to_dict(),
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
    if images < FEWEST:
        raise UsageError(f"images (={images}) to calibrate on must be at least {FEWEST}, better 200 to 500")
    path, floats = _opened(model, output, overwrite, watch)
    task = task_type(floats.task)()
    dataset = data if isinstance(data, Dataset) else task.open(data, max_bad=max_bad)
    for note in dataset.notes:
        watch.note(note)
    dataset = task.align_labels(dataset, floats.labels, floats.head_config)
    drawn = draw(dataset, images)
    classes = _classes(drawn)
    if classes and (unseen := [label for i, label in enumerate(dataset.labels) if i not in classes]):
        watch.note(
            f"no image of {len(unseen)} of {len(dataset.labels)} {task.label_noun} to calibrate on: {unseen[0]!r}"
        )
    calibration = decode_split(drawn, floats.preprocess, short_side=None, max_bad=max_bad)
    pixels = np.stack([calibration.pixels(i) for i in range(len(calibration))])
    watch.note(f"calibrating on {len(pixels)} images")
    found = quantize(floats, pixels, open_activations, Choices(rule))
    integers = replace(found.model, metrics={}, data={**floats.data, "quantized": _origin(floats, found)})
    split = default_split(dataset)
    judged = decode_split(
        dataset.splits[split],
        floats.preprocess,
        short_side=None,
        max_bad=max_bad,
        progress=lambda done, total: watch.decoded(split, done, total),
    )
    beside = compare(Pair(floats, integers), judged, split)
    metrics = {"split": split, **beside.integers.result.metrics(), "agreement": beside.agreement}
    metrics[f"{task.score}_float"] = beside.floats.result.score
    integers = replace(integers, metrics=metrics)
    return QuantizedFile(
        file.save(integers, path), integers, found.tried, found.losses, len(pixels), found.held_back, beside
    )


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
    opened = open_model(model, watch, floats=True)
    if not isinstance(opened, Path) and Path(model).suffix == ".tflite":
        watch.note("what of it is integers becomes floats first, and is quantised anew")
    source = opened if isinstance(opened, Path) else Path(model)
    floats = file.load(opened) if isinstance(opened, Path) else opened
    if isinstance(floats, QuantModel):
        raise UsageError(f"{source} is an int8 model already")
    if floats.network.output not in OUTPUTS:
        raise UsageError(f"{source}: its task is {floats.task}, whose head is not made integers")
    path = Path(output) if output else source.with_suffix(".int8.safetensors")
    check_output(path, (".safetensors",), overwrite, sources=[source])
    return path, floats


def _origin(floats: Model, found: Quantized) -> dict[str, Any]:
    chosen = found.tried[0]
    return {
        "from_sha256": floats.digest(),
        "rule": chosen.rule,
        "equalised": chosen.equalised,
        "calibrated_on": found.images,
    }
