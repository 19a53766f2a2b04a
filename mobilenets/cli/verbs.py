"""One short function a verb: flags in, `api` called, the answer shown. Imports stand inside."""

import shlex
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from ..errors import UsageError
from ..train.recipe import Recipe
from ..train.watch import Watch
from .options import BudgetFlags, NetworkFlags

if TYPE_CHECKING:
    from ..arch import Network
    from ..data.sources import Dataset
    from ..design import Budget, Space
    from ..model import Model

__all__ = ["demo", "describe", "design", "evaluate", "export", "predict", "train"]

Json = Annotated[bool, Parameter(negative=())]
RecipeFlags = Annotated[Recipe, Parameter(name="*")]
_NETWORK, _BUDGET, _RECIPE = NetworkFlags(), BudgetFlags(), Recipe()


def describe(
    what: str = "",
    *,
    network: NetworkFlags = _NETWORK,
    classes: int = 1000,
    json: Json = False,
) -> None:
    """What a network costs: mult-adds, parameters, bytes, memory; layer by layer.

    Parameters
    ----------
    what
        A name such as 0.5-160, a model file, a run folder, or `paper` for Tables 4 to 9. Without it, the flags.
    classes
        Outputs of a network that is given by name or flags.
    json
        Print one JSON object and nothing else.
    """
    from . import show

    if what == "paper":
        show.paper(json)
    else:
        show.described(*_network(what, network, classes), json)


def _network(what: str, flags: NetworkFlags, classes: int) -> "tuple[Network, Model | None]":
    """The network, and the trained model where `what` is one."""
    from ..model import load, model_file

    if what and (Path(what).exists() or what.endswith((".safetensors", ".onnx"))):
        path = model_file(Path(what))
        if path.suffix == ".onnx":
            raise UsageError(f"{what}: describe reads .safetensors models, not ONNX")
        model = load(path)
        return model.network, model
    return replace(flags, model=what or flags.model).network(classes), None


def design(
    *,
    budget: BudgetFlags = _BUDGET,
    network: NetworkFlags = _NETWORK,
    data: Path | None = None,
    classes: int = 1000,
    calibrate: Annotated[tuple[Path, ...], Parameter(consume_multiple=True, negative=())] = (),
    threads: int = 1,
    json: Json = False,
) -> None:
    """Find the network for a budget: the Pareto front over alpha x resolution x depth, and one choice with its reason.

    Parameters
    ----------
    data
        Images whose number of classes and size to design for.
    classes
        Outputs, where no data are given.
    calibrate
        Run folders or models of yours: their top-1 moves the accuracy prior.
    threads
        Of the latency measurement.
    json
        Print one JSON object and nothing else.
    """
    from ..api import design_network
    from . import show

    bounds, space = budget.budget(), network.space(classes)
    if data is not None:
        from ..data.sources import open_dataset

        space = _space(network, open_dataset(data))
    if bounds.max_latency is not None:
        print(f"measuring latency on {threads or 'all'} thread(s): up to a minute", file=sys.stderr)
    show.designed(design_network(bounds, space, calibrate=calibrate, threads=threads), json)


def _space(flags: NetworkFlags, dataset: "Dataset") -> "Space":
    """Where a search for these data may look: inputs up to twice the photos' size, since more adds nothing."""
    from ..data.sources import typical_short_side

    return flags.space(len(dataset.labels), max(64, 2 * typical_short_side(dataset)))


def train(
    data: Path | None = None,
    *,
    network: NetworkFlags = _NETWORK,
    budget: BudgetFlags = _BUDGET,
    recipe: RecipeFlags = _RECIPE,
    resume: Path | None = None,
    calibrate: Annotated[tuple[Path, ...], Parameter(consume_multiple=True, negative=())] = (),
    name: str | None = None,
    project: Path = Path("runs"),
    json: Json = False,
) -> None:
    """Train a network on labelled images, given outright (--alpha, --img-size) or by a budget (--max-...).

    Parameters
    ----------
    data
        A folder per class (with or without train/ val/ test/), a CSV (path,label), Parquet, or .tar shards.
    resume
        A run folder to go on with; it remembers its data and settings.
    calibrate
        With a budget: run folders of yours that move the accuracy prior.
    name
        Of the run folder; by default data and network, with a number where that exists.
    project
        Where run folders are made.
    json
        Print one JSON object and nothing else.
    """
    from ..api import need_torch, resume_run, train_network
    from . import show
    from .progress import Bars

    if (data is None) == (resume is None):
        raise UsageError("train takes either DATA or --resume RUN")
    if resume is not None and (recipe, network, budget) != (_RECIPE, _NETWORK, _BUDGET):
        raise UsageError("--resume keeps the settings that the run was started with: give no others")
    if name is not None:
        _check_name(project, name)
    bounds = budget.budget() if budget.given else None
    network.space(2) if bounds else network.network(2)  # what cannot be is said before the data are read
    need_torch()
    with Bars() as bars:
        if data is None:
            assert resume is not None
            trained = resume_run(resume, bars)
        else:
            from ..data.sources import open_dataset

            dataset = open_dataset(data)
            sizes = ", ".join(f"{len(samples):,} {split}" for split, samples in dataset.splits.items())
            bars.note(f"{data}: {len(dataset.labels)} classes, {sizes} images")
            if bounds:
                chosen = _designed(network, bounds, dataset, calibrate, bars)
            else:
                chosen = network.network(len(dataset.labels))
            trained = train_network(dataset, chosen, recipe, runs=project, name=name, command=_command(), watch=bars)
    show.trained(trained, json)


