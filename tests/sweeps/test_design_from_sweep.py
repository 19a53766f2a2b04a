"""`design --calibrate SWEEP` chooses among what was measured; `train --search` trains several and keeps the best."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mobilenets import Network, Watch, design
from mobilenets.designs import Space
from mobilenets.errors import BudgetError, TrainingError, UsageError
from mobilenets.verbs import train_search as searching
from mobilenets.verbs.train_search import train_search

TOP1 = {"0.5-64": (0.60, 0.62), "0.25-64": (0.55, 0.55), "shallow-0.5-64": (0.64, 0.66), "1-64": (0.7, 0.7)}


@pytest.fixture
def sweep(tmp_path: Path, random_model: Any) -> Path:
    """A sweep with two seeds of each network."""
    from mobilenets import named

    (tmp_path / "sweep.json").touch()
    for name, rates in TOP1.items():
        for seed, top1 in enumerate(rates):
            folder = tmp_path / "trials" / f"{name}-seed{seed}"
            folder.mkdir(parents=True)
            (folder / "report.html").touch()
            model = random_model(named(name).replace(classes=10))
            replace(model, metrics={"top1": top1}).save(folder / "best.safetensors")
    return tmp_path


BASE = Space(base=Network(classes=10))


def test_the_choice_is_the_best_measured_network_that_fits(sweep: Path) -> None:
    """The shallow 0.5 has the higher mean of two seeds, and less cost than the plain one."""
    found = design({"max_mult_adds": "15M"}, BASE, calibrate=[sweep])
    assert found.choice.network.name == "shallow-0.5-64"
    assert found.choice.top1 == pytest.approx(65.0)
    assert f"Accuracy is measured, by 8 trials of {sweep}." in found.reason
    assert {c.network.name for c in found.front} <= set(TOP1)


def test_the_space_still_restricts_the_choice(sweep: Path) -> None:
    found = design({"max_mult_adds": "15M"}, replace(BASE, families=("v1-plain",)), calibrate=[sweep])
    assert found.choice.network.name == "0.5-64" and found.choice.top1 == pytest.approx(61.0)
    found = design({"max_mult_adds": "15M"}, replace(BASE, alphas=(0.25,)), calibrate=[sweep])
    assert found.choice.network.name == "0.25-64"


def test_a_budget_that_no_measured_network_meets_is_predicted(sweep: Path) -> None:
    found = design({"max_mult_adds": "1M"}, BASE, calibrate=[sweep])
    assert found.choice.network.name not in TOP1
    assert "It is predicted, not measured: of the trained, no network fits" in found.reason


def test_a_budget_without_a_bound_stays_an_error(sweep: Path) -> None:
    with pytest.raises(BudgetError, match="give at least one bound"):
        design({}, BASE, calibrate=[sweep])


def squares(tmp_path: Path) -> Path:
    import sys

    sys.path.insert(0, str(Path(__file__).parents[1] / "training"))
    from small import make_squares

    return make_squares(tmp_path / "squares")


class Timed:
    seconds = 100.0


def test_search_trains_several_and_keeps_the_best(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two of the front fit in the time, one goes on after an epoch and is returned."""
    from mobilenets.training import plan as timing

    monkeypatch.setattr(timing, "plan", lambda dataset, settings, initial: Timed())
    monkeypatch.setattr("mobilenets.verbs.trials._measure", lambda *arguments: None)
    notes: list[str] = []
    watch = Watch()
    watch.note = notes.append  # type: ignore[method-assign]
    found = train_search(
        squares(tmp_path),
        {"max_mult_adds": "1M"},
        "210s",
        {"epochs": 2, "batch_size": 16, "replicas": 1, "workers": 1},
        space=Space(families=("v1-shallow",), resolutions=(32,)),
        project=tmp_path / "runs",
        watch=watch,
    )
    folder = tmp_path / "runs" / "squares-search"
    assert found.run.parent == folder / "trials" and (folder / "report.html").is_file()
    assert "after 1 epoch 1 of 2 trials go on" in notes
    trained = [path.name for path in (folder / "trials").iterdir()]
    assert len(trained) == 2 and found.run.name in trained
    assert found.model.network.classes == 3


def test_search_of_too_little_time_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mobilenets.training import plan as timing

    monkeypatch.setattr(timing, "plan", lambda dataset, settings, initial: Timed())
    space = Space(families=("v1-shallow",), resolutions=(32,))
    with pytest.raises(UsageError, match=r"search \(=5 s\) is too short: .* alone takes about 1 min 40 s"):
        train_search(squares(tmp_path), {"max_mult_adds": "1M"}, 5, {"epochs": 2}, space=space, project=tmp_path / "r")
    assert not (tmp_path / "r").exists()
    assert searching.MOST == 8


def test_search_keeps_the_weights_that_are_best_on_validation(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """By the weights that are kept; of equal ones the cheapest, which stands last."""
    told: list[str] = []
    watch = Watch()
    watch.note = told.append  # type: ignore[method-assign]

    class Plan:
        def run(self, number: int, folder: Path) -> int:
            return number

    def kept(*scores: float | None) -> int:
        rows = [
            SimpleNamespace(val_top1=s, state="failed" if s is None else "done", network=f"n{i}", note="x")
            for i, s in enumerate(scores)
        ]
        monkeypatch.setattr(searching, "run_trials", lambda *arguments: rows)
        monkeypatch.setattr(searching, "finish", lambda dataset, run, watch: run)
        return searching._best(Plan(), tmp_path, None, watch)  # type: ignore[arg-type, return-value]

    assert kept(0.5, 0.7, 0.6) == 1 and kept(0.7, None, 0.7) == 2
    assert told[0] == "val top-1 of those trained to the end: n1 70.0%, n2 60.0%, n0 50.0%; the first is kept"
    with pytest.raises(TrainingError, match="every network failed, the first by: x"):
        kept(None)
