"""A download is on the disk before it has its name: no crash leaves a whole name on half a file."""

import hashlib
import os
from pathlib import Path

import pytest
from serving import breaks, serving

from mobilenets.weights.hub.catalogue import File, Published
from mobilenets.weights.hub.download import RetryPolicy
from mobilenets.weights.hub.fetch import fetch
from mobilenets.weights.recognise import Given

CONTENT = bytes(range(256)) * 400


def test_a_file_is_flushed_to_disk_before_it_is_renamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of it, also the few bytes that came after a broken connection was resumed."""
    monkeypatch.setenv("MOBILENETS_CACHE", str(tmp_path))
    calls: list[tuple[str, int, int]] = []  # what happens to which file (inode), which has how many bytes then
    fsync, replace = os.fsync, os.replace

    def flushed(descriptor: int) -> None:
        fsync(descriptor)
        calls.append(("fsync", os.fstat(descriptor).st_ino, os.fstat(descriptor).st_size))

    def renamed(source: Path, target: Path) -> None:
        calls.append(("replace", os.stat(source).st_ino, os.stat(source).st_size))
        replace(source, target)

    monkeypatch.setattr(os, "fsync", flushed)
    monkeypatch.setattr(os, "replace", renamed)
    with serving() as site:
        url = site.put("/network.h5", CONTENT, breaks(len(CONTENT) - 100))
        file = File(url, hashlib.sha256(CONTENT).hexdigest())
        wanted = Published("a", 0.25, 128, "a test", (file,), None, "", "none", Given())
        (path,) = fetch(wanted, retries=RetryPolicy(timeout=5, attempts=3, pause=0.01))
    assert path.read_bytes() == CONTENT
    steps = [(name, size) for name, inode, size in calls if inode == path.stat().st_ino]
    assert steps[-2:] == [("fsync", len(CONTENT)), ("replace", len(CONTENT))] and len(site.requests) == 2