def _designed(
    flags: NetworkFlags, budget: "Budget", dataset: "Dataset", calibrate: tuple[Path, ...], watch: Watch
) -> "Network":
    from ..api import design_network

    design = design_network(budget, _space(flags, dataset), calibrate=calibrate)
    watch.note(f"design: {design.reason}")
    return design.choice.network


def _check_name(project: Path, name: str) -> None:
    """Before the data are read; `Run.create` asks again."""
    from ..train.run import taken

    if Path(name).name != name:
        raise UsageError(f"--name {name!r} must be a plain folder name; --project says where it goes")
    if (project / name).exists():
        raise taken(project / name)


def _command() -> str:
    return shlex.join(["mobilenets", *sys.argv[1:]])


def evaluate(
    model: Path,
    data: Path,
    *,
    split: Literal["train", "val", "test", "all"] | None = None,
    report: Path | None = None,
    max_bad: float = 0.01,
    threads: int = 1,
    json: Json = False,
) -> None:
    """Measure a trained model on labelled images: top-1, top-5, each class, calibration, latency.

    Parameters
    ----------
    model
        A .safetensors or .onnx file, or a run folder.
    data
        Images with the model's labels, in any layout that train reads.
    split
        By default test where there is one, else val; all takes every image.
    report
        Write an HTML report there too.
    max_bad
        Share of images that may be undecodable before it is an error.
    threads
        Of the latency measurement.
    json
        Print one JSON object and nothing else.
    """
    from ..api import evaluate_model
    from . import show
    from .progress import Bars

    with Bars() as bars:
        result = evaluate_model(model, data, split, max_bad=max_bad, threads=threads, report_to=report, watch=bars)
    show.evaluated(result, report, json)


def predict(
    model: Path,
    images: Annotated[tuple[str, ...], Parameter(allow_leading_hyphen=True, negative=())],
    *,
    top: int = 5,
    batch_size: int = 32,
    max_bad: float = 0.01,
    json: Json = False,
    csv: Json = False,
) -> int:
    """Name what images show. Runs in ONNX Runtime, without torch; any number of images in little memory.

    Parameters
    ----------
    model
        A .safetensors or .onnx file, or a run folder.
    images
        Files, folders (searched to any depth), or - for one image from standard input.
    top
        Labels for each image.
    batch_size
        Images the network takes at once.
    max_bad
        Share of images that may be undecodable before the command fails (they are named either way).
    json
        Print one JSON object and nothing else.
    csv
        Print one line an image and label: image,rank,label,probability,error.
    """
    from ..runtime import open_session
    from ..runtime.predict import predict as run
    from .predictions import write

    if json and csv:
        raise UsageError("--json and --csv: choose one")
    if not images:
        raise UsageError("predict needs an image, a folder, or - for standard input")
    session = open_session(model)
    predictions = run(session, _sources(images), top, batch_size)
    return write(predictions, "json" if json else "csv" if csv else "table", max_bad)


def _sources(images: tuple[str, ...]) -> Iterator[tuple[str, Path | bytes]]:
    """(name, path or content) for every image."""
    from itertools import chain

    from ..runtime import find_images

    paths = find_images([Path(image) for image in images if image != "-"])
    piped = [("-", sys.stdin.buffer.read())] if "-" in images else []
    return chain(piped, ((str(path), path) for path in paths))


def export(
    model: Path,
    *,
    format: Literal["onnx"] = "onnx",
    output: Path | None = None,
    json: Json = False,
) -> None:
    """Write a trained model as ONNX: batch norm folded, normalisation and labels inside, logits compared with torch's.

    Parameters
    ----------
    model
        A .safetensors file or a run folder.
    format
        onnx.
    output
        By default beside the model.
    json
        Print one JSON object and nothing else.
    """
    from ..api import export_model
    from . import show

    show.exported(export_model(model, output), json)


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
