"""A server with a classifier and an int8 file of another program, which most tests of `serving/` ask."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from served import Running, serving

from mobilenets import Model, Network

LABELS = ("daisy", "rose", "tulip")


@pytest.fixture(scope="session")
def model(random_model: Callable[..., Model], tmp_path_factory: pytest.TempPathFactory) -> Path:
    network = Network(alpha=0.125, height=32, width=32, classes=3)
    made = replace(random_model(network), labels=LABELS)
    return made.save(tmp_path_factory.mktemp("served") / "flowers.safetensors")


@pytest.fixture(scope="session")
def server(model: Path) -> "Iterator[Running]":

    with serving([model], max_body=1 << 20, max_queue=8) as running:
        yield running


@pytest.fixture(scope="session")
def client(server: "Running") -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.address) as client:
        yield client


@pytest.fixture(scope="session")
def jpegs(photos: Path) -> list[Path]:
    return sorted(photos.rglob("*.jpg"))


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A Chromium; of a module, because tests with an event loop of their own cannot run beside it."""
    from browsing import chromium

    with chromium() as browser:
        yield browser
