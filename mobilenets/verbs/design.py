"""`mobilenets design`: the network for a budget."""

import itertools
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..designs import Budget, Design, Prior, Space, is_sweep, read_runs, search
from ..devices import Estimator, device_of
from ..errors import BudgetError, UsageError
from ..machine import check_threads, cores, other_load
from ..progress import Watch, watching
from .arguments import budget_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..arch.network import Network
    from ..costs import Latency
    from ..data.sources import Dataset
    from ..runtime import Runtime

__all__ = ["design", "space_for"]

BUSY = 0.75  # programs per core, by the system's load average, from which on the reason mentions them


def design(
    budget: "Budget | Mapping[str, Any]",
    space: Space | None = None,
    *,
    data: "str | Path | Dataset | None" = None,
    calibrate: Sequence[str | Path] = (),
    threads: int = 1,
    runtime: "Runtime" = "auto",
    precision: str = "fp32",
    watch: Watch | None = None,
) -> Design:
    """Return the Pareto front of the networks in `space` that fit `budget`, and the most accurate of them.

    Parameters
    ----------
    budget
        A `Budget` or a dictionary of its fields, such as {"max_mult_adds": "10M"}.
    space
        Where to search: by default over alpha, resolution and all families.
    data
        Images whose number of classes and size to design for.
    calibrate
        Run folders or models of the user's, whose validation top-1 moves the accuracy prior. With the folder of a sweep
        the choice is the best of the networks that it trained; only where none of these fits it is a predicted one.
    threads, runtime, precision
        Of the latency measurement, where `budget` bounds latency; precision is fp32 or int8, that of sizes is the
        budget's.

    Raises `BudgetError`, `LatencyError`.
    """
    bounds = budget_of(budget)
    if bounds is None:
        raise UsageError("design needs a budget")
    check_threads(threads, least=1)
    space = space or Space()
    if data is not None:
        from ..data.sources import Dataset, open_dataset

        space = space_for(space, data if isinstance(data, Dataset) else open_dataset(data))
    prior = Prior.published()
    if calibrate:
        prior = prior.calibrated(read_runs(calibrate))
    find = partial(_find, bounds, threads=threads, runtime=runtime, precision=precision, watch=watch)
    sweeps = [path for path in calibrate if is_sweep(path)]
    return _find_measured(find, space, prior, sweeps) if sweeps else find(space, prior)


def _find_measured(
    find: "Callable[[Space, Prior], Design]", space: Space, prior: Prior, sweeps: Sequence[str | Path]
) -> Design:
    """Return the design among the networks that `sweeps` trained, or among all where none of these fits."""
    points = read_runs(sweeps)
    label = f"measured, by {len(points)} trials of {', '.join(map(str, sweeps))}"
    try:
        return find(replace(space, only=tuple(point.network for point in points)), replace(prior, label=label))
    except BudgetError as exc:
        found = find(space, prior)
        return replace(found, reason=f"{found.reason} It is predicted, not measured: of the trained, {exc}.")


def _find(
    bounds: Budget,
    space: Space,
    prior: Prior,
    *,
    threads: int,
    runtime: "Runtime",
    precision: str,
    watch: Watch | None,
) -> Design:
    """Return the design within `bounds`, after the measurements that these need."""
    if bounds.device is not None:
        clock = None if bounds.clock is None else float(bounds.clock)
        with watching(watch) as watch:
            watch.note(f"planning the memory of networks on {bounds.device}: up to two minutes")
            planned = partial(watch.measured, "plan", total=None)
            return search(bounds, space, prior, estimate=Estimator(device_of(bounds.device), clock, planned))
    if bounds.max_latency is None:
        return search(bounds, space, prior)
    from ..runtime import measure_networks

    with watching(watch) as watch:
        limit, of = f"{bounds.max_latency:g} ms", f"{threads} thread{'s' if threads != 1 else ''}"
        watch.note(f"looking for at most {limit} an image, measured on {of}: up to two minutes")
        load = other_load()
        number = itertools.count(1)

        def measure(networks: "Sequence[Network]", seconds: float) -> "list[Latency]":
            latencies = measure_networks(networks, seconds, threads=threads, runtime=runtime, precision=precision)
            watch.measured("measure", next(number), None)
            return latencies

        found = search(bounds, space, prior, measure)
    if load <= BUSY * cores():
        return found
    busy = f"The machine was busy (load average {load:.1f} on {cores()} cores): on a quiet one more may fit."
    return replace(found, reason=f"{found.reason} {busy}")


def space_for(space: Space, dataset: "Dataset") -> Space:
    """Return `space` for the classes of these data, up to twice the photos' size, since larger inputs add nothing."""
    from ..data.sources import typical_short_side

    largest = max(64, 2 * typical_short_side(dataset))
    return replace(space, base=space.base.replace(classes=len(dataset.labels)), max_resolution=largest)
