"""`mobilenets import`, `export` and `compile`: a trained model in another form."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from ..compiler import PRECISIONS
from ..compiler.targets import ALL_BF16_TARGETS, ALL_INT8_TARGETS
from .options import DeviceFlag, Json, SourceFlags

__all__ = ["compile_", "export", "import_"]

_SOURCE = SourceFlags()
if TYPE_CHECKING:
    TargetName = str
    PrecisionName = str
else:  # the choices of the command line are those of the compiler
    TargetName = Literal[("auto", *dict.fromkeys((*ALL_BF16_TARGETS, *ALL_INT8_TARGETS)))]
    PrecisionName = Literal[(*PRECISIONS, "int8")]


def import_(
    files: Annotated[tuple[Path, ...], Parameter(negative=())],
    *,
    source: SourceFlags = _SOURCE,
    output: Path | None = None,
    int8: Json = False,
    overwrite: Json = False,
    json: Json = False,
) -> None:
    """Import a MobileNet that another program trained: Keras, timm, TensorFlow Lite, PyTorch or ONNX.

    Parameters
    ----------
    files
        A .h5, .keras, .safetensors, .tflite, .pt, .pth, .bin or .onnx file; several run one after the other.
    output
        The .safetensors model to write; by default beside the first file.
    int8
        Keep the integers of a uint8 or int8 .tflite: its own weights and scales, run as they are.
    overwrite
        Write over a file that is there already.
    json
        Print one JSON object and nothing else.
    """
    from ..verbs.import_model import import_model
    from . import show

    show.imported(import_model(files, output, source.given(), int8=int8, overwrite=overwrite), json)


def export(
    model: str,
    *,
    format: Literal[
        "onnx", "tflite", "tflite-float16", "tflite-dynamic", "tflite-micro", "keras-h5", "timm", "torch", "web"
    ]
    | None = None,
    output: Path | None = None,
    overwrite: Json = False,
    json: Json = False,
) -> None:
    """Export a trained model for other programs, read it back and compare its logits.

    Parameters
    ----------
    model
        A run folder or a model file.
    format
        onnx (batch norm folded, normalisation and labels inside), tflite (TensorFlow Lite with labels and
        preprocessing as MediaPipe reads them), tflite-float16, tflite-dynamic (int8 weights), keras-h5 (a whole model,
        named as keras.applications names it), timm (its names in a .safetensors), torch (a state dict).
        Of an int8 model: onnx (QDQ), tflite (uint8 in and out), tflite-micro (int8 in and out).
        Of both: web (a folder for browsers and Node: WebAssembly, an ES module, a page).
        By default the format of the ending of output, else onnx.
    output
        By default beside the model. Of web a folder.
    overwrite
        Write over a file that is there.
    json
        Print one JSON object and nothing else.
    """
    from ..verbs.export import export
    from . import show

    show.exported(export(model, output, format, overwrite=overwrite), json)


def compile_(
    model: str,
    *,
    output: Annotated[Path | None, Parameter(name=("--output", "-o"))] = None,
    target: TargetName = "auto",
    precision: PrecisionName | None = None,
    name: str = "network",
    embed: Json = False,
    no_library: Json = False,
    device: DeviceFlag | None = None,
    image: Path | None = None,
    tune: str = "0s",
    overwrite: Json = False,
    json: Json = False,
) -> None:
    """Compile a trained model to C for one processor, without dependencies or malloc; build its library.

    With --device: the folder that a microcontroller project takes.

    Parameters
    ----------
    model
        A run folder, a model file of any format that import reads, or the name of a published network.
    output
        The folder to write to; by default one beside the model.
    target
        The instructions to use; auto: those that this processor has. avx512bf16 is for bf16, avx512fp16 for fp16,
        avx512vnni and avxvnni for int8, amx for bf16 and int8; of 64-bit ARM neon is for all but fp16, fp16 and bf16
        for the precisions of these names, dotprod and i8mm for int8.
    precision
        The format of weights and activations; by default the model's own. fp32; int8 (of int8 models only); bf16: half
        the memory, and faster where the processor multiplies bf16; fp16: half the memory, more exact than bf16, for
        processors that compute with halves (avx512fp16, ARM since v8.2); bf16x3 and bf16x6: floats by products of
        bf16, worth it with amx only (error 1e-4, and fp32's own).
    name
        Of the files and of the function, mobilenets_NAME_run.
    embed
        Put the weights into the C, instead of into a file of their own.
    no_library
        Write the C alone and build no library: no C compiler is needed.
    device
        A microcontroller: an int8 model becomes a folder of C99 for it with an example, and files for CMake, Arduino,
        PlatformIO, Zephyr and ESP-IDF.
    image
        With --device: the photo that the example shows the network, by default a pattern of colours.
    tune
        Time, such as 10s, in which the tiles of each layer are chosen by timing candidates on this processor; predict
        takes what was chosen as well. 0s: the same C on every machine.
    overwrite
        Write over files that are there.
    json
        Print one JSON object and nothing else.
    """
    from ..progress import Bars
    from ..verbs.compile import compile
    from . import show

    with Bars() as bars:
        result = compile(
            model,
            output,
            target=target,
            precision=precision,
            name=name,
            embed=embed,
            library=not no_library,
            device=device,
            image=image,
            overwrite=overwrite,
            tune=tune,
            watch=bars,
        )
    show.compiled(result, json)
