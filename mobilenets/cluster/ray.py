"""Ray, which places, retries and ends the tasks. The only file that imports it."""

import json
import logging
import os
import socket
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from importlib.util import find_spec
from typing import Any

from ..errors import Interrupted, MissingExtraError, MobilenetsError, UsageError, WorkError
from ..machine import cores
from ..runtime import Openable, Runner, open_session
from ..schema import read
from ..training.interrupt import Interrupts
from .plan import Part
from .work import Job, Outcome, compute_part

__all__ = ["check_cluster", "compute", "connected", "run_modules"]

# bytes of Ray's memory for objects on this machine: the model; tasks read and write the images themselves
STORE = 512 << 20
ANSWER = 10  # seconds in which a cluster must take a connection
RETRIES = 10  # of a trial whose node died; one that takes down each node it runs on must end
_WAIT = 0.5  # seconds between two looks for a signal
_SAVE = 60  # seconds that trials have to save their state
_SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_worker_niceness": "0",  # of workers that are started here: as the command itself, not 15
}


@contextmanager
def connected(cluster: str) -> Iterator[None]:
    """Connect to the cluster at an address, or start one on this machine's cores for `local`; end it afterwards.

    A program that has called `ray.init` keeps its own connection. Raises `MissingExtraError` without Ray, and
    `WorkError` where no cluster answers.
    """
    check_cluster(cluster)
    for name, value in _SETTINGS.items():
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
        _silence()
        ray.init(cluster, log_to_driver=False, logging_level=logging.CRITICAL, **(here if cluster == "local" else {}))
    except Exception as exc:  # Ray raises unrelated classes
        raise WorkError(f"cluster (={cluster}): no Ray cluster answers there: {exc}") from exc
    try:
        yield
    finally:
        ray.shutdown()


def check_cluster(cluster: str) -> None:
    """Check, before other work, that Ray is installed and that something listens at the address.

    Raises `MissingExtraError`, and `WorkError` where nothing does, for which Ray would look for minutes.
    """
    if find_spec("ray") is None:
        raise MissingExtraError(f"cluster (={cluster}) needs Ray", "cluster")
    host, colon, port = cluster.removeprefix("ray://").rpartition(":")
    if cluster in ("auto", "local"):
        return
    if not colon or not port.isdigit():
        raise UsageError(f"cluster (={cluster}) must be HOST:PORT of a Ray cluster, auto or local")
    try:
        socket.create_connection((host, int(port)), timeout=ANSWER).close()
    except (OSError, OverflowError) as exc:
        raise WorkError(f"cluster (={cluster}): no Ray cluster answers there: {exc}") from exc


def _silence() -> None:
    """Keep off standard output what Ray prints there of nodes that died: no setting does, and --json is one object."""
    from ray._private import worker

    worker.print_to_stdstream = lambda data, ignore_prefix: None


def compute(parts: Sequence[Part], job: Job, model: Openable) -> Iterator[Outcome]:
    """Yield the outcome of each part as it is done, on the connected cluster: one core, one thread and one part a task.

    `model` is sent to the workers, each of which opens it once. After a signal the next outcome is the last, then
    `Interrupted` is raised.
    """
    import ray
    import ray.data

    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    sent = ray.put(model)
    items = ray.data.from_items([json.dumps(asdict(part)) for part in parts], override_num_blocks=len(parts))
    done = items.map(_task, fn_args=[job, sent], num_cpus=1)
    with Interrupts() as interrupts:
        try:
            for row in done.iter_rows():
                yield Outcome(**row)
                if interrupts.number is not None:
                    raise Interrupted(interrupts.number, "stopped: the same command computes the missing parts")
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


def run_modules(arguments: Mapping[str, Sequence[str]], cpus: int, gpus: int, done: Callable[[str], None]) -> None:
    """Run `python -m` with each of `arguments` as a task of `cpus` cores and `gpus` GPUs on the connected cluster.

    One whose node dies is started again on another. `done` is called with the name of each that has ended. A signal is
    passed on: all save their state, then `Interrupted` is raised. Raises `UsageError` where no node has so many cores,
    and `WorkError` with the last line of a process that failed, after the others were ended.
    """
    import ray

    _check_room(cpus, gpus)
    task = ray.remote(_module).options(num_cpus=cpus, num_gpus=gpus, max_retries=RETRIES)
    names = {task.remote(name, list(given)): name for name, given in arguments.items()}
    waiting = list(names)
    with Interrupts() as interrupts:
        try:
            while waiting:
                ended, waiting = ray.wait(waiting, timeout=_WAIT)
                for one in ended:
                    _result(one)
                    done(names[one])
                if interrupts.number is not None:
                    raise Interrupted(interrupts.number, "stopped, and the trials are saved")
        finally:
            for one in waiting:
                ray.cancel(one)
            if waiting:
                ray.wait(waiting, num_returns=len(waiting), timeout=_SAVE)


def _check_room(cpus: int, gpus: int) -> None:
    """Raise `UsageError` where a task waits for ever, because no node can run it."""
    import ray

    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    for what, kind, needed in (("cores", "CPU", cpus), ("GPUs", "GPU", gpus)):
        most = max((node.get(kind, 0) for node in nodes), default=0)
        if needed > most:
            raise UsageError(f"a trial takes {needed} {what}, and the largest node of the cluster has {most:g}")


def _result(task: Any) -> None:
    import ray

    try:
        ray.get(task)
    except ray.exceptions.RayTaskError as exc:
        if isinstance(exc.cause, MobilenetsError):
            raise exc.cause from exc
        raise WorkError(f"a trial failed: {exc.cause}") from exc
    except ray.exceptions.RayError as exc:
        raise WorkError(f"Ray ended a trial: {exc}") from exc


def _module(name: str, arguments: list[str]) -> None:
    """Run in a process of its own, which ends with this worker; its threads are those of a process without Ray."""
    from ..sweeps import run_side_by_side

    os.environ.pop("OMP_NUM_THREADS", None)
    run_side_by_side({name: [sys.executable, "-m", *arguments]}, 1, lambda name: None)
