"""The hub's own client against a server that answers as the hub does.

In processes of their own: the client reads HF_ENDPOINT when it is imported.
"""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from serving import Answer, Site, breaks, serving, status

CONTENT = bytes(range(256)) * 1200
SHA256 = hashlib.sha256(CONTENT).hexdigest()
REPOSITORY = "timm/mobilenetv1_100.ra4_e3600_r224_in1k"
COMMIT = "0f" * 20
HEAD = f"/{REPOSITORY}/resolve/main/model.safetensors"
CDN = "/cdn/blob"

FETCH = """
import json, sys
from mobilenets.errors import DownloadError
from mobilenets.weights.hub.catalogue import File, Published
from mobilenets.weights.hub.download import RetryPolicy
from mobilenets.weights.hub.fetch import fetch
from mobilenets.weights.recognise import Given
where, sha256 = sys.argv[1:]
wanted = Published("timm/x", 1.0, 224, "", (File(where, sha256 or None),), None, "", "", Given())
seen = []
try:
    (path,) = fetch(wanted, lambda *step: seen.append(step), retries=RetryPolicy(2, 3, 0.01))
    print(json.dumps({"path": str(path), "seen": seen}))
except DownloadError as exc:
    print(json.dumps({"error": str(exc)}))
"""


@pytest.fixture
def hub() -> Iterator[Site]:
    with serving() as site:
        publish(site, CONTENT)
        yield site


def publish(site: Site, content: bytes, sha256: str | None = None, *answers: Answer) -> None:
    """A file kept with LFS: the hub states its SHA-256 and sends the client to another host."""
    headers = {
        "X_Repo_Commit": COMMIT,
        "X_Linked_ETag": f'"{sha256 or hashlib.sha256(content).hexdigest()}"',
        "X_Linked_Size": str(len(content)),
        "Location": site.url.replace("127.0.0.1", "localhost") + CDN,
    }
    for revision in ("main", COMMIT):
        path = f"/{REPOSITORY}/resolve/{revision}/model.safetensors"
        site.put(path, b"", *[status(302)] * 50, **headers)
    site.put(CDN, content, *answers)


def run(hub: Site, tmp_path: Path, sha256: str = "", where: str = "", **environment: str) -> dict[str, object]:
    """What a process says that fetches the file into a cache of its own."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    own |= {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "hf"), "MOBILENETS_CACHE": str(tmp_path / "cache")}
    command = [sys.executable, "-W", "error", "-c", FETCH, where or f"hf://{REPOSITORY}/model.safetensors", sha256]
    done = subprocess.run(command, env=own | environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    said: dict[str, object] = json.loads(done.stdout)
    return said


def test_a_file_comes_once_and_lies_in_our_cache(hub: Site, tmp_path: Path) -> None:
    said = run(hub, tmp_path)
    path = tmp_path / "cache/weights/timm/x/model.safetensors"
    assert said["path"] == str(path) and path.read_bytes() == CONTENT
    assert said["seen"][-1] == ["model.safetensors", len(CONTENT), len(CONTENT)]  # type: ignore[index]
    assert (path.parent / "model.safetensors.sha256").read_text().startswith(SHA256)
    assert sorted(p.name for p in path.parent.iterdir() if not p.name.endswith(".lock")) == [
        "model.safetensors",
        "model.safetensors.sha256",
    ]
    before = len(hub.requests)
    assert run(hub, tmp_path)["path"] == str(path)
    assert len(hub.requests) == before


def test_the_sha256_that_the_hub_states_is_checked(hub: Site, tmp_path: Path) -> None:
    publish(hub, CONTENT, "0" * 64)
    said = run(hub, tmp_path)
    assert f"its SHA256 is {SHA256}, expected {'0' * 64}" in str(said["error"])
    assert list((tmp_path / "cache").rglob("model.safetensors")) == []


def test_the_sha256_of_the_catalogue_goes_before_the_hubs(hub: Site, tmp_path: Path) -> None:
    assert f"expected {'1' * 64}" in str(run(hub, tmp_path, sha256="1" * 64)["error"])
    assert "path" in run(hub, tmp_path, sha256=SHA256)


def test_a_broken_connection_is_resumed(hub: Site, tmp_path: Path) -> None:
    """The client keeps what has come in pieces of 10 MiB."""
    publish(hub, bytes(12 << 20), None, breaks(after=11 << 20))
    assert "path" in run(hub, tmp_path)
    asked = [headers.get("Range") for _, path, headers in hub.requests if path == CDN]
    assert asked == [None, f"bytes={10 << 20}-"]


@pytest.mark.parametrize(("code", "times"), [(503, 3), (429, 3), (404, 1), (401, 1)])
def test_a_hub_that_says_no_is_asked_again_only_where_that_may_help(
    hub: Site, tmp_path: Path, code: int, times: int
) -> None:
    hub.answers[HEAD] = [status(code)] * 9
    said = str(run(hub, tmp_path)["error"])
    assert f"the server says {code}" in said and f"{hub.url}{HEAD}" in said
    assert sum(path == HEAD for _, path, _ in hub.requests) == times


def test_what_is_no_hub_is_one_line(hub: Site, tmp_path: Path) -> None:
    hub.put(HEAD, CONTENT)
    assert "\n" not in str(run(hub, tmp_path)["error"])


def test_a_file_beyond_the_bound_is_refused_before_it_comes(hub: Site, tmp_path: Path) -> None:
    for path in list(hub.headers):
        hub.headers[path]["X-Linked-Size"] = str(1 << 40)
    assert "more than 268435456 are not taken" in str(run(hub, tmp_path)["error"])
    assert all(path != CDN for _, path, _ in hub.requests)


def test_without_a_network_the_error_says_what_to_put_where(hub: Site, tmp_path: Path) -> None:
    said = str(run(hub, tmp_path, HF_ENDPOINT="http://127.0.0.1:1")["error"])
    assert said.startswith("model.safetensors cannot be downloaded: no connection: ")
    assert f"put it at {tmp_path}/cache/weights/timm/x/model.safetensors" in said
    assert "HF_HUB_OFFLINE is set" in str(run(hub, tmp_path, HF_HUB_OFFLINE="1")["error"])
    assert hub.requests == []


def test_what_another_program_has_brought_is_copied(hub: Site, tmp_path: Path) -> None:
    """As timm does: the client's own cache."""
    theirs = f"import huggingface_hub; huggingface_hub.hf_hub_download({REPOSITORY!r}, 'model.safetensors')"
    environment = os.environ | {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "hf")}
    subprocess.run([sys.executable, "-c", theirs], env=environment, check=True, capture_output=True, timeout=120)
    before = sum(path == CDN for _, path, _ in hub.requests)
    assert "path" in run(hub, tmp_path)
    assert sum(path == CDN for _, path, _ in hub.requests) == before
