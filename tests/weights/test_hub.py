"""The downloader against a server that serves what the makers' servers serve, and fails as servers and networks do."""

import hashlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from serving import (
    Site,
    breaks,
    chunks,
    claims,
    endless,
    etag,
    google_hash,
    redirect,
    serving,
    stalls,
    status,
    whole,
)

from mobilenets.errors import DownloadError
from mobilenets.files import cache_folder
from mobilenets.weights.hub import download as downloading
from mobilenets.weights.hub.catalogue import File, Published, find
from mobilenets.weights.hub.download import RetryPolicy
from mobilenets.weights.hub.fetch import at_hand, fetch
from mobilenets.weights.recognise import Given

CONTENT = bytes(range(256)) * 1200  # 307,200 bytes: several reads
SHA256 = hashlib.sha256(CONTENT).hexdigest()
KERAS = "/tensorflow/keras-applications/mobilenet/mobilenet_2_5_128_tf.h5"
HASTE = RetryPolicy(timeout=0.3, attempts=3, pause=0.01)

Files = Callable[..., Published]


@pytest.fixture
def site() -> Iterator[Site]:
    with serving() as site:
        yield site


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MOBILENETS_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    return tmp_path / "cache"


def published(*files: File) -> Published:
    return Published("keras/0.25-128", 0.25, 128, "a test", files, None, "", "none", Given())


def pinned(url: str) -> Published:
    return published(File(url, SHA256, len(CONTENT)))


def get(wanted: Published, **settings: object) -> bytes:
    (path,) = fetch(wanted, retries=HASTE, **settings)
    assert sorted(p.name for p in path.parent.iterdir() if ".part" in p.name) == []
    return path.read_bytes()


def refusal(wanted: Published) -> str:
    """The one line."""
    with pytest.raises(DownloadError) as error:
        fetch(wanted, retries=HASTE)
    assert "\n" not in str(error.value)
    return str(error.value)


# ---- what is fetched, and when


def test_a_file_is_fetched_once_and_lies_where_a_person_finds_it(site: Site, cache: Path) -> None:
    wanted = pinned(site.put(KERAS, CONTENT))
    seen: list[tuple[str, int, int | None]] = []
    assert get(wanted, progress=lambda *step: seen.append(step)) == CONTENT
    assert get(wanted) == CONTENT
    assert len(site.requests) == 1
    assert (cache / "weights/keras/0.25-128/mobilenet_2_5_128_tf.h5").read_bytes() == CONTENT
    assert seen[0] == ("mobilenet_2_5_128_tf.h5", 0, len(CONTENT))
    assert seen[-1] == ("mobilenet_2_5_128_tf.h5", len(CONTENT), len(CONTENT))
    assert [done for _, done, _ in seen] == sorted(done for _, done, _ in seen)


def test_several_files_are_fetched_each(site: Site) -> None:
    other = CONTENT[::-1]
    files = [File(site.put("/a.tflite", CONTENT), SHA256), File(site.put("/tools/b.tflite", other))]
    paths = fetch(published(*files), retries=HASTE)
    assert [path.name for path in paths] == ["a.tflite", "b.tflite"]
    assert [path.read_bytes() for path in paths] == [CONTENT, other]


def test_a_file_put_there_by_hand_is_used_without_a_request(site: Site, cache: Path) -> None:
    target = cache / "weights/keras/0.25-128/mobilenet_2_5_128_tf.h5"
    target.parent.mkdir(parents=True)
    target.write_bytes(CONTENT)
    assert get(pinned(f"{site.url}{KERAS}")) == CONTENT
    assert get(published(File(f"{site.url}{KERAS}"))) == CONTENT
    assert site.requests == []


