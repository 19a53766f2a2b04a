"""C, exports, costs and equalised weights of a set of networks, byte for byte as they were recorded (recorded.json).

`pytest tests/test_recorded.py --update-golden` records anew.
"""

import json

import pytest
from recorded import NETWORKS, RECORDED, digests

pytestmark = pytest.mark.any_processor


@pytest.mark.parametrize("name", NETWORKS)
def test_what_is_written_is_what_was_recorded(name: str, request: pytest.FixtureRequest) -> None:
    found, recorded = digests(name), json.loads(RECORDED.read_text("utf-8"))
    if request.config.getoption("--update-golden"):
        others = {key: value for key, value in recorded.items() if not key.startswith(f"{name}/")}
        recorded = others | found
        RECORDED.write_text(json.dumps(recorded, indent=0, sort_keys=True) + "\n", "utf-8")
    expected = {key: value for key, value in recorded.items() if key.startswith(f"{name}/")}
    assert sorted(key for key in {*found, *expected} if found.get(key) != expected.get(key)) == []
