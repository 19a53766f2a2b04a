"""The commands describe, design, evaluate, predict and demo: flags, the verb, tables. Imports stand inside."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from ..errors import UsageError
from .options import BudgetFlags, ClusterFlags, DeviceFlag, Json, NetworkFlags, RuntimeFlag, SourceFlags

__all__ = ["demo", "describe", "design", "evaluate", "predict"]

_NETWORK, _BUDGET, _SOURCE, _CLUSTER = NetworkFlags(), BudgetFlags(), SourceFlags(), ClusterFlags()


def describe(
    what: str = "",
    *,
    network: NetworkFlags = _NETWORK,
    classes: int = 1000,
    device: DeviceFlag | None = None,
    clock: str | None = None,
    task: Literal["detect"] | None = None,
    json: Json = False,
) -> None:
    """Compute what a network costs: mult-adds, parameters, bytes, memory; layer by layer.

    Parameters
    ----------
    what
        A name such as 0.5-160, a model file of any format, a run folder, the name of a published network such as
        keras/0.25-128, or `paper` for Tables 4 to 9. Without it, the flags.
    classes
        Outputs of a network that is given by name or flags.
    device
        A microcontroller: also its RAM, flash and the estimated time of each layer there, in int8.
    clock
        Of the microcontroller, such as 80MHz; by default a usual one.
    task
        detect: the paper's detectors (Table 13) instead.
    json
        Print one JSON object and nothing else.
    """
    from ..opening import is_model_name
    from ..verbs.cost import cost
    from . import show

    if task is not None:
        show.detectors(cost("detectors"), json)
    elif what == "paper":
        show.paper(cost("paper"), json)
    elif what and is_model_name(what):
        show.described(cost(what, device=device, clock=clock), json)
    else:
        flags = replace(network, model=what or network.model)
        show.described(cost(flags.network(classes), device=device, clock=clock), json)


def design(
    *,
    budget: BudgetFlags = _BUDGET,
    network: NetworkFlags = _NETWORK,
    device: DeviceFlag | None = None,
    data: Path | None = None,
    classes: int | None = None,
    calibrate: Annotated[tuple[Path, ...], Parameter(consume_multiple=True, negative=())] = (),
    threads: int = 1,
    runtime: RuntimeFlag = "auto",
    precision: Literal["fp32", "int8"] = "fp32",
    json: Json = False,
) -> None:
    """Find the network for a budget: the Pareto front over alpha, resolution and depth, and one choice.

    Parameters
    ----------
    device
        A microcontroller: --max-ram, --max-flash and --max-latency are of the int8 network on it.
    data
        Images whose number of classes and size to design for.
    classes
        Outputs, where no data are given.
    calibrate
        Your run folders or models, whose top-1 moves the accuracy prior; of a sweep's folder the best network that it
        trained is chosen.
    threads
        Of the latency measurement.
    runtime
        Where latency is measured: compiled (C for each network), onnx (ONNX Runtime), or auto: compiled where there is
        a C compiler.
    precision
        The precision in which latency is measured, fp32 or int8 (compiled); sizes have --budget-precision.
    json
        Print one JSON object and nothing else.
    """
    from ..progress import Bars
    from ..verbs.design import design
    from . import show

    if data is not None and classes is not None:
        raise UsageError(f"--classes {classes}: --data says how many there are: leave one of them out")
    with Bars() as bars:
        result = design(
            budget.budget(device),
            network.space(1000 if classes is None else classes),
            data=data,
            calibrate=calibrate,
            threads=threads,
            runtime=runtime,
            precision=precision,
            watch=bars,
        )
    show.designed(result, json)


def evaluate(
    model: str,
    data: str,
    *,
    split: Literal["train", "val", "test", "all"] | None = None,
    report: Path | None = None,
    overwrite: Json = False,
    max_bad: float = 0.01,
    threads: int = 1,
    runtime: RuntimeFlag = "auto",
    cluster: ClusterFlags = _CLUSTER,
    json: Json = False,
) -> None:
    """Evaluate a trained model on labelled images: figures of its task (such as top-1 and calibration), latency.

    Parameters
    ----------
    model
        A run folder, a model file of any format that import reads, or the name of a published network.
    data
        Images with the model's labels, in any layout that train reads.
    split
        By default test where there is one, else val; all takes every image.
    report
        Write an HTML report to this file too.
    overwrite
        Replace a report that exists.
    max_bad
        Share of images that may be undecodable, or have two labels, before it is an error.
    threads
        Of the latency measurement.
    runtime
        compiled (C for this very network), onnx (ONNX Runtime), or auto: compiled where there is a C compiler.
    json
        Print one JSON object and nothing else.
    """
    from ..progress import Bars
    from ..verbs.evaluate import evaluate
    from . import show

    with Bars() as bars:
        result = evaluate(
            model,
            data,
            split,
            report=report,
            overwrite=overwrite,
            max_bad=max_bad,
            threads=threads,
            runtime=runtime,
            cluster=cluster.cluster,
            output=cluster.output,
            watch=bars,
        )
    show.evaluated(result, report, json)


def predict(
    model: str,
    images: Annotated[tuple[str, ...], Parameter(allow_leading_hyphen=True, negative=())] = (),
    *,
    top: int | None = None,
    batch_size: int = 32,
    max_bad: float = 0.01,
    runtime: RuntimeFlag = "auto",
    min_confidence: float | None = None,
    camera: int | None = None,
    every: int | None = None,
    pictures: Path | None = None,
    explain: Json = False,
    cluster: ClusterFlags = _CLUSTER,
    json: Json = False,
    csv: Json = False,
) -> int:
    """Predict what images show. Needs no torch; memory does not grow with the number of images.

    Parameters
    ----------
    model
        A run folder, a model file of any format that import reads, or the name of a published network.
    images
        Files, folders (searched to any depth), patterns (quoted: 'photos/*.jpg'), videos (.mp4, .mov and others:
        one prediction per frame), or - for one image from standard input.
    top
        The number of labels or boxes to print; by default 5 labels, all boxes that are likely.
    batch_size
        Images the network takes at once.
    max_bad
        Share of images that may be undecodable before the command fails (they are named either way).
    runtime
        compiled (C for this very network), onnx (ONNX Runtime), or auto: compiled where there is a C compiler.
    min_confidence
        A classifier's predictions below this probability become "none of these"; its report shows the effect. A
        detector lists boxes from this score on, by default 0.5.
    camera
        The number of a camera, 0 for the first: predicts frame by frame until Ctrl-C.
    every
        Predict every n-th frame of videos and the camera; by default all.
    pictures
        A new folder for the images with the predictions drawn on them.
    explain
        With --pictures: lay the class activation map of the first label over each image (float classifiers).
    json
        Print one JSON object and nothing else.
    csv
        Print a line for each part of a prediction; of a classifier image,rank,label,probability,error.
    """
    from ..progress import Bars
    from ..runtime import VIDEOS
    from ..verbs.predict import predict
    from .console import wrote
    from .predictions import write

    if cluster != _CLUSTER:
        from .parts import predict_parts

        if camera is not None or every is not None or pictures is not None or explain or csv:
            raise UsageError("--cluster writes files: leave out --camera, --every, --pictures, --explain and --csv")
        given = {"batch_size": batch_size, "runtime": runtime, "min_confidence": min_confidence}
        return predict_parts(model, images, cluster, max_bad, json, top=top, **given)
    if json and csv:
        raise UsageError("--json and --csv: choose one")
    if not images and camera is None:
        raise UsageError("predict needs an image, a folder, a video, --camera 0, or - for standard input")
    if flags := [image for image in images if image.startswith("--") and not Path(image).exists()]:
        raise UsageError(f"unknown option {flags[0]} (see mobilenets predict --help)")
    if every is not None and camera is None and not any(Path(image).suffix.lower() in VIDEOS for image in images):
        raise UsageError(f"--every {every} is of videos and cameras: there is none")
    if explain and pictures is None:
        raise UsageError("--explain is drawn on images: it needs --pictures FOLDER")
    with Bars() as bars:
        predictions = predict(
            model,
            images,
            top,
            batch_size=batch_size,
            runtime=runtime,
            min_confidence=min_confidence,
            camera=camera,
            every=1 if every is None else every,
            pictures=pictures,
            explain=explain,
            watch=bars,
        )
    form = "json" if json else "csv" if csv else "table"
    code = write(predictions, form, predictions.task.columns, max_bad)
    if pictures is not None:
        count = len(list(pictures.iterdir()))
        print(wrote(pictures, f"{count} picture{'s' if count != 1 else ''}"), file=sys.stderr)
    return code


def demo(*, project: Path = Path("runs"), json: Json = False) -> None:
    """Design, train, evaluate and predict on 8,000 small pictures of clothes that come with the package.

    Parameters
    ----------
    project
        Where the run folder is made.
    json
        Print one JSON object and nothing else.
    """
    from .demo import run

    run(project, json)