@pytest.mark.parametrize("damaged", [CONTENT[:-1], CONTENT[:-1] + b"x", b""], ids=["short", "changed", "empty"])
@pytest.mark.parametrize("known", [True, False], ids=["catalogue", "recorded"])
def test_a_damaged_file_is_downloaded_anew_and_said(site: Site, cache: Path, damaged: bytes, known: bool) -> None:
    url = site.put(KERAS, CONTENT)
    wanted = pinned(url) if known else published(File(url))
    assert get(wanted) == CONTENT
    target = cache / "weights/keras/0.25-128/mobilenet_2_5_128_tf.h5"
    target.write_bytes(damaged)
    notes: list[str] = []
    assert get(wanted, note=notes.append) == CONTENT
    assert len(site.requests) == 2
    (note,) = notes
    assert note.startswith(f"{target}: its SHA-256 is ") or note.startswith(f"{target}: it has {len(damaged)} bytes")
    assert note.endswith("it is downloaded again")


def test_a_damaged_file_stays_where_no_other_can_be_had(site: Site, cache: Path) -> None:
    target = cache / "weights/keras/0.25-128/mobilenet_2_5_128_tf.h5"
    target.parent.mkdir(parents=True)
    target.write_bytes(b"half")
    assert "404" in refusal(pinned(f"{site.url}{KERAS}"))
    assert target.read_bytes() == b"half"


def test_the_first_sha256_of_a_file_is_recorded_and_holds_ever_after(site: Site, cache: Path) -> None:
    wanted = published(File(site.put(KERAS, CONTENT, x_goog_hash=google_hash(CONTENT))))
    get(wanted)
    folder = cache / "weights/keras/0.25-128"
    record = folder / "mobilenet_2_5_128_tf.h5.sha256"
    assert record.read_text() == f"{SHA256}  mobilenet_2_5_128_tf.h5\n"
    subprocess.run(["sha256sum", "--check", "--quiet", record.name], cwd=folder, check=True)


