"""What several tests share."""

import os
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from native import LACKS, Inspector, emulated_anywhere, level_names
from photos import make_photos

from mobilenets.arch.graph import expand, weight_shapes
from mobilenets.arch.network import Network
from mobilenets.compiler import build
from mobilenets.compiler.processor import LEVELS, MASK
from mobilenets.compiler.program import Target
from mobilenets.costs.latency import Latency
from mobilenets.files import write_atomic
from mobilenets.image import Preprocess
from mobilenets.machine import processor
from mobilenets.model import Model
from mobilenets.runtime import measure

MakeModel = Callable[..., Model]
pytest_plugins = ("ray_fixtures", "serving_fixtures")

# no test is timed: the machines that run these are shared, and the first use of st.text() builds its tables; the same
# examples every time: what fails on one machine fails on the next (HYPOTHESIS_PROFILE=explore draws others)
_UNTIMED = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("untimed", derandomize=True, **_UNTIMED)
settings.register_profile("explore", **_UNTIMED)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "untimed"))

# a job that a shell starts in the background ignores Ctrl-C, and so would the processes that tests start and interrupt
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


# several test processes share the cores: threads that wait for work must not spin, and a network of a test has no work
# for two threads that wait for each other. The workers inherit both before they load numpy and torch
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write the golden C anew, to be read as a diff")
    parser.addoption("--processor", choices=list(LEVELS), help="hold product and tests to a lesser processor")


def pytest_configure(config: pytest.Config) -> None:
    """Mask the processor before any test module asks for its features."""
    if level := config.getoption("--processor"):
        os.environ[MASK] = level
        sys.addaudithook(Inspector(level))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out, under `--processor`, the tests whose result does not depend on the mask."""
    if config.getoption("--processor"):
        same = [item for item in items if item.get_closest_marker("any_processor") or _of_emulated(item)]
        config.hook.pytest_deselected(items=same)
        items[:] = [item for item in items if item not in set(same)]


def _of_emulated(item: pytest.Item) -> bool:
    """Return whether the test runs a target that the tests without a mask emulate as well."""
    marks = [mark.args[0] for mark in item.iter_markers("of_target")]
    parameters = item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
    return any(map(emulated_anywhere, [*marks, parameters.get("target")]))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what was skipped for want of the processor, in one line."""
    reports = terminalreporter.stats.get("skipped", [])
    reasons = Counter(r.longrepr[2].partition(LACKS)[2].strip() for r in reports if LACKS in str(r.longrepr))
    lacking = "; ".join(f"{count} for {reason}" for reason, count in reasons.items())
    level = terminalreporter.config.getoption("--processor")
    held = f", held to {level}" if level else ""
    terminalreporter.write_line(
        f"processor: {processor()}{held} ({', '.join(level_names())}): "
        f"{reasons.total()} tests skipped for want of features{': ' if lacking else ''}{lacking}"
    )


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Keep tests out of the user's cache: all processes of a session share one of their own."""
    session = tmp_path_factory.getbasetemp()
    folder = (session.parent if "PYTEST_XDIST_WORKER" in os.environ else session) / "cache"
    folder.mkdir(exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MOBILENETS_CACHE", str(folder))
        patch.setattr(build, "_compiled", remembered(folder / "libraries", ("-O1", *build.FLAGS[1:])))
        patch.setattr(measure, "time_interleaved", briefly(measure.time_interleaved))
        yield folder


def briefly(timed: Callable[..., list[Latency]]) -> Callable[..., list[Latency]]:
    """Return `time_interleaved` held to a twentieth of a second: no test depends on a latency."""

    def run(calls: Sequence[Callable[[], object]], seconds: float, *rest: object, **named: object) -> list[Latency]:
        return timed(calls, min(seconds, 0.05), *rest, **named)

    return run


@pytest.fixture(scope="module", autouse=True)
def optimised(own_cache: Path, request: pytest.FixtureRequest) -> Iterator[None]:
    """Compile C with the product's flags in the tests of that C; elsewhere with -O1, which takes half the time."""
    with pytest.MonkeyPatch.context() as patch:
        if request.path.parent.name in {"compiler", "runtime"} or request.path.name == "test_fused.py":
            (own_cache / "optimised").mkdir(exist_ok=True)
            patch.setenv("MOBILENETS_CACHE", str(own_cache / "optimised"))
            patch.setattr(build, "_compiled", remembered(own_cache / "libraries", build.FLAGS))
        yield


_compile = build._compiled


def remembered(folder: Path, flags: Sequence[str]) -> Callable[[Mapping[str, str], Target], bytes]:
    """Return the function that compiles C with `flags`, a text once: networks of other weights have the same."""
    folder.mkdir(exist_ok=True)
    run, command = build._run, os.environ.get("CC")

    def compiled(sources: Mapping[str, str], target: Target) -> bytes:
        if build._run is not run or os.environ.get("CC") != command:  # a test's own
            return _compile(sources, target)
        kept = (
            folder / sha256(repr((sorted(sources.items()), build.compiler(), flags, target.flags)).encode()).hexdigest()
        )
        if not kept.is_file():
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(build, "FLAGS", flags)
                write_atomic(kept, _compile(sources, target))
        return kept.read_bytes()

    return compiled


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data that lies beside the checkout, see its README.md."""
    folder = Path(__file__).parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("shared/data does not lie beside this checkout")
    return folder


@pytest.fixture(scope="session")
def random_model() -> MakeModel:
    return make_random_model


def make_random_model(network: Network, seed: int = 0) -> Model:
    """Seeded weights: activations neither die nor explode, batch norms are far from the identity."""
    rng = np.random.default_rng(seed)
    weights = {name: _draw(rng, name, shape) for name, shape in weight_shapes(expand(network)).items()}
    return Model(
        network=network,
        weights={name: array.astype(np.float32) for name, array in weights.items()},
        preprocess=Preprocess(network.height, network.width, network.channels),
        labels=tuple(f"class {i}" for i in range(network.classes)),
    )


def _draw(rng: np.random.Generator, name: str, shape: tuple[int, ...]) -> np.ndarray:
    array = name.rpartition(".")[2]
    if array in ("running_mean", "bias"):
        return rng.normal(0, 0.2, shape)
    if array == "running_var":
        return rng.uniform(0.5, 1.5, shape)
    if len(shape) == 1:  # batch norm's scale; some negative, as training makes them
        return rng.uniform(0.5, 1.5, shape) * rng.choice([1, 1, 1, -1], shape)
    return rng.normal(0, (2 / np.prod(shape[1:])) ** 0.5, shape)  # He: keeps the variance through ReLU


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes of small photographs, train and val; not to be changed."""
    return make_photos(tmp_path_factory.mktemp("photos"))
