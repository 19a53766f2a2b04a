"""`mobilenets compile`: a trained model as C for one processor, and its library."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..compiler import Written, has_compiler, lacking, write_c
from ..compiler.tuning import Tilings
from ..errors import UsageError
from ..files import check_output
from ..opening import open_model
from ..progress import Watch, watching
from .arguments import seconds_of
from .device_folder import DeviceFolder, compile_for_device

__all__ = ["CompiledFiles", "compile"]


@dataclass(frozen=True, slots=True)
class CompiledFiles:
    """The files that `compile` wrote.

    `difference` is that of their logits from ONNX Runtime's (int8: numpy's), relative to the largest. It is None where
    they were not run: this processor lacks the features `lacks`, or there is no C compiler.
    """

    folder: Path
    written: Written
    difference: float | None
    lacks: tuple[str, ...] = ()

    def __str__(self) -> str:
        w = self.written
        return f"{self.folder}: {', '.join(w.files)} for {w.target} in {w.precision}, arena of {w.arena_bytes:,} bytes"

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON of `mobilenets compile`."""
        values = {"folder": str(self.folder), **asdict(self.written), "difference": self.difference}
        return {**values, "lacks": list(self.lacks)}


def compile(
    model: str | Path,
    output: str | Path | None = None,
    *,
    target: str = "auto",
    precision: str | None = None,
    name: str = "network",
    embed: bool = False,
    library: bool = True,
    device: str | None = None,
    image: str | Path | None = None,
    overwrite: bool = False,
    tune: float | str = 0.0,
    watch: Watch | None = None,
) -> CompiledFiles | DeviceFolder:
    """Write a model as C into a folder, and build its library there; or the folder that a microcontroller takes.

    The logits of a float model are compared with ONNX Runtime's, those of an int8 one with `quant.reference`'s bit for
    bit (`ParityError`), before anything is written. C for another processor is written and not run.

    Parameters
    ----------
    model
        What `load` takes.
    output
        The folder to write to; by default one beside the model. Files in it are replaced only with `overwrite`.
    target
        A key of `compiler.TARGETS`; auto: what this processor has.
    precision
        fp32, fp16, bf16, bf16x3, bf16x6 or int8; by default the model's own.
    name
        Of the files and of the function mobilenets_NAME_run.
    embed
        Put the weights into the C, instead of into a file of their own.
    library
        Build the library too. Without it no C compiler is needed, and the C is compared only where there is one.
    device
        A microcontroller, a key of `devices.DEVICES`, for which an int8 model is written as a project's folder: C99
        with the weights in it, an example, and the files of CMake, Arduino, PlatformIO, Zephyr and ESP-IDF.
    image
        With `device`: the photo that the example shows the network, by default a pattern of colours.
    tune
        Seconds, or a time such as "10s", in which tiles and rows of each step are chosen by timing candidates on this
        processor; `predict` and the other verbs take what was chosen as well. 0: the table of the target, which gives
        the same C everywhere.
    """
    seconds = seconds_of(tune, "tune")
    if device is not None:
        _check_for_device(device, {"target": target != "auto", "precision": precision, "tune": seconds})
        return compile_for_device(model, output, device, image, name, overwrite, watch)
    if image is not None:
        raise UsageError(f"image (={str(image)!r}) needs a device, whose example shows it")
    from ..exporters.onnx import to_onnx
    from ..runtime import CompiledSession, Session
    from ..runtime.numpy_session import NumpySession
    from ..runtime.parity import BOUND, agree
    from ..runtime.tune import tune as tune_model

    opened = open_model(model, watch)
    folder = Path(output) if output else opened.path.parent / f"{opened.path.stem}-c"
    if folder.is_dir():
        for file in (f"{name}.c", f"mobilenets_{name}.h", f"{name}.weights", f"lib{name}.so"):
            check_output(folder / file, (Path(file).suffix,), overwrite)
    trained = opened.trained()
    lacks = lacking(trained, target, precision)
    if seconds and (lacks or not has_compiler()):
        raise UsageError(f"tune (={seconds:g} s) times C on this processor: {_why_not(lacks)}")
    tilings: Tilings = {}
    if seconds:
        with watching(watch) as watch:
            watch.note(f"tuning tiles to this processor: about {seconds:g} s, longer where other programs run")
            tilings = tune_model(trained, target, precision, seconds)

    def write() -> Written:
        return write_c(trained, folder, target, name, embed, precision, library, tilings)

    if lacks or not (library or has_compiler()):
        return CompiledFiles(folder, write(), None, lacks)
    logits = CompiledSession(trained, 1, target, precision=precision, tilings=tilings).logits
    if trained.precision == "int8":
        same = agree(logits, NumpySession(trained).logits, trained.preprocess, "logits differ from numpy's", bound=0)
        return CompiledFiles(folder, write(), same)
    reference = Session.from_onnx(to_onnx(trained), 1).logits
    bound = {"bf16": 0.1, "fp16": 0.05, "bf16x3": 1e-3}.get(precision or trained.precision, BOUND)
    difference = agree(logits, reference, trained.preprocess, "compiled logits differ from ONNX Runtime's", bound)
    return CompiledFiles(folder, write(), difference)


def _why_not(lacks: tuple[str, ...]) -> str:
    return f"it lacks {', '.join(lacks)}" if lacks else "there is no C compiler"


def _check_for_device(device: str, given: Mapping[str, object]) -> None:
    """Raise `UsageError` for the first of the settings that was given, all of which are of this processor."""
    for setting, value in given.items():
        if value:
            raise UsageError(f"device (={device!r}) takes no {setting}: leave one of them out")