def test_without_the_variable_the_cache_is_the_platforms(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("MOBILENETS_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder().name == "mobilenets"
    if sys.platform == "linux":
        assert cache_folder() == tmp_path / "xdg" / "mobilenets"
    monkeypatch.setenv("MOBILENETS_CACHE", "~/my-cache")
    assert cache_folder() == Path.home() / "my-cache"


# ---- redirects and answers


@pytest.mark.parametrize("code", [301, 302, 307, 308])
def test_redirects_are_followed(site: Site, code: int) -> None:
    site.put("/c", CONTENT)
    site.put("/b", b"", redirect("/c", 302))
    assert get(pinned(site.put(KERAS, b"", redirect(f"{site.url}/b", code)))) == CONTENT


def test_a_redirected_download_is_resumed(site: Site) -> None:
    site.put("/cdn", CONTENT, breaks(after=100_000))
    url = site.put(KERAS, b"", redirect("/cdn"), redirect("/cdn"))
    assert get(pinned(url)) == CONTENT
    assert site.ranges() == [None, None, "bytes=100000-", "bytes=100000-"]


def test_a_ring_of_redirects_is_refused(site: Site) -> None:
    url = site.put(KERAS, b"", *[redirect(KERAS)] * 100)
    assert "it redirects endlessly" in refusal(pinned(url))


@pytest.mark.parametrize("to", ["ftp://example.com/x", "file:///etc/passwd", "http://[broken", "gopher:x"])
def test_a_redirect_to_what_is_no_web_address_is_refused(site: Site, to: str) -> None:
    assert "cannot be downloaded" in refusal(pinned(site.put(KERAS, b"", *[redirect(to)] * 3)))


@pytest.mark.parametrize("code", [500, 502, 503, 504, 429])
def test_a_server_that_fails_for_a_while_is_asked_again(site: Site, code: int) -> None:
    assert get(pinned(site.put(KERAS, CONTENT, status(code), status(code)))) == CONTENT
    assert len(site.requests) == 3


@pytest.mark.parametrize("code", [503, 429])
def test_a_server_that_goes_on_failing_is_left(site: Site, code: int) -> None:
    assert f"the server says {code}" in refusal(pinned(site.put(KERAS, CONTENT, *[status(code)] * 9)))
    assert len(site.requests) == HASTE.attempts


@pytest.mark.parametrize("code", [401, 403, 404, 410])
def test_a_server_that_says_no_is_not_asked_again(site: Site, code: int) -> None:
    assert f"the server says {code}" in refusal(pinned(site.put(KERAS, CONTENT, status(code))))
    assert len(site.requests) == 1


def test_a_server_that_asks_for_time_gets_some(site: Site) -> None:
    url = site.put(KERAS, CONTENT, status(429, Retry_After="9999"))
    retries = RetryPolicy(timeout=1, attempts=2, pause=0.01, longest=0.4)
    start = time.monotonic()
    fetch(pinned(url), retries=retries)
    assert 0.4 <= time.monotonic() - start < 3


# ---- broken bodies


def test_a_broken_connection_is_resumed_where_it_broke(site: Site) -> None:
    url = site.put(KERAS, CONTENT, breaks(after=65_536), breaks(after=100_000))
    assert get(pinned(url)) == CONTENT
    assert site.ranges() == [None, "bytes=65536-", "bytes=165536-"]
    assert site.requests[1][2]["If-Range"] == etag(CONTENT)


def test_what_has_come_is_kept_for_the_next_call(site: Site) -> None:
    url = site.put(KERAS, CONTENT, *[breaks(after=50_000)] * HASTE.attempts)
    assert "the connection broke" in refusal(pinned(url))
    assert get(pinned(url)) == CONTENT
    assert site.ranges()[-1] == f"bytes={50_000 * HASTE.attempts}-"


def test_a_server_without_ranges_sends_all_again(site: Site) -> None:
    assert get(pinned(site.put(KERAS, CONTENT, breaks(after=70_000), whole))) == CONTENT
    assert site.ranges() == [None, "bytes=70000-"]


def test_a_file_that_changed_meanwhile_is_begun_anew(site: Site) -> None:
    url = site.put(KERAS, CONTENT, *[breaks(after=70_000)] * HASTE.attempts)
    refusal(pinned(url))
    other = CONTENT[::-1]
    site.put(KERAS, other)
    assert get(published(File(url, hashlib.sha256(other).hexdigest()))) == other


def test_a_part_longer_than_the_file_is_thrown_away(site: Site, cache: Path) -> None:
    url = site.put(KERAS, CONTENT, *[breaks(after=70_000)] * HASTE.attempts)
    refusal(pinned(url))
    part = cache / "weights/keras/0.25-128/mobilenet_2_5_128_tf.h5.part"
    part.write_bytes(part.read_bytes() + CONTENT)
    assert get(pinned(url)) == CONTENT


def test_a_part_of_an_unknown_version_is_thrown_away(site: Site, cache: Path) -> None:
    part = cache / "weights/keras/0.25-128/mobilenet_2_5_128_tf.h5.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"left by somebody")
    assert get(pinned(site.put(KERAS, CONTENT))) == CONTENT
    assert site.ranges() == [None]


def test_the_half_of_another_version_is_never_mixed_in(site: Site) -> None:
    """Its Content-Length promises more than comes, and its ETag is not that of the next answer."""
    url = site.put(KERAS, CONTENT, lambda handler, _: claims(len(CONTENT))(handler, bytes(200_000)))
    assert get(pinned(url)) == CONTENT
    assert site.ranges() == [None, "bytes=200000-"]


def test_a_body_longer_than_stated_is_refused(site: Site) -> None:
    assert "it has 1000 bytes there, expected 307200" in refusal(pinned(site.put(KERAS, CONTENT, claims(1000))))


def test_a_stated_length_beyond_the_bound_is_refused_before_a_byte(site: Site) -> None:
    url = site.put(KERAS, CONTENT, claims(1 << 40))
    assert "more than 268435456 are not taken" in refusal(published(File(url)))


def test_a_body_without_a_length_is_taken(site: Site) -> None:
    assert get(pinned(site.put(KERAS, CONTENT, chunks(10_000)))) == CONTENT


def test_an_endless_body_is_left_at_the_known_length(site: Site, cache: Path) -> None:
    assert "more than the 307200 bytes came" in refusal(pinned(site.put(KERAS, CONTENT, endless)))
    assert list(cache.rglob("*.part*")) == []


def test_an_endless_body_of_unknown_length_is_left_at_the_bound(
    site: Site, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloading, "MAX_BYTES", 3_000_000)
    assert "more than the 3000000 bytes came" in refusal(published(File(site.put(KERAS, CONTENT, endless))))
    assert list(cache.rglob("*.part*")) == []


def test_a_silent_server_is_left_and_what_came_is_kept(site: Site) -> None:
    url = site.put(KERAS, CONTENT, stalls(after=80_000, seconds=1.5))
    assert get(pinned(url)) == CONTENT
    assert site.ranges() == [None, "bytes=80000-"]


def test_a_server_that_compresses_unasked_is_refused(site: Site) -> None:
    assert "the encoding 'gzip'" in refusal(pinned(site.put(KERAS, CONTENT, Content_Encoding="gzip")))


# ---- wrong content


def test_a_wrong_sha256_says_both_and_leaves_nothing(site: Site, cache: Path) -> None:
    other = bytes(len(CONTENT))
    message = refusal(pinned(site.put(KERAS, other)))
    assert f"its SHA256 is {hashlib.sha256(other).hexdigest()}, expected {SHA256}" in message
    assert [p for p in cache.rglob("*.h5*") if p.is_file() and p.suffix != ".lock"] == []


def test_a_wrong_md5_of_googles_storage_says_both_and_leaves_nothing(site: Site, cache: Path) -> None:
    other = bytes(len(CONTENT))
    url = site.put(KERAS, CONTENT, x_goog_hash=google_hash(other))
    message = refusal(published(File(url)))
    assert f"its MD5 is {hashlib.md5(CONTENT).hexdigest()}, expected {hashlib.md5(other).hexdigest()}" in message
    assert [p for p in cache.rglob("*.h5*") if p.is_file() and p.suffix != ".lock"] == []


def test_the_first_digits_of_a_sha256_are_checked(site: Site, cache: Path) -> None:
    """As torchvision's file names state them: on download, and on every use."""
    url = site.put("/models/network-abc.pth", CONTENT)
    assert get(published(File(url, SHA256[:8]))) == CONTENT
    target = cache / "weights/keras/0.25-128/network-abc.pth"
    target.write_bytes(CONTENT[::-1])
    assert get(published(File(url, SHA256[:8]))) == CONTENT and len(site.requests) == 2
    assert f"its SHA256 is {SHA256}, expected 01234567" in refusal(published(File(url, "01234567")))


def test_an_md5_of_the_catalogue_is_checked(site: Site, cache: Path) -> None:
    url = site.put(KERAS, CONTENT)
    assert get(published(File(url, md5=hashlib.md5(CONTENT).hexdigest()))) == CONTENT
    (cache / "weights/keras/0.25-128/mobilenet_2_5_128_tf.h5").unlink()
    assert "its MD5 is" in refusal(published(File(url, md5="0" * 32)))


@pytest.mark.parametrize("header", ["", "crc32c=AAAAAA==", "md5=not base64", "md5", "md5=QUJD"])
def test_a_server_without_an_md5_is_believed(site: Site, header: str) -> None:
    assert get(published(File(site.put(KERAS, CONTENT, x_goog_hash=header)))) == CONTENT


def test_md5_is_checked_after_resuming_too(site: Site) -> None:
    url = site.put(KERAS, CONTENT, breaks(after=70_000), x_goog_hash=google_hash(CONTENT))
    assert get(published(File(url))) == CONTENT


# ---- no network, no disk


def closed_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def test_without_a_network_the_error_says_what_to_put_where(cache: Path) -> None:
    url = f"http://127.0.0.1:{closed_port()}{KERAS}"
    target = cache / "weights/keras/0.25-128/mobilenet_2_5_128_tf.h5"
    assert refusal(pinned(url)).startswith("mobilenet_2_5_128_tf.h5 cannot be downloaded: no connection: ")
    assert refusal(pinned(url)).endswith(
        f"({url}): put it at {target}, or set MOBILENETS_CACHE to a folder that has it, or give the file itself"
    )
    target.write_bytes(CONTENT)  # as told
    assert get(pinned(url)) == CONTENT


def test_an_unknown_host_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_name_server(*_: object, **__: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", no_name_server)
    assert "no connection: [Errno -2] Name or service not known" in refusal(pinned("http://no-such-host.invalid/x.h5"))


@pytest.mark.parametrize("value", ["1", "true", "YES", "on"])
def test_offline_mode_of_the_hub_holds_for_all(site: Site, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", value)
    assert "HF_HUB_OFFLINE is set" in refusal(pinned(site.put(KERAS, CONTENT)))
    assert "HF_HUB_OFFLINE is set" in refusal(published(File("hf://timm/x/model.safetensors")))
    assert site.requests == []


def test_a_cache_that_cannot_be_written_is_one_line(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MOBILENETS_CACHE", str(tmp_path / "file" / "cache"))
    message = refusal(pinned(site.put(KERAS, CONTENT)))
    assert "Not a directory" in message and "MOBILENETS_CACHE" in message


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_cache_without_permission_is_one_line(site: Site, cache: Path) -> None:
    cache.mkdir(mode=0o500)
    assert "Permission denied" in refusal(pinned(site.put(KERAS, CONTENT)))


def test_an_unusable_proxy_is_one_line(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "nonsense://127.0.0.1:1")
    assert "proxy" in refusal(pinned("http://example.invalid/x.h5"))


# ---- several processes


FETCH = """
import sys
from mobilenets.weights.hub.catalogue import File, Published
from mobilenets.weights.hub.fetch import fetch
from mobilenets.weights.recognise import Given
url, sha256 = sys.argv[1:]
wanted = Published("keras/0.25-128", 0.25, 128, "", (File(url, sha256 or None),), None, "", "", Given())
def progress(name, done, total):
    print(done, flush=True)
print(fetch(wanted, progress)[0].stat().st_size)
"""


def process(url: str, sha256: str = SHA256) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", FETCH, url, sha256]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_several_processes_at_once_fetch_once(site: Site, cache: Path) -> None:
    url = site.put(KERAS, CONTENT, stalls(after=100_000, seconds=0.5))
    processes = [process(url) for _ in range(4)]
    outputs = [started.communicate(timeout=60) for started in processes]
    assert [output.split()[-1] for output, _ in outputs] == [str(len(CONTENT))] * 4, outputs
    assert len(site.requests) == 1
    assert (cache / "weights/keras/0.25-128/mobilenet_2_5_128_tf.h5").read_bytes() == CONTENT


def test_a_killed_download_is_resumed_by_the_next_process(site: Site) -> None:
    url = site.put(KERAS, CONTENT, stalls(after=131_072, seconds=30))
    killed = process(url)
    assert killed.stdout
    while (line := killed.stdout.readline()) and int(line) < 131_072:
        pass
    time.sleep(0.2)  # the last bytes on their way to the file
    killed.send_signal(signal.SIGKILL)
    killed.communicate(timeout=60)
    assert get(pinned(url)) == CONTENT
    assert site.ranges() == [None, "bytes=131072-"]


def test_what_is_at_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOBILENETS_CACHE", str(tmp_path))
    assert at_hand(0.5, 128) is None
    for name, cut in (("coral/0.25-128", 0), ("coral/0.75-192", 0), ("coral/0.5-160", 1)):
        for file in find(name).files:
            path = tmp_path / "weights" / name / file.name
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as content:
                content.truncate((file.size or 100) - cut)
    near = {alpha: at_hand(alpha, 128) for alpha in (0.2, 0.25, 0.75, 1.0)}
    assert [published and published.name for published in near.values()] == ["coral/0.25-128"] * 2 + [
        "coral/0.75-192"
    ] * 2
