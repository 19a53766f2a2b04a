"""Damaged images of every format: decoded or refused, by nothing but an ImageError. More: scripts/mutated_images.py."""

import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

SCRIPTS = str(Path(__file__).parents[1] / "scripts")


@pytest.fixture(scope="module")
def script() -> Iterator[ModuleType]:
    sys.path.insert(0, SCRIPTS)  # for the process that decodes as well
    yield import_module("mutated_images")
    sys.path.remove(SCRIPTS)


def test_whole_images_are_decoded(script: ModuleType) -> None:
    assert {script.outcome(data) for _, data in script.whole_images()} == {"image"}


@pytest.mark.timeout(300)
def test_damaged_images(script: ModuleType) -> None:
    tally = script.run(300, seed=0)
    assert [(name, found) for name, found, _ in tally.failures] == []
    assert tally.counts["image"] > 30 and tally.counts["refused"] > 30


def test_the_same_seed_gives_the_same_images(script: ModuleType) -> None:
    assert list(script.mutants(30, 7)) == list(script.mutants(30, 7)) != list(script.mutants(30, 8))
