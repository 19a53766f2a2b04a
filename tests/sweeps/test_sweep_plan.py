"""`sweep.json`, and the networks of a grid and of the paper."""

import json
from pathlib import Path

import pytest
from sweep_rows import SIZES, paper_plan, peer_trial, trial

from mobilenets.arch import PAPER, Network
from mobilenets.errors import TrainingError, UsageError
from mobilenets.sweeps import PLAN, LeftOut, SweepPlan, grid, paper_networks


def test_a_plan_is_read_as_it_was_written(tmp_path: Path) -> None:
    plan = SweepPlan(
        "data",
        "f" * 64,
        (trial(Network(0.25, 32, 48)), peer_trial("squeezenet1_0")),
        (2, 4),
        False,
        (LeftOut("x", "too slow"),),
        "mobilenets sweep",
    )
    plan.save(tmp_path)
    assert SweepPlan.open(tmp_path) == plan


def test_the_papers_networks_are_those_of_its_tables() -> None:
    networks = paper_networks(Network())
    assert len(networks) == 18 and {row.network for row in PAPER} <= set(networks)
    assert {network.name for network, seeds in networks.items() if seeds == 3} == {
        *("1-224", "0.75-224", "conv-1-224", "shallow-1-224")
    }
    assert [n.name for n in paper_networks(Network(), SIZES)][:4] == ["1-64", "1-56", "1-48", "1-40"]


def test_a_grid_has_no_network_twice() -> None:
    names = [network.name for network in grid(Network(), [0.5, 0.5, 1], [(32, 32)], ["plain", "shallow"])]
    assert names == ["0.5-32", "1-32", "shallow-0.5-32", "shallow-1-32"]
    with pytest.raises(UsageError, match=r"variant \(='deep'\) must be one of plain, conv, shallow"):
        grid(Network(), [1], [(32, 32)], ["deep"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"trials": []}, "no trial"),
        ({"version": 2}, "version"),
        ({"rungs": ["x"]}, r"rungs\[0\] .* whole number"),
        ({"trials": [{"name": "../x", "settings": {}}]}, "plain folder name"),
        ({"trials": [{"name": "x", "settings": {"network": 3}}]}, "settings"),
        ({"extra": 1}, "unknown field 'extra'"),
    ],
)
def test_a_damaged_plan_is_one_error(tmp_path: Path, change: dict[str, object], message: str) -> None:
    values = json.loads(json.dumps(paper_plan().to_dict())) | change
    (tmp_path / PLAN).write_text(json.dumps(values))
    with pytest.raises(TrainingError, match=message):
        SweepPlan.open(tmp_path)


def test_no_plan_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no sweep there"):
        SweepPlan.open(tmp_path)
    (tmp_path / PLAN).write_bytes(b"\xff\xfe{")
    with pytest.raises(TrainingError, match="cannot be read"):
        SweepPlan.open(tmp_path)
