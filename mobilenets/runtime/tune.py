"""Choose how each step of a compiled network divides its work, by timing candidates on this processor."""

import time
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from ..compiler import compile_model
from ..compiler.compile import format_of
from ..compiler.lower import lower
from ..compiler.program import Step, Target
from ..compiler.targets import best_target
from ..compiler.tuning import CANDIDATES, Tiling, Tilings, keep_tilings, kept_tilings
from ..errors import UsageError
from ..image import Pixels
from ..machine import cores
from ..model import Model
from ..quant.scheme import QuantModel
from .library import OpenLibrary
from .measure import noise

__all__ = ["SECONDS", "is_tuned", "tune"]

SECONDS = 10.0  # a compilation of 1.0-224 takes about 2 s
COMPILING = 0.2  # of the seconds remain when no further compilation begins
ROUNDS = 5  # at least, of each candidate
GAIN = 0.02  # of a step's time, at least: less may be noise


def tune(
    model: Model | QuantModel,
    target: str = "auto",
    precision: str | None = None,
    seconds: float = SECONDS,
) -> Tilings:
    """Return the fastest of `CANDIDATES` for each step, and keep it for the libraries that are compiled from now on.

    As many candidates are compiled as most of `seconds` suffices for. A step's time is the shortest of several rounds
    on one thread, in which the candidates take turns.

    Raises `UsageError` for `seconds` that are not above 0, `CompileError` for a target that this processor lacks.
    """
    if not seconds > 0:
        raise UsageError(f"tune (={seconds:g} s) must be above 0 s")
    end = time.monotonic() + seconds
    precision = format_of(model, precision).name
    chosen = best_target(target, format_of(model, precision).targets)
    table = _steps(model, chosen, precision, {})
    names = [step.name for step in table]
    choices = (Tiling(), *CANDIDATES)

    def compiled(choice: Tiling, folder: Path) -> OpenLibrary:
        folder.mkdir()
        return OpenLibrary(compile_model(model, chosen.name, folder, precision, dict.fromkeys(names, choice)), 1)

    with TemporaryDirectory(prefix="mobilenets-") as folder:
        with ThreadPoolExecutor(cores()) as pool:
            jobs = [pool.submit(compiled, choice, Path(folder) / str(n)) for n, choice in enumerate(choices)]
            wait(jobs[:1])
            wait(jobs, end - COMPILING * seconds - time.monotonic())
            made = {choice: job for choice, job in zip(choices, jobs, strict=True) if not job.cancel()}
        libraries = [job.result() for job in made.values()]
        times = _times(libraries, noise(model.preprocess), end)
    steps = [_steps(model, chosen, precision, dict.fromkeys(names, choice)) for choice in made]
    tilings = {}
    for number, name in enumerate(names):
        differing = [n for n, found in enumerate(steps) if found[number] != table[number]]
        seconds_of = times[:, number]
        best = min(differing, key=seconds_of.__getitem__, default=0)
        if seconds_of[best] < (1 - GAIN) * seconds_of[0]:
            tilings[name] = list(made)[best]
    keep_tilings(model, chosen, precision, tilings)
    return tilings


def is_tuned(model: Model | QuantModel, target: str = "auto", precision: str | None = None) -> bool:
    """Return whether tilings are kept for this network on this processor."""
    format = format_of(model, precision)
    return kept_tilings(model, best_target(target, format.targets), format.name) is not None


def _steps(model: Model | QuantModel, target: Target, precision: str, tilings: Tilings) -> tuple[Step[object], ...]:
    return lower(model, target, "network", precision, tilings).program.steps


def _times(
    libraries: list[OpenLibrary], image: Pixels, end: float
) -> "np.ndarray[tuple[int, int], np.dtype[np.float64]]":
    """Return (libraries, steps): the shortest seconds of each step."""
    best = [np.asarray(library.step_seconds(image)) for library in libraries]
    rounds = 1
    while rounds < ROUNDS or time.monotonic() < end:
        best = [np.minimum(b, library.step_seconds(image)) for b, library in zip(best, libraries, strict=True)]
        rounds += 1
    return np.stack(best)
