"""A server with a classifier, which most tests of this folder ask."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from mobilenets import Model, Network

pytest.importorskip("uvicorn", reason="needs mobilenets[serve]")

LABELS = ("daisy", "rose", "tulip")


@pytest.fixture(scope="package")
def model(random_model: Callable[..., Model], tmp_path_factory: pytest.TempPathFactory) -> Path:
    network = Network(alpha=0.125, height=32, width=32, classes=3)
    made = replace(random_model(network), labels=LABELS)
    return made.save(tmp_path_factory.mktemp("served") / "flowers.safetensors")


@pytest.fixture(scope="package")
def client(model: Path) -> Iterator[httpx.Client]:
    from running import serving

    with serving([model]) as server, httpx.Client(base_url=f"http://127.0.0.1:{server.port}") as client:
        yield client
