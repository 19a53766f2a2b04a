"""`mobilenets quantize`: an int8 model from a trained float one, and the comparison of both on held-out images."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any

import numpy as np

from ..arch.ops import OUTPUTS
from ..data.cache import decode_split
from ..data.sources import Dataset, Sample
from ..errors import DataError, UsageError
from ..evaluation import Comparison, compare, default_split, serve
from ..files import check_output
from ..image import Pixels
from ..model import Model
from ..opening import open_model
from ..progress import Watch, watching
from ..quant.post_training import FEWEST, Choices, Loss, Quantized, Tried
from ..quant.post_training import quantize as quantize_floats
from ..quant.scheme import QuantModel
from ..runtime.activations import open_activations
from ..tasks import task_type

__all__ = ["QuantizedFile", "quantize"]

IMAGES = 300  # to calibrate on: more do not change the ranges


@dataclass(frozen=True, slots=True, repr=False)
class QuantizedFile:
    """The int8 model that `quantize` wrote, how it was chosen and what it costs."""

    path: Path
    model: QuantModel
    tried: tuple[Tried, ...]  # the chosen first
    losses: tuple[Loss, ...]  # of each layer, first to last
    calibrated_on: int
    held_back: int  # of them, on which `tried` was measured
    comparison: Comparison

    def __repr__(self) -> str:
        return f"QuantizedFile({str(self.path)!r}, {self.model!r}, {self.tried[0]!r})"

    def __str__(self) -> str:
        both = self.comparison
        floats, integers = (one.result.headline() for one in (both.floats, both.integers))
        return f"{self.path}: {both.split} {integers}; float {floats}; same prediction {both.agreement:.1%}"

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON of `mobilenets quantize`, whose keys docs/json.md lists."""
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
            **self.comparison.to_dict(),
        }


def quantize(
    model: str | Path,
    data: str | Path | Dataset,
    output: str | Path | None = None,
    *,
    images: int = IMAGES,
    rule: str | None = None,
    max_bad: float = 0.01,
    overwrite: bool = False,
    watch: Watch | None = None,
) -> QuantizedFile:
    """Write an int8 model, calibrated on images of train and evaluated on those of test, or val where there is no test.

    Parameters
    ----------
    model
        What `load` takes, of floats.
    data
        Images with the model's labels.
    output
        By default NAME.int8.safetensors beside the model; over a file that exists only with `overwrite`.
    images
        The number of images to calibrate on, drawn evenly over all classes; 200 to 500 are enough.
    rule
        How ranges are chosen: minmax, percentile or mse; by default the rule that agrees best with the float network on
        images held back.
    max_bad
        The share of images that may be undecodable, or have two labels, before it is an error.
    """
    if images < FEWEST:
        raise UsageError(f"images (={images}) to calibrate on must be at least {FEWEST}, better 200 to 500")
    with watching(watch) as watch:
        path, floats = _opened(model, output, overwrite, watch)
        task = task_type(floats.task)()
        dataset = data if isinstance(data, Dataset) else task.open(data, max_bad=max_bad)
        for note in dataset.notes:
            watch.note(note)
        dataset = task.align_labels(dataset, floats.labels, floats.head_config)
        pixels = _calibration(dataset, floats, images, max_bad, watch)
        found = quantize_floats(floats, pixels, open_activations, Choices(rule))
        integers = replace(found.model, metrics={}, data={**floats.data, "quantized": _origin(floats, found)})
        split = default_split(dataset)
        evaluated = decode_split(
            dataset.splits[split],
            floats.preprocess,
            short_side=None,
            max_bad=max_bad,
            progress=lambda done, total: watch.decoded(split, done, total),
        )
        comparison = compare(serve(floats, evaluated), serve(integers, evaluated), evaluated, split)
    metrics = {"split": split, **comparison.integers.result.metrics(), "agreement": comparison.agreement}
    metrics[f"{task.score}_float"] = comparison.floats.result.score
    integers = replace(integers, metrics=metrics)
    return QuantizedFile(
        integers.save(path), integers, found.tried, found.losses, len(pixels), found.held_back, comparison
    )


def _calibration(dataset: Dataset, floats: Model, images: int, max_bad: float, watch: Watch) -> Pixels:
    """Return the pixels to calibrate on; a note names what none of them shows."""
    drawn = draw(dataset, images)
    classes = _classes(drawn)
    if classes and (unseen := [label for i, label in enumerate(dataset.labels) if i not in classes]):
        things = task_type(floats.task)().label_noun
        watch.note(f"no image of {len(unseen)} of {len(dataset.labels)} {things} to calibrate on: {unseen[0]!r}")
    calibration = decode_split(drawn, floats.preprocess, short_side=None, max_bad=max_bad)
    pixels = np.stack([calibration.pixels(i) for i in range(len(calibration))])
    watch.note(f"calibrating on {len(pixels)} images")
    return pixels


def draw(dataset: Dataset, count: int, seed: int = 0) -> tuple[Sample, ...]:
    """Draw `count` samples of train, as evenly over the classes as possible; `DataError` where all are of one class."""
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
    """Return the class indices that occur; none where targets are something else."""
    targets = [sample.target for sample in samples]
    return sorted(set(targets)) if all(isinstance(target, int) for target in targets) else []


def _opened(model: str | Path, output: str | Path | None, overwrite: bool, watch: Watch) -> tuple[Path, Model]:
    """Return where to write, and the float model."""
    opened = open_model(model, watch, floats=True)
    source, floats = opened.path, opened.trained()
    if source.suffix == ".tflite":
        watch.note("what of it is integers becomes floats first, and is quantised anew")
    if floats.precision == "int8":
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
