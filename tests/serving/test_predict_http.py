"""POST /predict: the answers of `predict --json`, and what is refused."""

import json
from pathlib import Path

import httpx
import pytest

from mobilenets.cli import main


def printed(capsys: pytest.CaptureFixture[str], *command: object) -> str:
    assert main([*map(str, command), "--json"]) == 0
    return capsys.readouterr().out


def test_the_answer_is_that_of_predict(
    client: httpx.Client, model: Path, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Byte for byte, except for the name of an image that has none."""
    for photo in sorted(photos.rglob("*.jpg")):
        answer = client.post("/predict", content=photo.read_bytes())
        assert answer.status_code == 200
        wanted = json.loads(printed(capsys, "predict", model, photo))
        wanted["predictions"][0]["image"] = "image 0"
        assert answer.text == f'{{"predictions": [\n{json.dumps(wanted["predictions"][0])}\n]}}\n'
