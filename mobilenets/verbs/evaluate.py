"""`mobilenets evaluate`: figures of a trained model on labelled images."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..arrays import AnyInts
from ..data.cache import check_bad
from ..data.labels import indices
from ..data.rows import Listing, Row
from ..errors import DataError, UsageError
from ..evaluation import (
    Evaluated,
    compare_with_sibling,
    default_split,
    evaluate_split,
    find_near_duplicates,
    notes_on_few_images,
    section_of,
    write_page,
)
from ..files import check_output
from ..opening import check_order, open_model
from ..progress import Watch, watching
from ..runtime import OnnxFile, Runner, Runtime, measure_sessions, on_threads, open_session
from ..tasks import task_type
from .outputs import Outputs, check_cluster, outputs_in_parts

if TYPE_CHECKING:
    from ..data.sources import Dataset

__all__ = ["evaluate"]


def evaluate(
    model: str | Path,
    data: "str | Path | Dataset",
    split: str | None = None,
    *,
    report: str | Path | None = None,
    overwrite: bool = False,
    max_bad: float = 0.01,
    threads: int = 1,
    runtime: Runtime = "auto",
    cluster: str | None = None,
    output: str | Path | None = None,
    watch: Watch | None = None,
) -> Evaluated:
    """Measure a model on the labelled images of `split`: its task's figures, throughput and latency.

    Parameters
    ----------
    model
        What `load` takes, or an `.onnx` file that `export` wrote.
    split
        By default test where there is one, else val. "all" is every image, whatever its split.
    report
        Write an HTML report to this file; over a file that exists only with `overwrite`. Where NAME.int8.safetensors
        lies beside NAME.safetensors, the report compares the two.
    max_bad
        The share of images that may be undecodable, or have two labels, before it is an error.
    threads
        Of the latency measurement, for one image.

    cluster
        Classifiers: compute the outputs on this Ray cluster ("local": the cores of this machine), in parts that are
        kept in `output`. Every image of `data` counts, a path or URL as for `predict_parts`; its class is the first
        folder below, the label column, or the shard's label.
    output
        The folder of the parts, as of `predict_parts`.

    Raises `DataError` where the data's labels are not the model's.
    """
    from ..data.sources import Dataset

    check_cluster(cluster, output)
    if cluster is not None and output is not None:
        if isinstance(data, Dataset) or split not in (None, "all") or report is not None:
            rule = "every image of a path or URL: give that of the split, and no report"
            raise UsageError(f"cluster (={cluster}) evaluates {rule}")
        return _evaluate_on_cluster(model, str(data), cluster, output, max_bad, threads, runtime, watch)

    check_order(model, [data])
    if report is not None:
        check_output(Path(report), (".html",), overwrite, "--report", any_case=True)
    with watching(watch) as watch:
        opened = open_model(model, watch)
        if report is not None and isinstance(opened.model, OnnxFile):
            raise UsageError("a report needs the .safetensors model: an ONNX file does not say how it was trained")
        session = open_session(opened.model, runtime=runtime)
        task = task_type(session.task)()
        if isinstance(data, Dataset):
            dataset = data
        else:
            dataset = task.open(data, None, max_bad) if split == "all" else task.open(data, max_bad=max_bad)
        chosen = split or default_split(dataset)
        for note in (*dataset.notes, *notes_on_few_images(dataset, chosen)):
            watch.note(note)
        measured = evaluate_split(opened, session, dataset, chosen, max_bad=max_bad, threads=threads, watch=watch)
        if report is not None:
            trained = opened.trained()
            comparison = compare_with_sibling(opened.path, trained, measured)
            pairs = find_near_duplicates(dataset, watch)
            measured = replace(measured, evaluated=replace(measured.evaluated, near_duplicates=pairs))
            sections = [*([comparison.section()] if comparison else []), *section_of(pairs, dataset)]
            write_page(Path(report), trained, measured, more=sections)
    return measured.evaluated


def _evaluate_on_cluster(
    model: str | Path,
    data: str,
    cluster: str,
    output: str | Path,
    max_bad: float,
    threads: int,
    runtime: Runtime,
    watch: Watch | None,
) -> Evaluated:
    from ..tasks.evaluation import evaluate_probabilities

    check_order(model, [data])
    with watching(watch) as watch:
        opened = open_model(model, watch)
        session = open_session(opened.model, runtime=runtime)
        if session.task != "classify":
            raise UsageError(f"cluster (={cluster}) evaluates classifiers, and the model's task is {session.task}")
        found = outputs_in_parts(opened, session, [data], output, cluster, runtime, watch)
        check_bad(found.bad, len(found.names) + len(found.bad), max_bad)
        return Evaluated(
            model=str(opened.path),
            network=session.name,
            data=data.rstrip("/").rpartition("/")[2],
            split="all",
            task=session.task,
            evaluation=evaluate_probabilities(found.outputs, _targets(found, session), session.labels, found.names),
            latency=measure_sessions([on_threads(session, threads, opened.model)])[0],
            images_per_second=found.images_per_second,
            bad=found.bad,
        )


def _targets(found: Outputs, session: Runner) -> AnyInts:
    """Return the class index of each image in the model; `DataError` for an image without a label or of another."""
    rows = []
    for name, label in zip(found.names, found.labels, strict=True):
        if label is None:
            raise DataError(f"{name}: has no label: it must be in a class folder or have a label in its table or shard")
        rows.append(Row(name, None, label, bytes))
    return np.array(indices(Listing(rows), session.labels, declared=False))
