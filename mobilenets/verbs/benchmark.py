"""`mobilenets benchmark`: which runtime is fastest on this machine."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..arch import named
from ..benchmarks import Benchmark, benchmark_model
from ..benchmarks.chart import check_chart, write_chart
from ..benchmarks.measure import IMAGES
from ..image import Pixels
from ..model import AnyModel, Model
from ..opening import is_model_name, open_model
from ..progress import Watch, watching
from ..quant.scheme import QuantModel
from ..runtime import OnnxFile
from ..runtime.measure import untrained
from ..runtime.tune import SECONDS
from .arguments import seconds_of

__all__ = ["benchmark"]


def benchmark(
    model: str | Path,
    *,
    threads: Sequence[int] = (),
    batch_sizes: Sequence[int] = (1, 8, 32),
    precisions: Sequence[str] = (),
    data: str | Path | None = None,
    report: str | Path | None = None,
    overwrite: bool = False,
    tune: float | str = SECONDS,
    watch: Watch | None = None,
) -> Benchmark:
    """Time the network's own C and every runtime that is installed, in one run.

    Parameters
    ----------
    model
        What `load` takes, or a network's name such as 0.25-128: that with random weights.
    threads
        One or more numbers; by default 1 and all cores.
    batch_sizes
        Images at once, for images/s.
    precisions
        fp32, bf16x6 and bf16x3 (fp32 in parts of bf16), fp16, bf16, int8; by default the model's own. Each runtime is
        timed in those it has. Of a float model int8 is made on the spot, good for its time only.
    data
        Images on which the runtimes' top-1 must agree, in any layout that `train` reads; noise without.
    report
        Draw the bars to this file: .html (with the table), .png or .svg; over one that exists only with `overwrite`.
    tune
        Seconds for each precision, or a time such as "10s", in which the package's own C is tuned to this processor, as
        `compile` does, unless it has been; 0 measures it as it is.
    """
    if report is not None:
        check_chart(Path(report), overwrite)
    with watching(watch) as watch:
        opened, weights = _opened(str(model), watch)
        images, source = _images(data, opened, watch)
        result = benchmark_model(
            opened,
            threads=threads,
            batch_sizes=batch_sizes,
            precisions=precisions,
            images=images,
            source=source,
            weights=weights,
            tune=seconds_of(tune, "tune"),
            watch=watch,
        )
    if report is not None:
        write_chart(Path(report), result)
    return result


def _opened(name: str, watch: Watch) -> tuple[Model | QuantModel, str]:
    """Return the model, and whether its weights are trained or random."""
    from ..weights import import_files

    if not is_model_name(name):
        return untrained(named(name)), "random"
    opened = open_model(name, watch)
    if isinstance(opened.model, OnnxFile):
        return import_files([opened.path]).model, "trained"
    return opened.trained(), "trained"


def _images(data: str | Path | None, model: AnyModel, watch: Watch) -> tuple[Pixels | None, str]:
    """Return some of the images of a data set, spread over all of it, as the network sees them; and its name."""
    if data is None:
        return None, "noise"
    from ..data.cache import decode_split
    from ..data.sources import open_dataset

    samples = open_dataset(Path(data), None).splits["all"]
    chosen = samples[:: -(-len(samples) // IMAGES)]
    images = decode_split(
        chosen, model.preprocess, short_side=None, progress=lambda done, total: watch.decoded("all", done, total)
    )
    return np.stack([images.pixels(i) for i in range(len(images))]), Path(data).resolve().name
