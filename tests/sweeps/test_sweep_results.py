"""The rows of `results.csv`."""

from pathlib import Path

import pytest
from sweep_rows import trial

from mobilenets.arch.zoo import named
from mobilenets.sweeps import SweepPlan
from mobilenets.sweeps.results import collect


@pytest.mark.parametrize(
    ("name", "family", "variant"),
    [
        ("0.25-32", "", "plain"),
        ("conv-0.25-32", "", "conv"),
        ("shallow-0.25-32", "", "shallow"),
        ("fd-0.25-32", "fd", "plain"),
        ("v2-0.35-32", "v2", "plain"),
        ("v3-small-0.35-32", "v3-small", "plain"),
        ("v4-conv-small-0.35-32", "v4-conv-small", "plain"),
    ],
)
def test_family_and_variant_of_a_trial(tmp_path: Path, name: str, family: str, variant: str) -> None:
    plan = SweepPlan("data", "f" * 64, (trial(named(name)),))
    (row,) = collect(plan, tmp_path)
    assert (row.family, row.variant, row.state) == (family, variant, "waiting")
