"""Outputs of the network for many images, computed in parts on a cluster: for `evaluate` and `search`."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..arrays import Floats
from ..cluster import Work
from ..data.cache import BadImage
from ..errors import DataError, UsageError
from ..opening import Opened
from ..progress import Watch
from ..runtime import Runner, Runtime
from .parts import Computed, compute_parts, digest

__all__ = ["Outputs", "check_cluster", "outputs_in_parts"]

BATCH = 32  # images that the network takes at once


@dataclass(frozen=True, slots=True)
class Outputs:
    """Names, labels (None: the data have none) and outputs (N, D) float32 of the images that could be decoded."""

    names: tuple[str, ...]
    labels: tuple[str | None, ...]
    outputs: Floats
    bad: tuple[BadImage, ...]
    images_per_second: float


def check_cluster(cluster: str | None, output: str | Path | None) -> None:
    """Raise `UsageError` where one of the two is given without the other."""
    if (cluster is None) != (output is None):
        given, lacking = ("cluster", "output") if output is None else ("output", "cluster")
        raise UsageError(f"{given} (={cluster or output}) needs {lacking}: the folder of the parts and the cluster")


def outputs_in_parts(
    opened: Opened,
    session: Runner,
    data: Sequence[str],
    output: str | Path,
    cluster: str,
    runtime: Runtime,
    watch: Watch,
) -> Outputs:
    """Compute the outputs of all images of `data`, in parts that are kept in `output`, and read them."""
    work = Work(tuple(data), digest(opened), "outputs", 1, BATCH, runtime=runtime)
    computed = compute_parts(work, opened, output, cluster, watch)
    tables = _tables(computed)
    good = [table.filter(table["error"].is_null()) for table in tables]
    bad = [table.filter(table["error"].is_valid()) for table in tables]
    if not sum(map(len, good)):
        raise DataError(f"{', '.join(data)}: holds no image that can be decoded")
    width = len(session.labels)
    return Outputs(
        names=tuple(name for table in good for name in table["image"].to_pylist()),
        labels=tuple(label for table in good for label in table["label"].to_pylist()),
        outputs=np.concatenate([_numbers(table).reshape(-1, width) for table in good]),
        bad=tuple(BadImage(row["image"], row["error"]) for table in bad for row in table.to_pylist()),
        images_per_second=computed.parts.images_per_second,
    )


def _tables(computed: Computed) -> list[Any]:
    from ..cluster.rows import read_rows

    columns = ["image", "label", "output", "error"]
    return [read_rows(part, computed.output, columns) for part in computed.plan.parts]


def _numbers(table: Any) -> Floats:
    numbers: Floats = table["output"].combine_chunks().flatten().to_numpy()
    return numbers
