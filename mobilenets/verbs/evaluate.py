"""`mobilenets evaluate`: figures of a trained model on labelled images."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UsageError
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
from ..runtime import OnnxFile, Runtime, open_session
from ..tasks import task_type

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

    Raises `DataError` where the data's labels are not the model's.
    """
    from ..data.sources import Dataset

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
