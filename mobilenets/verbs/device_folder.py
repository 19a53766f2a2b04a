"""The folder for a microcontroller that `mobilenets compile --device` writes."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..costs import Memory
from ..devices import device_of, folder_of, pattern
from ..errors import CompileError, ImageError, UsageError
from ..files import check_output, write_all
from ..image import Pixels, Preprocess, prepare
from ..opening import open_model
from ..progress import Watch

__all__ = ["DeviceFolder", "compile_for_device"]


@dataclass(frozen=True, slots=True)
class DeviceFolder:
    """The folder that `compile` wrote for a microcontroller, and the bytes that it takes there."""

    folder: Path
    files: tuple[str, ...]
    device: str
    memory: Memory

    def __str__(self) -> str:
        m = self.memory
        return f"{self.folder}: {len(self.files)} files for {self.device}, {m.ram:,} bytes of RAM, {m.flash:,} of flash"

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON of `mobilenets compile --device`."""
        return {
            "folder": str(self.folder),
            "files": list(self.files),
            "device": self.device,
            **self.memory.to_dict(),
        }


def compile_for_device(
    model: str | Path,
    output: str | Path | None,
    device: str,
    image: str | Path | None,
    name: str,
    overwrite: bool,
    watch: Watch | None,
) -> DeviceFolder:
    """Write the folder; `UsageError` for a float model, and for files that are there already without `overwrite`."""
    chosen = device_of(device)
    opened = open_model(model, watch)
    trained = opened.trained()
    if trained.precision != "int8":
        raise UsageError(
            f"{opened.path}: is {trained.precision}, and {device} takes int8: "
            f"mobilenets quantize {model} --data PHOTOS first, or import an int8 file with --int8"
        )
    pixels = pattern(trained.preprocess) if image is None else _picture(Path(image), trained.preprocess)
    made = folder_of(trained, chosen, name, pixels)
    folder = Path(output) if output else opened.path.parent / f"{opened.path.stem}-{device}"
    paths = {folder / file: text for file, text in made.files.items()}
    try:
        for path in paths:
            path.parent.mkdir(parents=True, exist_ok=True)
            check_output(path, (path.suffix,), overwrite)
    except OSError as exc:
        raise CompileError(f"{folder}: cannot be made: {exc.strerror}") from exc
    write_all(dict(paths))
    return DeviceFolder(folder, tuple(made.files), device, made.memory)


def _picture(path: Path, preprocess: Preprocess) -> Pixels:
    try:
        return prepare(path, preprocess)
    except ImageError as exc:
        raise ImageError(f"{path}: {exc}") from exc
