"""Tilings: every candidate computes the same, and the fastest of each step is kept and taken."""

from pathlib import Path

import numpy as np
import pytest
from conftest import make_random_model

import mobilenets.runtime.tune
from mobilenets import compile
from mobilenets.arch import named
from mobilenets.arch.network import Block, Network
from mobilenets.compiler import compile_model, has_compiler
from mobilenets.compiler.formats import FORMATS
from mobilenets.compiler.lower import lower
from mobilenets.compiler.processor import missing
from mobilenets.compiler.targets import TARGETS, best_target
from mobilenets.compiler.tuning import CANDIDATES, Tiling, keep_tilings, kept_tilings
from mobilenets.errors import UsageError
from mobilenets.model import Model
from mobilenets.quant import reference
from mobilenets.quant.scheme import QuantModel
from mobilenets.runtime.activations import min_max_integers
from mobilenets.runtime.library import OpenLibrary
from mobilenets.runtime.measure import untrained
from mobilenets.runtime.tune import is_tuned, tune

needs_compiler = pytest.mark.skipif(not has_compiler(), reason="no C compiler")
NETWORK = Network(1.0, 41, 56, stem=16, blocks=(Block(1, 24), Block(2, 40), Block(1, 40)), classes=5)


@pytest.fixture(scope="module")
def model() -> Model:
    return make_random_model(NETWORK, seed=1)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("MOBILENETS_CACHE", str(tmp_path))
    return tmp_path


@pytest.fixture
def one_candidate(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each candidate is a compilation."""
    monkeypatch.setattr(mobilenets.runtime.tune, "CANDIDATES", CANDIDATES[:1])


def images_of(model: Model | QuantModel) -> np.ndarray:
    p = model.preprocess
    return np.random.default_rng(2).integers(0, 256, (2, p.height, p.width, p.channels), np.uint8)


def tiles(model: Model | QuantModel, precision: str, choice: Tiling) -> list[object]:
    target = best_target("auto", FORMATS[precision].targets)
    names = [step.name for step in lower(model, target, "n", precision).program.steps]
    return [step.tile for step in lower(model, target, "n", precision, dict.fromkeys(names, choice)).program.steps]


@pytest.mark.any_processor
@needs_compiler
@pytest.mark.parametrize(
    "choice",
    [pytest.param(c, marks=[] if c.rank == 1 or c.rows < 1 else [pytest.mark.slow]) for c in CANDIDATES],
    ids=str,
)
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_every_candidate_computes_the_same(model: Model, precision: str, choice: Tiling, tmp_path: Path) -> None:
    images = images_of(model)
    tried: Model | QuantModel = min_max_integers(model, images) if precision == "int8" else model
    names = ["conv0", *(f"dw{i} + pw{i}" for i in (1, 2, 3))]
    library = compile_model(tried, "auto", tmp_path, precision, dict.fromkeys(names, choice))
    found = OpenLibrary(library, 1).outputs(images)[:, 0]
    if isinstance(tried, QuantModel):
        assert (found == tried.activations["fc"].real(reference.run(tried, images))).all()
    else:
        (tmp_path / "table").mkdir()
        expected = OpenLibrary(compile_model(model, "auto", tmp_path / "table", "fp32", {}), 1).outputs(images)[:, 0]
        assert np.abs(found - expected).max() <= 1e-6 * np.abs(expected).max()


@pytest.mark.parametrize("choice", CANDIDATES, ids=str)
def test_every_candidate_changes_tiles(choice: Tiling) -> None:
    model = untrained(named("0.5-224"))
    assert tiles(model, "fp32", choice) != tiles(model, "fp32", Tiling())


@pytest.mark.any_processor
@needs_compiler
def test_the_fastest_of_each_step_is_kept_and_taken(model: Model, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of times that are made up: candidate 1 is faster in the first block, by too little in the second."""
    seconds = np.ones((3, len(tiles(model, "fp32", Tiling()))))
    seconds[1, 2], seconds[1, 3] = 0.5, 0.999
    monkeypatch.setattr(mobilenets.runtime.tune, "_times", lambda libraries, image, end: seconds[: len(libraries)])
    monkeypatch.setattr(mobilenets.runtime.tune, "CANDIDATES", (Tiling(rank=1), Tiling(rank=2)))
    before = compile_model(model)
    assert not is_tuned(model)
    tilings = tune(model, seconds=30)
    assert tilings == {"dw1 + pw1": Tiling(rank=1)}
    assert is_tuned(model) and kept_tilings(model, best_target(), "fp32") == tilings
    after = compile_model(model)
    assert after.path != before.path and compile_model(model, tilings={}).path == before.path
    assert not is_tuned(make_random_model(Network(0.25, 32, 32)))


@pytest.mark.any_processor
@needs_compiler
def test_it_times_steps(model: Model, cache: Path, one_candidate: None) -> None:
    seconds = OpenLibrary(compile_model(model), 1).step_seconds(images_of(model)[:1])
    assert len(seconds) == compile_model(model).steps and min(seconds) > 0
    tune(model, seconds=0.01)  # the table alone, or some candidates: whatever is ready
    assert is_tuned(model)


@pytest.mark.any_processor
@needs_compiler
def test_the_verb_writes_what_it_chose(model: Model, cache: Path, one_candidate: None, tmp_path: Path) -> None:
    path = model.save(tmp_path / "m.safetensors")
    plain = compile(path, tmp_path / "plain", target="portable", library=False)
    tuned = compile(path, tmp_path / "tuned", target="portable", library=False, tune="0.1s")
    assert plain.difference is not None and tuned.difference is not None and tuned.difference < 1e-5
    assert is_tuned(model, "portable") and not is_tuned(model, "auto", "bf16")
    other = next((name for name, target in TARGETS.items() if missing(target.features)), None)
    if other:
        with pytest.raises(UsageError, match=r"^tune \(=1 s\) times C on this processor: it lacks "):
            compile(path, tmp_path / "other", target=other, library=False, tune=1)


def test_damaged_tilings_are_ignored(model: Model, cache: Path) -> None:
    target = best_target()
    keep_tilings(model, target, "fp32", {"conv0": Tiling(2.0, 1, 4)})
    (file,) = cache.rglob("tuned/*.json")
    for text in ("[]", "{", '{"conv0": [1, 2]}', '{"conv0": 3}', '{"conv0": ["a", 1, 2]}'):
        file.write_text(text)
        assert kept_tilings(model, target, "fp32") is None


def test_no_time_is_refused(model: Model) -> None:
    with pytest.raises(UsageError, match=r"^tune \(=0 s\) must be above 0 s$"):
        tune(model, seconds=0)
