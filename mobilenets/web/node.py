"""Run a model's folder in Node, where that is installed."""

import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ..arrays import Floats
from ..errors import ParityError
from ..image import Pixels

__all__ = ["has_node", "node_logits"]

OLDEST = 18  # the first Node with SIMD and fetch
# reads images of one size from standard input, writes their logits to standard output
_SCRIPT = """
import { readFileSync, writeSync } from "node:fs";
const [width, height, size] = process.argv.slice(1).map(Number);
const { load } = await import(new URL("index.js", `file://${process.cwd()}/`));
const model = await load(), pixels = readFileSync(0);
for (let at = 0; at < pixels.length; at += size)
  writeSync(1, new Uint8Array((await model.logits({ data: pixels.subarray(at, at + size), width, height })).buffer));
"""


def has_node() -> bool:
    """Return whether a Node that is new enough is installed."""
    if not shutil.which("node"):
        return False
    version = re.match(r"v(\d+)", subprocess.run(["node", "--version"], capture_output=True, text=True).stdout)
    return version is not None and int(version[1]) >= OLDEST


def node_logits(contents: Mapping[str, bytes], images: Pixels, flags: tuple[str, ...] = ()) -> Floats:
    """Return the logits (N, classes) that the folder's module gives for (N, H, W, C) uint8; `flags` are Node's.

    Raises `ParityError` with the error of a module that does not run.
    """
    n, height, width, channels = images.shape
    arguments = map(str, (width, height, height * width * channels))
    with tempfile.TemporaryDirectory(prefix="mobilenets-") as folder:
        for name, content in contents.items():
            (Path(folder) / name).write_bytes(content)
        command = ["node", *flags, "--input-type=module", "--eval", _SCRIPT, *arguments]
        done = subprocess.run(command, cwd=folder, input=images.tobytes(), capture_output=True)
    if done.returncode:
        lines = [line for line in done.stderr.decode("utf-8", "replace").splitlines() if "Error" in line]
        raise ParityError(f"the module does not run in Node: {(lines or ['exit status'])[0][:300]}")
    return np.frombuffer(done.stdout, np.float32).reshape(n, -1)
