"""Ray, which places, retries and ends the tasks. The only file that imports it."""

import json
import logging
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from importlib.util import find_spec
from typing import Any

from ..errors import MissingExtraError, WorkError
from ..machine import cores
from ..runtime import Openable, Runner, open_session
from ..schema import read
from .plan import Part
from .work import Job, Outcome, compute_part

__all__ = ["compute", "connected"]

# bytes of Ray's memory for objects on this machine: the model; tasks read and write the images themselves
STORE = 512 << 20
_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}


@contextmanager
def connected(cluster: str) -> Iterator[None]:
    """Connect to the cluster at an address, or start one on this machine's cores for `local`; end it afterwards.

    A program that has called `ray.init` keeps its own connection. Raises `MissingExtraError` without Ray, and
    `WorkError` where no cluster answers.
    """
    if find_spec("ray") is None:
        raise MissingExtraError(f"cluster (={cluster}) needs Ray", "cluster")
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Ray warns of its own use of its own settings
        yield from _connected(cluster)


def _connected(cluster: str) -> Iterator[None]:
    import ray

    if ray.is_initialized():
        yield
        return
    here = {"num_cpus": cores(), "include_dashboard": False, "object_store_memory": STORE}
    try:
        ray.init(cluster, log_to_driver=False, logging_level=logging.CRITICAL, **(here if cluster == "local" else {}))
    except Exception as exc:  # Ray raises unrelated classes
        raise WorkError(f"cluster (={cluster}): no Ray cluster answers there: {exc}") from exc
    try:
        yield
    finally:
        ray.shutdown()


def compute(parts: Sequence[Part], job: Job, model: Openable) -> Iterator[Outcome]:
    """Yield the outcome of each part as it is done, on the connected cluster: one core, one thread and one part a task.

    `model` is sent to the workers, each of which opens it once.
    """
    import ray
    import ray.data

    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    sent = ray.put(model)
    items = ray.data.from_items([json.dumps(asdict(part)) for part in parts], override_num_blocks=len(parts))
    done = items.map(_task, fn_args=[job, sent], num_cpus=1)
    try:
        for row in done.iter_rows():
            yield Outcome(**row)
    except ray.exceptions.RayError as exc:
        lines = str(exc).strip().splitlines() or [type(exc).__name__]
        raise WorkError(f"Ray ended the work: {lines[-1]}") from exc


_sessions: dict[tuple[str, str], Runner] = {}  # of this worker


def _task(row: dict[str, Any], job: Job, model: Any) -> dict[str, Any]:
    import ray

    key = (job.work.model, job.work.runtime)
    if key not in _sessions:
        _sessions[key] = open_session(ray.get(model), threads=1, runtime=job.work.runtime)
    part: Part = read(Part, json.loads(row["item"]), "part")
    return asdict(compute_part(part, job, _sessions[key]))
