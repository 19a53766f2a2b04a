"""The verbs as functions: what the command line does, from Python. Each returns one value that can print itself.

Heavy parts are imported by the verb that needs them; torch only by training and by export's parity check.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .assess import Evaluated, default_split, few_images, judge, nearly_equal, report
from .beside import beside_of
from .convert import CompiledFiles, Exported, check_order, compile_to_c, export_model, import_model, open_model
from .design import Budget, Design, Prior, Space, read_runs, search
from .errors import UsageError
from .files import check_output
from .image import Source, in_memory
from .machine import check_threads, cores, other_load
from .quant.file import load
from .quantize import QuantizedFile, quantize_model
from .train.watch import Watch
from .training import Trained, plan_training, resume_run, train_network

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image

    from .data.sources import Dataset
    from .runtime import PredictedImage, Runner, Runtime

    Picture = bytes | Image | np.ndarray[Any, Any]

__all__ = [
    "CompiledFiles",
    "Evaluated",
    "Exported",
    "QuantizedFile",
    "Trained",
    "answered",
    "compile_to_c",
    "design_network",
    "evaluate_model",
    "export_model",
    "import_model",
    "open_model",
    "plan_training",
    "predict_images",
    "quantize_model",
    "resume_run",
    "train_network",
]


BUSY = 0.75  # programs a core, by the system's load average: what is measured then says so


def design_network(
    budget: Budget,
    space: Space | None = None,
    *,
    calibrate: Sequence[str | Path] = (),
    threads: int = 1,
    runtime: "Runtime" = "auto",
    precision: str = "fp32",
) -> Design:
    """The Pareto front and one choice for `budget`; latency is measured here, in `runtime`, on `threads` threads.

    `precision`: of the latency, fp32 or int8; that of sizes is the budget's.
    `calibrate`: run folders or models of the user's whose validation top-1 moves the accuracy prior.
    Raises `BudgetError`, `LatencyError`.
    """
    check_threads(threads, least=1)
    prior = Prior.of_the_paper()
    if calibrate:
        prior = prior.calibrated(read_runs(calibrate))
    if budget.max_latency is None:
        return search(budget, space or Space(), prior)
    from .runtime import measure_networks

    measure = partial(measure_networks, threads=threads, runtime=runtime, precision=precision)
    load = other_load()
    design = search(budget, space or Space(), prior, measure)
    if load <= BUSY * cores():
        return design
    busy = f"The machine was busy (load average {load:.1f} on {cores()} cores): on a quiet one more may fit."
    return replace(design, reason=f"{design.reason} {busy}")


def evaluate_model(
    model: str | Path,
    data: "str | Path | Dataset",
    split: str | None = None,
    *,
    max_bad: float = 0.01,
    threads: int = 1,
    report_to: str | Path | None = None,
    overwrite: bool = False,
    runtime: "Runtime" = "auto",
    watch: Watch | None = None,
) -> Evaluated:
    """Judge what `open_model` opens on `split` (default: test where there is one, else val).

    "all": on every image, whatever its split, also where none could be held out.
    Latency is for one image on `threads` threads. `report_to` writes the HTML report, for a `.safetensors` or a run,
    over a file that exists only with `overwrite`; where NAME.int8.safetensors lies beside NAME.safetensors it sets the
    two side by side.
    Raises `DataError` where the data's labels are not the model's.
    """
    from .data.sources import Dataset
    from .runtime import open_session
    from .tasks import task_type

    watch = watch or Watch()
    check_order(model, [data])
    if report_to is not None:
        check_output(Path(report_to), (".html",), overwrite, "--report", any_case=True)
    opened = open_model(model, watch)
    if report_to is not None and isinstance(opened, Path) and opened.suffix == ".onnx":
        raise UsageError("a report needs the .safetensors model: an ONNX file does not say how it was trained")
    if isinstance(data, Dataset):
        dataset = data
    else:
        task = task_type(open_session(opened, runtime=runtime).task)()
        dataset = task.open(data, None, max_bad) if split == "all" else task.open(data, max_bad=max_bad)
    chosen = split or default_split(dataset)
    for note in (*dataset.notes, *few_images(dataset, chosen)):
        watch.note(note)
    judged = judge(opened, dataset, chosen, max_bad, threads, watch.decoded, runtime)
    if report_to is not None:
        loaded = load(opened) if isinstance(opened, Path) else opened
        beside = beside_of(opened, loaded, judged) if isinstance(opened, Path) else None
        more = [*([beside.section()] if beside else []), *nearly_equal(dataset, watch)]
        report(Path(report_to), loaded, judged, more=more)
    return judged.evaluated


def predict_images(
    model: str | Path,
    images: "str | Path | Picture | Sequence[str | Path | Picture]",
    top: int | None = None,
    batch_size: int = 32,
    runtime: "Runtime" = "auto",
    min_confidence: float = 0.0,
) -> "Iterator[PredictedImage]":
    """Predictions for images, in order and in bounded memory; no torch.

    `images`: one or several of a file, a video (its frames; needs `mobilenets[video]`), a folder (searched to any
    depth), a pattern such as photos/*.jpg, the content of an image file (bytes), a Pillow image, and an array (H, W),
    (H, W, 1), (H, W, 3) or (H, W, 4) of uint8, colours in the order RGB or RGBA. What has no path is named by its
    place: image 0.
    `min_confidence`: a classifier whose best probability is below it answers "none of these".
    Raises `DataError` for what does not exist and for folders without an image, and `UsageError` for an array of
    another shape or dtype.
    """
    from .runtime import open_session

    given = images if isinstance(images, list | tuple) else [images]
    check_order(model, given)
    sources = [_named(at, one) for at, one in enumerate(given)]
    session = open_session(open_model(model), runtime=runtime)
    return answered(session, chain.from_iterable(sources), top, batch_size, min_confidence)


def _named(at: int, image: "str | Path | Picture") -> "Iterator[tuple[str, Source]]":
    """(name, what to decode) of each image that is meant by the `at`-th."""
    from .runtime import find_images, with_frames

    if isinstance(image, str | Path):
        return with_frames(find_images([image]))
    return iter([(f"image {at}", image if isinstance(image, bytes) else in_memory(image))])


def answered(
    session: "Runner",
    images: "Iterable[tuple[str, Source]]",
    top: int | None = None,
    batch_size: int = 32,
    min_confidence: float = 0.0,
) -> "Iterator[PredictedImage]":
    """What an open model says of each (name, file or its content), as its task puts it: `PredictedImage.prediction`.

    `top`: of many classes (boxes, places), how many are told; by default what suits the task.
    """
    from .runtime.predict import predict
    from .tasks import task_type
    from .tasks.classify import Top

    task = task_type(session.task)()
    most = task.top if top is None else top
    if most < 1:
        raise UsageError(f"top (={top}) must be at least 1")
    if not 0 <= min_confidence <= 1:
        raise UsageError(f"min_confidence (={min_confidence:g}) must be from 0 to 1")
    if min_confidence and task.name != "classify":
        raise UsageError(f"min_confidence is of classifiers, and the model's task is {task.name}")

    def answer(row: "np.ndarray[Any, Any]") -> Any:
        said = task.prediction(row, session.labels, session.head_config, most)
        return replace(said, none=True) if isinstance(said, Top) and row.max() < min_confidence else said

    told = predict(session, images, answer, batch_size)
    return (p if p.size is None else replace(p, prediction=task.in_pixels(p.prediction, p.size)) for p in told)
